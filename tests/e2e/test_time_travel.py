"""Time and mining as test suites use them: by RPC, viem's test client, and Hardhat's helpers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.support.networks import (
    SECOND_KEY,
    RpcFailure,
    RunningNetwork,
    wait_for,
)
from tests.support.node_clients import run_client

ACCOUNT = Account.from_key("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a")
CLOCK = "0x66425f5260205ff35f5260076019f3"
"""Makes a contract that answers TIMESTAMP: PUSH0 MSTORE 32 PUSH0 RETURN behind it."""
DAY_S = 86_400


@pytest.fixture
def rewound(network: RunningNetwork) -> Iterator[RunningNetwork]:
    """A network that is where it was, and when it was, when the test is over."""
    snapshot = network.rpc("evm_snapshot")
    yield network
    assert network.rpc("evm_revert", snapshot) is True
    wait_for(lambda: network.get("/health").status_code == 200, 60, "the gateway is ready")


def newest(network: RunningNetwork) -> dict[str, Any]:
    block: dict[str, Any] = network.rpc("eth_getBlockByNumber", "latest", False)
    return block


def timestamp(block: dict[str, Any]) -> int:
    return int(block["timestamp"], 16)


def send(network: RunningNetwork, nonce: int, **changes: Any) -> str:
    fields = {
        "to": ACCOUNT.address,
        "value": 1,
        "gas": 200_000,
        "gasPrice": 100 * 10**9,
        "nonce": nonce,
        "chainId": 0x5AFD,
    }
    raw = ACCOUNT.sign_transaction(fields | changes).raw_transaction
    hash_: str = network.rpc("eth_sendRawTransaction", "0x" + bytes(raw).hex())
    return hash_


def next_nonce(network: RunningNetwork) -> int:
    return int(network.rpc("eth_getTransactionCount", ACCOUNT.address, "pending"), 16)


def test_a_month_passes_in_one_call_and_the_network_serves_on(rewound: RunningNetwork) -> None:
    before = timestamp(newest(rewound))
    nonce = next_nonce(rewound)
    for passed in (30, 60):
        assert rewound.rpc("evm_increaseTime", 30 * DAY_S) == passed * DAY_S
        assert before + passed * DAY_S <= timestamp(newest(rewound)) < before + passed * DAY_S + 600
        hash_ = send(rewound, nonce)
        nonce += 1
        wait_for(
            lambda hash_=hash_: rewound.rpc("eth_getTransactionReceipt", hash_) is not None,
            60,
            "the transaction is in a block",
        )
        # Encrypted calls go through every node, with the keys of the epoch that is now.
        wait_for(lambda: rewound.get("/health").status_code == 200, 60, "the gateway is ready")
    rewound.until_level(60)


def test_contracts_see_the_chosen_time(rewound: RunningNetwork) -> None:
    nonce = next_nonce(rewound)
    made = send(rewound, nonce, to="", value=0, data=CLOCK)
    clock = rewound.rpc("eth_getTransactionReceipt", made)["contractAddress"]
    chosen = timestamp(newest(rewound)) + 1_000
    assert rewound.rpc("evm_setNextBlockTimestamp", chosen) == str(chosen)
    assert int(rewound.rpc("eth_call", {"to": clock}, "latest"), 16) == chosen
    hash_ = send(rewound, nonce + 1)
    receipt = rewound.rpc("eth_getTransactionReceipt", hash_)
    block = rewound.rpc("eth_getBlockByNumber", receipt["blockNumber"], False)
    assert timestamp(block) == chosen
    with pytest.raises(RpcFailure, match="lower than the previous block's"):
        rewound.rpc("evm_setNextBlockTimestamp", chosen - 1)


def test_mining_is_counted_and_waits_where_it_should(rewound: RunningNetwork) -> None:
    assert rewound.rpc("evm_setAutomine", False) is True
    assert rewound.rpc("hardhat_getAutomine") is False
    start, nonce = rewound.block_number(), next_nonce(rewound)
    hashes = [send(rewound, nonce), send(rewound, nonce + 1)]
    assert [rewound.rpc("eth_getTransactionReceipt", one) for one in hashes] == [None, None]
    assert rewound.rpc("evm_mine", {"blocks": 3}) == "0x0"
    # An epoch, or a node that comes back, may add a block of its own.
    assert start + 3 <= rewound.block_number() <= start + 6
    blocks = {rewound.rpc("eth_getTransactionReceipt", one)["blockNumber"] for one in hashes}
    assert len(blocks) == 1
    assert start < int(blocks.pop(), 16) <= start + 4
    before = rewound.block_number()
    assert rewound.rpc("anvil_mine", "0x2", 5) is True
    assert before + 2 <= rewound.block_number() <= before + 4
    assert int(rewound.rpc("anvil_nodeInfo")["currentBlockNumber"], 16) >= before + 2
    assert rewound.rpc("hardhat_metadata")["chainId"] == 0x5AFD


@pytest.mark.node
def test_viem_test_client_rules_the_network(rewound: RunningNetwork, node_clients: Path) -> None:
    told = run_client(node_clients, "viem_test_client.mjs", rewound.url, SECOND_KEY, timeout_s=120)
    for seen in told.values():
        assert 30 * DAY_S <= seen["moved"] < 30 * DAY_S + 600
        assert seen["chosen"] is True
        assert 20 <= seen["mined"] < 200
        assert seen["spread"] >= 19 * 60
        assert (seen["automine"], seen["absent"], seen["status"]) == (False, True, "success")
        assert 0 <= seen["back"] < 600
        assert seen["edited"] == {
            "balance": "5",
            "nonce": 7,
            "code": "0x5f545f5260205ff3",
            "answer": "0x" + "ab" * 32,
            "from": "0x00000000000000000000000000000000cafe0002",
        }
