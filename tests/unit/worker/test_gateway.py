"""A gateway that answers anything: the worker's host meets it with typed errors."""

import json
from typing import Any

import httpx
import pytest

from services.worker import gateway as client
from services.worker.gateway import Gateway, GatewaySilent, NotMined
from shared.crypto.hashes import sha512_256
from shared.encoding import cbor
from shared.errors import QanatError, RuntimeRejected


def answering(**results: Any) -> Gateway:
    """A gateway with these results by method; others are unknown to it."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if asked["method"] not in results:
            return httpx.Response(200, json={"id": 1, "error": {"code": -1, "message": "what?"}})
        return httpx.Response(200, json={"id": asked["id"], "result": results[asked["method"]]})

    return Gateway("gateway:1", httpx.MockTransport(answer))


def saying(content: bytes, status: int = 200) -> Gateway:
    return Gateway(
        "gateway:1", httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    )


async def test_what_it_refuses_is_told_as_it_says():
    async with answering() as gateway:
        with pytest.raises(RuntimeRejected, match=r"oasis_query: what\?"):
            await gateway.fetch_gas_price()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"1", b"{}", b'{"error": {}}', b'{"result"', b"\xff", b"[" * 100_000],
)
async def test_what_is_no_json_rpc_is_no_answer(content):
    async with saying(content) as gateway:
        with pytest.raises(GatewaySilent):
            await gateway.submit(b"raw")


async def test_an_answer_without_an_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 1_000)
    async with saying(b'{"result": "0x' + b"00" * 1_000 + b'"}') as gateway:
        with pytest.raises(GatewaySilent):
            await gateway.submit(b"raw")


@pytest.mark.parametrize("value", [None, 1, "zz", "0x0", [], {}, {"result": 1}])
async def test_values_of_another_kind_are_no_bug(value):
    names = ("oasis_query", "oasis_callDataPublicKey", "oasis_proveApp")
    async with answering(**dict.fromkeys(names, value)) as gateway:
        for ask in (
            gateway.fetch_gas_price,
            lambda: gateway.fetch_nonce(bytes(21)),
            lambda: gateway.fetch_balance(bytes(21)),
            gateway.fetch_call_key,
            lambda: gateway.prove_app(bytes(21), 7),
        ):
            with pytest.raises(QanatError):
                await ask()
    async with answering(oasis_getTransactionResult=value) as gateway:
        if value is None:
            assert await gateway.fetch_result(bytes(32)) is None
        else:
            with pytest.raises(QanatError):
                await gateway.fetch_result(bytes(32))


@pytest.mark.parametrize("value", [-1, "1", None, 2**64, True, {"balances": 1}, {b"": b"1"}])
async def test_cbor_of_another_kind_is_no_bug(value):
    raw = "0x" + cbor.encode_loosely(value).hex()
    async with answering(oasis_query=raw) as gateway:
        for ask in (gateway.fetch_nonce, gateway.fetch_balance):
            with pytest.raises(QanatError):
                await ask(bytes(21))


async def test_a_transaction_that_is_in_no_block_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_S", 0.02)
    monkeypatch.setattr(client, "POLL_S", 0.01)
    hash_ = "0x" + sha512_256(b"raw").hex()
    known = {"oasis_sendRawTransaction": hash_}
    async with answering(**known, oasis_getTransactionResult=None) as gateway:
        with pytest.raises(NotMined):
            await gateway.execute(b"raw")
    async with answering(**known, oasis_getTransactionResult={"result": "0xa0"}) as gateway:
        assert await gateway.execute(b"raw") == b"\xa0"
