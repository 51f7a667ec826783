"""Filters that are polled, and what a rewind does to them and to subscriptions."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from services.gateway.rpc import filters
from tests.support.gateway import listening, running_gateway
from tests.support.signing import log_emitter, sign
from tests.support.turns import until

TOPIC, OTHER = b"\xcc" * 32, b"\xdd" * 32


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def emit(gateway, nonce, topic=TOPIC) -> str:
    return await gateway.send(sign(nonce, to=b"", value=0, data=log_emitter(topic), gas=500_000))


async def test_log_filter_gives_each_event_once(gateway):
    await emit(gateway, 0)
    id_ = await gateway.rpc("eth_newFilter", {"topics": ["0x" + TOPIC.hex()]})
    assert await gateway.rpc("eth_getFilterChanges", id_) == []
    hashes = [await emit(gateway, 1), await emit(gateway, 2)]
    await emit(gateway, 3, OTHER)
    changes = await gateway.rpc("eth_getFilterChanges", id_)
    assert [log["transactionHash"] for log in changes] == hashes
    assert await gateway.rpc("eth_getFilterChanges", id_) == []


async def test_filter_logs_are_all_that_the_query_finds(gateway):
    first = await emit(gateway, 0)
    id_ = await gateway.rpc("eth_newFilter", {"fromBlock": "0x0", "topics": ["0x" + TOPIC.hex()]})
    second = await emit(gateway, 1)
    logs = await gateway.rpc("eth_getFilterLogs", id_)
    assert [log["transactionHash"] for log in logs] == [first, second]
    query = {"fromBlock": "0x0", "topics": ["0x" + TOPIC.hex()]}
    assert logs == await gateway.rpc("eth_getLogs", query)


async def test_filter_without_a_first_block_gives_all_since_it_was_made(gateway):
    await emit(gateway, 0)
    id_ = await gateway.rpc("eth_newFilter", {"topics": ["0x" + TOPIC.hex()]})
    assert await gateway.rpc("eth_getFilterLogs", id_) == []
    since = [await emit(gateway, 1), await emit(gateway, 2)]
    logs = await gateway.rpc("eth_getFilterLogs", id_)
    assert [log["transactionHash"] for log in logs] == since
    assert logs == await gateway.rpc("eth_getFilterLogs", id_)
    # On a chain with more blocks than a range may have, too.
    while int(await gateway.rpc("eth_blockNumber"), 16) <= 110:
        await gateway.mine()
    late = await gateway.rpc("eth_newFilter", {})
    newest = await emit(gateway, 3)
    logs = await gateway.rpc("eth_getFilterLogs", late)
    assert [log["transactionHash"] for log in logs] == [newest]


async def test_changes_keep_to_the_blocks_that_the_query_names(gateway):
    newest = int(await gateway.rpc("eth_blockNumber"), 16)
    id_ = await gateway.rpc(
        "eth_newFilter", {"fromBlock": hex(newest + 2), "toBlock": hex(newest + 2)}
    )
    hashes = [await emit(gateway, nonce) for nonce in range(3)]
    changes = await gateway.rpc("eth_getFilterChanges", id_)
    assert [log["transactionHash"] for log in changes] == [hashes[1]]


async def test_block_filter_gives_hashes(gateway):
    id_ = await gateway.rpc("eth_newBlockFilter")
    numbers = [await gateway.mine() for _ in range(3)]
    expected = ["0x" + gateway.chain.blocks[number].header.hash().hex() for number in numbers]
    assert await gateway.rpc("eth_getFilterChanges", id_) == expected
    assert await gateway.rpc("eth_getFilterChanges", id_) == []


async def test_pending_filter_gives_what_clients_hand_in(gateway):
    id_ = await gateway.rpc("eth_newPendingTransactionFilter")
    hashes = [await gateway.send(sign(nonce)) for nonce in range(2)]
    assert await gateway.rpc("eth_getFilterChanges", id_) == hashes
    assert await gateway.rpc("eth_getFilterChanges", id_) == []
    refused = await gateway.error("eth_sendRawTransaction", sign(0, value=2))
    assert refused
    assert await gateway.rpc("eth_getFilterChanges", id_) == []


async def test_pending_filter_that_sleeps_gets_the_newest(gateway, monkeypatch):
    methods = next(
        method.answer.__self__
        for name, method in gateway.app._endpoint._tables[b"strict", True].items()
        if name == "eth_newFilter"
    )
    id_ = await gateway.rpc("eth_newPendingTransactionFilter")
    for number in range(filters.MAX_PENDING + 5):
        methods._note_pending(number.to_bytes(32, "big"))
    changes = await gateway.rpc("eth_getFilterChanges", id_)
    assert len(changes) == filters.MAX_PENDING
    assert int(changes[-1], 16) == filters.MAX_PENDING + 4


async def test_uninstalled_and_unknown_filters_are_not_found(gateway):
    id_ = await gateway.rpc("eth_newBlockFilter")
    assert await gateway.rpc("eth_uninstallFilter", id_) is True
    assert await gateway.rpc("eth_uninstallFilter", id_) is False
    for method in ("eth_getFilterChanges", "eth_getFilterLogs"):
        error = await gateway.error(method, id_)
        assert error == {"code": -32000, "message": "filter not found"}
    blocks = await gateway.rpc("eth_newBlockFilter")
    assert (await gateway.error("eth_getFilterLogs", blocks))["message"] == "filter not found"


async def test_filter_that_nobody_polls_ends(gateway, monkeypatch):
    id_ = await gateway.rpc("eth_newBlockFilter")
    monkeypatch.setattr(filters, "LIFE_S", 0)
    assert (await gateway.error("eth_getFilterChanges", id_))["message"] == "filter not found"


async def test_filters_are_bounded_and_old_ones_make_room(gateway, monkeypatch):
    monkeypatch.setattr(filters, "MAX_FILTERS", 2)
    for _ in range(2):
        await gateway.rpc("eth_newBlockFilter")
    error = await gateway.error("eth_newBlockFilter")
    assert error["message"] == "too many filters, at most 2"
    monkeypatch.setattr(filters, "LIFE_S", 0)
    assert await gateway.rpc("eth_newBlockFilter")


async def test_long_answers_come_in_parts(gateway, monkeypatch):
    monkeypatch.setattr(filters, "MAX_ROUNDS", 2)
    id_ = await gateway.rpc("eth_newBlockFilter")
    for _ in range(5):
        await gateway.mine()
    lengths = [len(await gateway.rpc("eth_getFilterChanges", id_)) for _ in range(4)]
    assert lengths == [2, 2, 1, 0]


async def test_rewind_takes_back_what_a_filter_has_given(gateway):
    logs = await gateway.rpc("eth_newFilter", {})
    blocks = await gateway.rpc("eth_newBlockFilter")
    first, second = await emit(gateway, 0), await emit(gateway, 1)
    await gateway.rpc("eth_getFilterChanges", logs)
    await gateway.rpc("eth_getFilterChanges", blocks)
    gateway.chain.rewind(gateway.chain.newest.round - 1)
    gateway.chain.advance_epoch()
    await until(lambda: gateway.node.index.newest.header == gateway.chain.newest)
    again = await emit(gateway, 1, OTHER)
    changes = await gateway.rpc("eth_getFilterChanges", logs)
    shown = [(log["transactionHash"], log["removed"]) for log in changes]
    assert shown == [(second, True), (again, False)]
    assert first not in dict(shown)
    newest = [block.header.hash().hex() for block in gateway.chain.blocks[-2:]]
    assert await gateway.rpc("eth_getFilterChanges", blocks) == ["0x" + one for one in newest]


async def test_rewind_does_not_take_back_what_was_never_given(gateway):
    logs = await gateway.rpc("eth_newFilter", {})
    await emit(gateway, 0)
    gateway.chain.rewind(1)
    gateway.chain.advance_epoch()
    await until(lambda: gateway.node.index.newest.header == gateway.chain.newest)
    again = await emit(gateway, 0, OTHER)
    changes = await gateway.rpc("eth_getFilterChanges", logs)
    assert [log["transactionHash"] for log in changes] == [again]


async def test_filter_of_events_to_come_by_hash_is_refused(gateway):
    error = await gateway.error("eth_newFilter", {"blockHash": "0x" + "00" * 32})
    assert "block hash" in error["message"]


# -- subscriptions -----------------------------------------------------------------------------


async def ask(client, method, *params):
    await client.send(json.dumps({"id": 1, "method": method, "params": params}))
    return json.loads(await client.recv())


async def next_result(client):
    message = json.loads(await asyncio.wait_for(client.recv(), 10))
    return message["params"]["result"]


async def test_subscription_says_which_events_a_rewind_removed(gateway):
    async with listening(gateway.app) as port, connect(f"ws://127.0.0.1:{port}") as client:
        await ask(client, "eth_subscribe", "logs", {"topics": ["0x" + TOPIC.hex()]})
        hashes = [await emit(gateway, nonce) for nonce in range(2)]
        given = [await next_result(client) for _ in range(2)]
        assert [log["transactionHash"] for log in given] == hashes
        gateway.chain.rewind(1)
        removed = [await next_result(client) for _ in range(2)]
        assert removed == [log | {"removed": True} for log in reversed(given)]
        again = await emit(gateway, 0)
        assert (await next_result(client))["transactionHash"] == again


async def test_subscription_to_what_clients_hand_in(gateway):
    async with listening(gateway.app) as port, connect(f"ws://127.0.0.1:{port}") as client:
        id_ = (await ask(client, "eth_subscribe", "newPendingTransactions"))["result"]
        hash_ = await gateway.send(sign(0))
        assert await next_result(client) == hash_
        assert (await ask(client, "eth_unsubscribe", id_))["result"] is True


@pytest.mark.parametrize("details", [{"topics": "0x"}, 7, "x"])
async def test_subscription_to_a_wrong_query_is_a_bad_parameter(gateway, details):
    async with listening(gateway.app) as port, connect(f"ws://127.0.0.1:{port}") as client:
        error = (await ask(client, "eth_subscribe", "logs", details))["error"]
        assert error["code"] == -32602
        assert error["message"].startswith("invalid argument 1: ")
