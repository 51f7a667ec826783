"""`evm_snapshot` and `evm_revert` over a whole network, as test suites use them."""

from typing import Any

import httpx
import pytest
from eth_account import Account

from tests.support.networks import RunningNetwork

ACCOUNT = Account.from_key("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6")
RECEIVER = Account.create().address


def send(network: RunningNetwork, value: int) -> str:
    nonce = int(network.rpc("eth_getTransactionCount", ACCOUNT.address, "pending"), 16)
    raw = ACCOUNT.sign_transaction(
        {
            "to": RECEIVER,
            "value": value,
            "gas": 40_000,
            "gasPrice": 100 * 10**9,
            "nonce": nonce,
            "chainId": 0x5AFD,
        }
    ).raw_transaction
    hash_: str = network.rpc("eth_sendRawTransaction", "0x" + bytes(raw).hex())
    assert network.rpc("eth_getTransactionReceipt", hash_)["status"] == "0x1"
    return hash_


def balance(network: RunningNetwork) -> int:
    return int(network.rpc("eth_getBalance", RECEIVER, "latest"), 16)


def test_nested_snapshots_take_the_network_back(network: RunningNetwork) -> None:
    before = balance(network)
    outer = network.rpc("evm_snapshot")
    for round_ in range(3):
        kept = send(network, 1)
        inner = network.rpc("evm_snapshot")
        lost = [send(network, 10) for _ in range(2)]
        assert network.rpc("evm_revert", inner) is True
        assert balance(network) == before + round_ + 1
        assert network.rpc("eth_getTransactionReceipt", kept) is not None
        for hash_ in lost:
            assert network.rpc("eth_getTransactionReceipt", hash_) is None
        assert network.rpc("evm_revert", inner) is False
    assert network.rpc("evm_revert", outer) is True
    assert balance(network) == before
    send(network, 5)
    assert balance(network) == before + 5


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
def test_web_page_of_elsewhere_does_not_rule_the_network(
    network: RunningNetwork, headers: dict[str, str]
) -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "evm_snapshot", "params": []}
    answer = httpx.post(network.url, json=body, headers=headers).json()
    assert "dev controls answer local tools" in answer["error"]["message"]
