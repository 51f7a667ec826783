"""What users of the original, and of the first slice, tripped over, on a running network."""

import json
import socket
from typing import Any

import pytest
from eth_account import Account

from tests.support.networks import RpcFailure, RunningNetwork, wait_for

ACCOUNT = Account.from_key("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a")
RECEIVER = "0x" + "11" * 20
LOG_INIT_CODE = bytes.fromhex("7f" + "cc" * 32 + "60006000a160006000f3")
"""Emits one event and leaves an empty contract."""


def count(network: RunningNetwork, tag: str) -> int:
    return int(network.rpc("eth_getTransactionCount", ACCOUNT.address, tag), 16)


def sign(network: RunningNetwork, **changes: Any) -> str:
    fields = {
        "to": RECEIVER,
        "value": 1,
        "gas": 40_000,
        "gasPrice": 100 * 10**9,
        "chainId": 0x5AFD,
        "data": b"",
    } | changes
    if "nonce" not in fields:
        fields["nonce"] = count(network, "latest")
    return "0x" + bytes(ACCOUNT.sign_transaction(fields).raw_transaction).hex()


def test_two_sends_without_a_wait_are_both_mined_in_order(network: RunningNetwork) -> None:
    for _ in range(20):
        before = count(network, "latest")
        hashes = []
        for _ in range(2):
            raw = sign(network, nonce=count(network, "pending"))
            hashes.append(network.rpc("eth_sendRawTransaction", raw))
        found = [network.rpc("eth_getTransactionByHash", hash_) for hash_ in hashes]
        assert [int(one["nonce"], 16) for one in found] == [before, before + 1]
        assert count(network, "latest") == before + 2


def test_first_look_for_the_receipt_succeeds(network: RunningNetwork) -> None:
    for _ in range(10):
        hash_ = network.rpc("eth_sendRawTransaction", sign(network))
        assert network.rpc("eth_getTransactionReceipt", hash_)["status"] == "0x1"


def test_hundreds_from_one_account_without_a_look_back(network: RunningNetwork) -> None:
    first = count(network, "latest")
    raws = [sign(network, nonce=first + offset) for offset in range(200)]
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_sendRawTransaction", "params": [raw]}
        for n, raw in enumerate(reversed(raws))
    ]
    answers = network.post(json.dumps(batch).encode()).json()
    assert [one for one in answers if "error" in one] == []
    receipt = network.rpc("eth_sendRawTransactionSync", sign(network, nonce=first + 200), 20_000)
    assert receipt["status"] == "0x1"
    assert count(network, "pending") == first + 201


def test_sync_gives_the_receipt_or_names_the_missing_nonce(network: RunningNetwork) -> None:
    receipt = network.rpc("eth_sendRawTransactionSync", sign(network))
    assert receipt["status"] == "0x1"
    nonce = count(network, "latest")
    with pytest.raises(RpcFailure) as missing:
        network.rpc("eth_sendRawTransactionSync", sign(network, nonce=nonce + 1))
    assert (missing.value.code, missing.value.data) == (6, hex(nonce))
    network.rpc("eth_sendRawTransaction", sign(network, nonce=nonce))
    assert count(network, "pending") == nonce + 2
    # They may be mined in two rounds, and the next test begins where both are.
    wait_for(lambda: count(network, "latest") == nonce + 2, 30, "both are mined")


def test_field_names_in_other_case(network: RunningNetwork) -> None:
    receipt = network.rpc("eth_sendRawTransactionSync", sign(network, to=b"", value=0,
                          data=LOG_INIT_CODE, gas=500_000))  # fmt: skip
    (log,) = network.rpc("eth_getLogs", {"blockhash": receipt["blockHash"]})
    assert log["transactionHash"] == receipt["transactionHash"]
    number = receipt["blockNumber"]
    assert network.rpc("eth_getLogs", {"fromblock": number, "toblock": number}) == [log]
    identity = "0x" + "00" * 19 + "04"
    assert network.rpc("eth_call", {"To": identity, "Data": "0x1234"}, "latest") == "0x1234"


def test_log_has_the_time_of_its_block(network: RunningNetwork) -> None:
    receipt = network.rpc("eth_sendRawTransactionSync", sign(network, to=b"", value=0,
                          data=LOG_INIT_CODE, gas=500_000))  # fmt: skip
    block = network.rpc("eth_getBlockByHash", receipt["blockHash"], False)
    assert receipt["logs"][0]["blockTimestamp"] == block["timestamp"] != "0x0"


def test_transaction_that_is_too_large(network: RunningNetwork) -> None:
    raw = sign(network, to=b"", value=0, gas=5_000_000, data=bytes(140_000))
    with pytest.raises(RpcFailure, match=rf"size {len(raw) // 2 - 1} is too large, limit 131072"):
        network.rpc("eth_sendRawTransaction", raw)


def test_failed_transfer_of_21_000_gas_says_why(network: RunningNetwork) -> None:
    receipt = network.rpc("eth_sendRawTransactionSync", sign(network, gas=21_000))
    assert receipt["status"] == "0x0"
    outcome = network.rpc("oasis_getTransactionOutcome", receipt["transactionHash"])
    assert "out of gas" in outcome["error"]["message"]


@pytest.mark.parametrize("wrong", ["x", [1], [{"address": 1}]])
def test_wrong_access_list(network: RunningNetwork, wrong: Any) -> None:
    with pytest.raises(RpcFailure) as refused:
        network.rpc("eth_call", {"to": RECEIVER, "accessList": wrong}, "latest")
    assert refused.value.code == -32602


@pytest.mark.parametrize(("method", "refusals"), [("GET", ("400",)), ("POST", ("400", "405"))])
def test_broken_websocket_handshake(
    network: RunningNetwork, method: str, refusals: tuple[str, ...]
) -> None:
    with socket.create_connection(("127.0.0.1", network.http_port), timeout=30) as connection:
        connection.sendall(
            f"{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Key: broken\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        # A handshake is a GET; which fault of a POST is named first is the library's choice.
        assert connection.recv(100).decode().split()[1] in refusals
