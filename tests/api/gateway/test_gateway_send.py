"""When and how the gateway answers to a transaction."""

import asyncio

import pytest

from shared.api.compute import Submission
from shared.crypto.hashes import keccak256
from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.signing import sign
from tests.support.turns import turns, until


def hash_of(raw: str) -> str:
    return "0x" + keccak256(bytes.fromhex(raw[2:])).hex()


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def test_answer_comes_with_the_block_so_the_first_look_for_the_receipt_succeeds(gateway):
    for nonce in range(5):
        raw = sign(nonce)
        assert await gateway.rpc("eth_sendRawTransaction", raw) == hash_of(raw)
        receipt = await gateway.rpc("eth_getTransactionReceipt", hash_of(raw))
        assert receipt["status"] == "0x1"


async def test_answer_waits_for_the_block(gateway):
    gateway.chain.is_automatic = False
    asking = asyncio.create_task(gateway.rpc("eth_sendRawTransaction", sign(0)))
    await until(lambda: gateway.chain.pool)
    await turns()
    assert not asking.done()
    gateway.chain.mine()
    assert await asking == hash_of(sign(0))


async def test_answer_does_not_wait_longer_than_it_may(gateway, monkeypatch):
    monkeypatch.setattr("services.gateway.rpc.eth_send.MINED_WAIT_S", 0.05)
    gateway.chain.is_automatic = False
    assert await gateway.rpc("eth_sendRawTransaction", sign(0)) == hash_of(sign(0))
    assert await gateway.rpc("eth_getTransactionReceipt", hash_of(sign(0))) is None


async def test_admitted_answers_before_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr("services.gateway.rpc.eth_send.MINED_WAIT_S", 60)
    async with running_gateway(tmp_path, answer="admitted") as gateway:
        gateway.chain.is_automatic = False
        async with asyncio.timeout(10):
            assert await gateway.rpc("eth_sendRawTransaction", sign(0)) == hash_of(sign(0))


async def test_transaction_that_waits_for_another_nonce_is_answered_at_once(gateway, monkeypatch):
    async def gapped(raws):
        return tuple(Submission(bytes(32), missing_sequence=4) for _ in raws)

    monkeypatch.setattr(gateway.computes[0], "submit_transactions", gapped)
    monkeypatch.setattr("services.gateway.rpc.eth_send.MINED_WAIT_S", 60)
    async with asyncio.timeout(10):
        assert await gateway.rpc("eth_sendRawTransaction", sign(5)) == hash_of(sign(5))
    error = await gateway.error("eth_sendRawTransactionSync", sign(5))
    assert (error["code"], error["data"]) == (6, "0x4")


async def test_sync_gives_the_receipt(gateway):
    raw = sign(0)
    receipt = await gateway.rpc("eth_sendRawTransactionSync", raw)
    assert receipt == await gateway.rpc("eth_getTransactionReceipt", hash_of(raw))
    assert receipt["status"] == "0x1"


@pytest.mark.parametrize("wanted", [30, "0x1e"])
async def test_sync_gives_up_after_the_wanted_time_and_names_the_transaction(gateway, wanted):
    gateway.chain.is_automatic = False
    async with asyncio.timeout(1):
        error = await gateway.error("eth_sendRawTransactionSync", sign(0), wanted)
    assert (error["code"], error["data"]) == (4, hash_of(sign(0)))
    assert "wasn't processed in 30 ms" in error["message"]
    await gateway.mine()
    assert await gateway.rpc("eth_getTransactionReceipt", hash_of(sign(0))) is not None


@pytest.mark.parametrize("wanted", [0, -1, "soon", 10**9, None, {}])
async def test_sync_with_a_time_that_is_none_waits_as_long_as_is_usual(tmp_path, wanted):
    async with running_gateway(tmp_path, sync_timeout_ms=40) as gateway:
        gateway.chain.is_automatic = False
        error = await gateway.error("eth_sendRawTransactionSync", sign(0), wanted)
    assert "wasn't processed in 40 ms" in error["message"]


async def test_sync_refuses_as_the_other_method_does(gateway):
    assert await gateway.error("eth_sendRawTransactionSync", "0xdead") == await gateway.error(
        "eth_sendRawTransaction", "0xdead"
    )


async def test_pending_counts_what_waits_in_the_pool(tmp_path):
    async with running_gateway(tmp_path, answer="admitted") as gateway:
        gateway.chain.is_automatic = False
        for nonce in range(3):
            assert await pending_nonce(gateway) == nonce
            await gateway.rpc("eth_sendRawTransaction", sign(nonce))
        assert await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "latest") == "0x0"
        await gateway.mine()
        assert await pending_nonce(gateway) == 3
        assert await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "latest") == "0x3"


async def pending_nonce(gateway) -> int:
    return int(await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "pending"), 16)
