"""
Whatever a tool sends, and whatever a gateway answers: a documented answer, and no calldata that
leaves in plain.
"""

import asyncio
import json

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qanat.view.answers import Answers
from qanat.view.chain import Chain
from qanat.view.envelopes import EpochKey
from qanat.view.gateway import Gateway
from qanat.view.journal import Sent
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from qanat.view.passed import METHODS, PLAIN_CALLS
from qanat.view.rpc import Rpc
from services.gateway.pooled import read_transaction
from tests.support.gateway import FIRST_ADDRESS, SECOND_ADDRESS
from tests.support.short_run import examples
from tests.support.signing import sign

SECRET = b"calldata that nobody on the way may read"
NEEDLE = SECRET.hex()
KEYS = Keyring([bytes(range(1, 33)), bytes([7]) * 32])
OURS = "0x" + KEYS.addresses[0].hex()
HASH = "0x" + "ab" * 32
EPOCH_KEY = {"key": "0x" + "09" + "00" * 31, "checksum": "0x", "signature": "0x", "epoch": 5}
HEADER = {"number": "0x10", "parentHash": HASH, "hash": HASH}
HONEST = {
    "oasis_callDataPublicKey": EPOCH_KEY,
    "eth_getBlockByNumber": HEADER,
    "eth_getBlockByHash": HEADER,
    "eth_chainId": "0x5afd",
    "eth_gasPrice": "0x174876e800",
    "eth_getTransactionCount": "0x3",
    "eth_estimateGas": "0x5208",
    "eth_sendRawTransaction": HASH,
}
SEALED = ("eth_call", "eth_estimateGas", "eth_sendTransaction", "eth_signTransaction")
NAMES = st.sampled_from(["data", "input", "DATA", "Input", "dAta"])
BLOCKS = st.sampled_from(["latest", "pending", "earliest", "0x5", None, {"blockHash": HASH}, 7])
SENDERS = st.sampled_from([OURS, FIRST_ADDRESS, SECOND_ADDRESS, None, "0x", 5])
JSON = st.recursive(
    st.sampled_from(["0x", HASH, OURS, "latest", "0x5", "", "0x" + "00" * 80, 0, 2**70, None, True])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)


class FakeGateway(httpx.AsyncBaseTransport):
    """Answers what it is told to, and hears everything."""

    def __init__(self, answer) -> None:
        self._answer, self.heard = answer, b""

    async def handle_async_request(self, request):
        body = await request.aread()
        self.heard += body
        asked = orjson.loads(body)
        shown = list(map(self._one, asked)) if type(asked) is list else self._one(asked)
        return httpx.Response(200, content=json.dumps(shown).encode())

    def _one(self, request):
        return {"jsonrpc": "2.0", "id": request["id"]} | self._answer(request["method"])


def honest(method):
    if method in HONEST:
        return {"result": HONEST[method]}
    return {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}


def ask(body, answer=honest, *, passes_foreign=False):
    """Give what the tool hears, and what the gateway heard."""

    async def run():
        transport = FakeGateway(answer)
        async with Gateway("http://localhost:8545", transport=transport) as gateway:
            chain = Chain(gateway, is_confidential=True)
            answers = Answers(
                gateway, chain, KEYS, LeakLog(lambda _: None), passes_foreign=passes_foreign
            )
            raw = await Rpc().answer(
                body, lambda method, params: answers.answer(method, params, {})
            )
            return raw, transport.heard

    return asyncio.run(run())


def check(raw):
    """Verify an answer, and that no bug made it."""
    for one in answered if type(answered := orjson.loads(raw or b"[]")) is list else [answered]:
        assert one["jsonrpc"] == "2.0"
        if "error" in one and type(one["error"].get("message")) is str:
            assert "internal error" not in one["error"]["message"], one


@given(
    st.sampled_from([*SEALED, *sorted(PLAIN_CALLS)]), NAMES, SENDERS, BLOCKS, JSON, st.booleans()
)
def test_calldata_of_a_call_object_never_leaves_in_plain(
    method, name, sender, block, more, is_by_name
):
    call = {"from": sender, "to": SECOND_ADDRESS, name: "0x" + NEEDLE, "nonce": "0x1"}
    if type(more) is dict:
        call |= {key: one for key, one in more.items() if key.lower() not in ("data", "input")}
    params = {"request": call, "block": block} if is_by_name else [call, block]
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    raw, heard = ask(json.dumps(request))
    check(raw)
    assert NEEDLE.encode() not in heard.lower()


@settings(max_examples=examples(100), deadline=None)
@given(st.text(max_size=12).map(lambda tail: "eth_" + tail), JSON)
def test_methods_that_nobody_knows_send_nothing(method, params):
    if method in METHODS:
        return
    request = {"id": 1, "method": method, "params": [{"data": "0x" + NEEDLE}, params]}
    raw, heard = ask(json.dumps(request))
    check(raw)
    assert heard == b""


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 255))
def test_spoiled_raw_transactions_never_leave_in_plain(tail, place, byte):
    raw = bytearray.fromhex(sign(3, data=SECRET, key="0x" + bytes(range(1, 33)).hex())[2:])
    raw[min(place, len(raw) - 1)] = byte
    for one in (bytes(raw), bytes(raw) + tail, bytes([2]) + bytes(raw), bytes(raw[:-1])):
        request = {"id": 1, "method": "eth_sendRawTransaction", "params": ["0x" + one.hex()]}
        answer, heard = ask(json.dumps(request))
        check(answer)
        if NEEDLE in one.hex():
            assert NEEDLE.encode() not in heard


@given(
    JSON,
    st.sampled_from([*SEALED, "eth_sendRawTransaction", "eth_getTransactionByHash"]),
    st.sampled_from([*HONEST, "eth_call", "eth_getTransactionByHash"]),
    st.sampled_from(["result", "error", "key"]),
)
@settings(max_examples=examples(200), deadline=None)
def test_a_gateway_that_answers_nonsense_makes_an_error_of_the_tool(answer, method, spoiled, place):
    """One of its answers is nonsense, all others are honest."""
    call = {"from": OURS, "to": SECOND_ADDRESS, "data": "0x" + NEEDLE}
    params = {
        "eth_sendRawTransaction": [sign(3, data=SECRET, key="0x" + bytes(range(1, 33)).hex())],
        "eth_getTransactionByHash": [HASH],
    }
    request = {"id": 1, "method": method, "params": params.get(method, [call])}
    shown = {"result": {"key": answer, "number": answer}} if place == "key" else {place: answer}
    raw, heard = ask(json.dumps(request), lambda one: shown if one == spoiled else honest(one))
    check(raw)
    assert NEEDLE.encode() not in heard


@settings(max_examples=examples(100), deadline=None)
@given(JSON | st.text(max_size=30))
def test_any_body_gets_an_answer(value):
    raw, _ = ask(json.dumps(value))
    check(raw)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_passes_passes_by_name_and_position(method):
    for params in ([HASH], {"hash": HASH}, [], None, "nonsense", 5):
        raw, _ = ask(json.dumps({"id": 1, "method": method, "params": params}))
        check(raw)


@pytest.mark.parametrize("depth", [1, 20, 200, 300, 1000, 1200])
def test_any_nesting_gets_an_answer(depth):
    nested = "[" * depth + "]" * depth
    body = f'{{"id":1,"method":"eth_getLogs","params":[{{"topics":{nested}}}]}}'
    check(ask(body)[0])


@pytest.mark.parametrize("place", ["result", "error"])
@pytest.mark.parametrize("depth", [1, 100, 400])
def test_any_nesting_of_an_answer_is_shown_or_named(depth, place):
    answer = json.loads("[" * depth + "]" * depth)

    async def run():
        transport = FakeGateway(lambda _: {place: {"data": answer}})
        async with Gateway("http://localhost:8545", transport=transport) as gateway:
            chain = Chain(gateway, is_confidential=True)
            answers = Answers(gateway, chain, KEYS, LeakLog())
            plain = read_transaction(bytes.fromhex(sign(1)[2:]))
            answers.journal.add(Sent(HASH, HASH, plain, b"", EpochKey(1, b""), b""))
            body = b'{"id":1,"method":"eth_getLogs","params":[{}]}'
            return await Rpc().answer(
                body, lambda method, params: answers.answer(method, params, {})
            )

    check(asyncio.run(run()))
