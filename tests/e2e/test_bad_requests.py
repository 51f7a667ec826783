"""Bad requests get the documented error, change nothing, and the service lives on."""

from typing import Any

import pytest
from eth_account import Account

from tests.support.networks import SECOND_KEY, RpcFailure, RunningNetwork, wait_for

ACCOUNT = Account.from_key(SECOND_KEY)


@pytest.fixture(autouse=True)
def _lives_on(network: RunningNetwork) -> Any:
    yield
    assert network.rpc("eth_chainId") == "0x5afd"


def next_nonce(network: RunningNetwork) -> int:
    return int(network.rpc("eth_getTransactionCount", ACCOUNT.address, "latest"), 16)


def sign(network: RunningNetwork, **changes: Any) -> str:
    fields = {
        "to": "0x" + "11" * 20,
        "value": 1,
        "gas": 40_000,
        "gasPrice": 100 * 10**9,
        "nonce": next_nonce(network),
        "chainId": 0x5AFD,
        "data": b"",
    }
    return "0x" + bytes(ACCOUNT.sign_transaction(fields | changes).raw_transaction).hex()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (b"17", -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_nothing","params":[]}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12","latest"]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[7,{}]}', -32602),
    ],
)
def test_request_of_the_wrong_form(network: RunningNetwork, body: bytes, code: int) -> None:
    assert network.post(body).json()["error"]["code"] == code


def test_oversize_body_is_refused(network: RunningNetwork) -> None:
    answer = network.post(b'{"x":"' + b"a" * (5 * 1024 * 1024) + b'"}')
    assert answer.status_code == 413


@pytest.mark.parametrize("raw", ["0x", "0x00", "0xc0", "0x02c0", "0x" + "deadbeef" * 8, "0x05c1c0"])
def test_bytes_that_are_no_transaction(network: RunningNetwork, raw: str) -> None:
    with pytest.raises(RpcFailure, match="malformed transaction") as caught:
        network.rpc("eth_sendRawTransaction", raw)
    assert caught.value.code == -32000


def test_other_chain(network: RunningNetwork) -> None:
    with pytest.raises(RpcFailure, match="malformed transaction"):
        network.rpc("eth_sendRawTransaction", sign(network, chainId=1))


def test_low_nonce(network: RunningNetwork) -> None:
    raw = sign(network)
    used = next_nonce(network)
    network.rpc("eth_sendRawTransaction", raw)
    wait_for(lambda: next_nonce(network) > used, 60, "the transaction is mined")
    # One that has not seen its round yet may be the node that is asked.
    network.until_level()
    with pytest.raises(RpcFailure, match="module: core code: 4 message: invalid nonce"):
        network.rpc("eth_sendRawTransaction", sign(network, nonce=used, value=2))


def test_gap_in_nonces_waits_and_then_runs(network: RunningNetwork) -> None:
    nonce = next_nonce(network)
    later = network.rpc("eth_sendRawTransaction", sign(network, nonce=nonce + 1))
    assert network.rpc("eth_getTransactionReceipt", later) is None
    assert network.rpc("eth_getTransactionByHash", later) is None
    network.rpc("eth_sendRawTransaction", sign(network, nonce=nonce))
    wait_for(lambda: network.rpc("eth_getTransactionReceipt", later) is not None, 60, "both run")


def test_low_gas_price(network: RunningNetwork) -> None:
    with pytest.raises(RpcFailure, match="module: core code: 20"):
        network.rpc("eth_sendRawTransaction", sign(network, gasPrice=1))


def test_more_than_the_balance(network: RunningNetwork) -> None:
    poor = Account.create()
    raw = poor.sign_transaction(
        {
            "to": "0x" + "11" * 20,
            "value": 1,
            "gas": 40_000,
            "gasPrice": 100 * 10**9,
            "nonce": 0,
            "chainId": 0x5AFD,
        }
    ).raw_transaction
    with pytest.raises(RpcFailure, match="module: core code: 5"):
        network.rpc("eth_sendRawTransaction", "0x" + bytes(raw).hex())


def test_too_many_rounds_of_logs(network: RunningNetwork) -> None:
    with pytest.raises(RpcFailure, match="max allowed of rounds in logs query is: 100"):
        network.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x1000"})


def test_envelope_that_does_not_open(network: RunningNetwork) -> None:
    key = network.rpc("oasis_callDataPublicKey")
    envelope = bytes.fromhex(
        "a264626f6479a462706b5820"
        + key["key"][2:]
        + "6464617461581b"
        + "00" * 27
        + "6565706f636800656e6f6e63654f"
        + "00" * 15
        + "66666f726d617401"
    )
    with pytest.raises(RpcFailure, match="core: invalid call format") as caught:
        network.rpc("eth_call", {"to": "0x" + "22" * 20, "data": "0x" + envelope.hex()}, "latest")
    assert caught.value.code == -32000
