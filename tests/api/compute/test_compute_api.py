"""The contracts of a compute node, kept by the node itself and over a socket."""

import asyncio

import pytest

from services.compute.admission import NodeBusy
from services.compute.mailbox import MAX_INBOX
from services.compute.rules.proposal import RoundDomain, build_proposal
from shared.api.compute import (
    ComputeApi,
    ComputePeerApi,
    compute_client,
    compute_peer,
)
from shared.api.evm import EvmQueries
from shared.crypto.signing import Signer
from shared.enclave.errors import RoundUnknown
from shared.encoding import cbor
from shared.encoding.record import MalformedRecord, encode_record
from shared.errors import BadRequest, MethodNotFound, RuntimeRejected
from shared.kit.callers import NotAdmitted
from shared.kit.dialing import Credentials
from shared.types.block import HeaderType
from shared.types.evm import EvmCall, EvmQuery
from shared.types.queries import MAX_QUERIES, Query
from tests.support.compute_nodes import (
    RICH,
    executed,
    raw,
    submit,
    until_executed,
    until_round,
)
from tests.support.keymanager import PARATIME_ID
from tests.support.signing import log_emitter
from tests.support.wire import SERVER, linked, posting, serving
from tests.support.world_genesis import address_of, identity_of, node_id_of


@pytest.fixture(params=["on_the_object", "over_a_socket", "by_posts"])
async def apis(request, world):
    """Give node `a` as a client sees it, and as a peer sees it."""
    service = world.services[address_of("compute-0")]
    if request.param == "on_the_object":
        yield service.find("fetch_status")[1], service.find("fetch_diffs")[1]
        return
    fellow = identity_of("compute-1").node
    async with serving(service) as server, linked(server, Credentials(fellow), SERVER) as link:
        if request.param == "over_a_socket":
            yield compute_client(link), compute_peer(link)
        else:
            async with posting(server, is_binary=True) as posts:
                yield compute_client(posts), compute_peer(link)


@pytest.fixture
def api(apis) -> ComputeApi:
    return apis[0]


@pytest.fixture
def peer(apis) -> ComputePeerApi:
    return apis[1]


def evm_call(**fields) -> EvmCall:
    values = {"caller": RICH, "to": bytes(19) + b"\x04", "gas": 100_000, "gas_price": 0}
    return EvmCall(**(values | {"value": 0, "data": b"\x01\x02"} | fields))


async def test_status_tells_where_the_node_stands(api, world):
    await world.until(lambda: world.nodes["compute-0"].is_ready)
    status = await api.fetch_status()
    assert (status.round, status.state_root) == (world.head.round, world.head.state_root)
    assert (status.is_ready, status.is_worker, status.is_mock_tee) == (True, True, True)
    assert status.node_id == node_id_of("compute-0")


async def test_each_transaction_gets_its_own_answer_in_order(api, world):
    answers = await api.submit_transactions((raw(0), b"junk", raw(1), raw(0, gasPrice=1)))
    assert [answer.module for answer in answers] == ["", "core", "", "core"]
    assert answers[1].tx_hash is None
    assert answers[3].code == 20
    await until_executed(world, raw(0), raw(1))
    assert await api.submit_transactions(()) == ()


async def test_a_query_runs_on_the_state_it_names(api, world):
    assert await EvmQueries(api).call(evm_call()) == b"\x01\x02"
    before = world.head.round
    code = log_emitter(b"\x01" * 32)
    await submit(world, "compute-0", raw(0, to=b"", data=code, gas=1_000_000))
    await until_round(world, before + 1)
    assert (await EvmQueries(api).fetch_account(RICH, before)).nonce == 0
    assert (await EvmQueries(api).fetch_account(RICH)).nonce == 1
    assert await EvmQueries(api).fetch_code(b"\x99" * 20) == b""
    assert await EvmQueries(api).fetch_storage(b"\x99" * 20, bytes(32)) == bytes(32)
    assert await EvmQueries(api).estimate_gas(evm_call(to=b"\x11" * 20, data=b"")) >= 21_000
    assert await EvmQueries(api).fetch_min_gas_price() == 100 * 10**9


async def test_a_query_that_fails_tells_the_runtimes_code_and_data(api):
    revert = bytes.fromhex("60016000526020600060006000fd")  # PUSH … REVERT of nothing
    with pytest.raises(RuntimeRejected) as failure:
        await EvmQueries(api).call(evm_call(to=None, data=revert))
    assert (failure.value.module, failure.value.code) == ("evm", 8)
    with pytest.raises(RoundUnknown):
        await EvmQueries(api).call(evm_call(), 99)


async def test_questions_that_come_together_are_answered_in_order(api):
    calls = [evm_call(data=bytes([at])) for at in range(MAX_QUERIES)]
    asked = [Query(EvmQuery.CALL, encode_record(call)) for call in calls]
    asked[3] = Query("evm.Secrets", b"")
    answers = await api.query_all(tuple(asked))
    assert [one.output for one in answers if one.error is None] == [
        call.data for at, call in enumerate(calls) if at != 3
    ]
    assert isinstance(answers[3].error, RuntimeRejected)
    for count in (0, MAX_QUERIES + 1):
        with pytest.raises(BadRequest):
            await api.query_all((asked[0],) * count)


async def test_the_calldata_key_is_the_same_from_every_node(api, world):
    keys = {await edge.fetch_call_data_key() for edge in map(world.ask, world.compute)}
    assert keys == {await api.fetch_call_data_key()}


async def test_rounds_can_be_read_one_by_one_and_watched(api, world):
    await submit(world, "compute-1", raw(0))
    await until_executed(world, raw(0))
    watched = []
    async for block in api.watch_rounds(0):
        watched.append(block)
        if block.header == world.head:
            break
    assert [block.header for block in watched] == world.headers()
    assert watched[-1].transactions == (raw(0),)
    assert [await api.fetch_round(r) for r in range(len(watched))] == watched
    assert await api.fetch_round(len(watched)) is None


async def test_waiting_transactions_are_shown_in_the_order_in_which_they_would_run(api, world):
    world.ballots.is_holding = True
    await submit(world, "compute-0", raw(0))
    await world.until(lambda: len(world.ballots.held) == 3)
    waiting = await api.submit_transactions((raw(2), raw(1), raw(4)))
    assert await api.fetch_pending() == (raw(0), raw(1), raw(2))
    assert [one.missing_sequence for one in waiting] == [1, None, 3]


async def test_sequence_after_those_that_wait(api, world):
    assert await api.fetch_next_sequence(RICH) is None
    world.ballots.is_holding = True
    await submit(world, "compute-0", raw(0))
    await world.until(lambda: len(world.ballots.held) == 3)
    await submit(world, "compute-0", raw(1), raw(3))
    assert await api.fetch_next_sequence(RICH) == 2
    await submit(world, "compute-0", raw(2))
    assert await api.fetch_next_sequence(RICH) == 4
    world.ballots.is_holding = False
    await world.ballots.release()
    await until_executed(world, raw(3))
    assert await api.fetch_next_sequence(RICH) == 4


async def test_what_is_dropped_waits_no_longer(world):
    # Over a socket it needs the token of dev controls, as each of them does.
    api = world.ask("compute-0")
    world.ballots.is_holding = True
    await submit(world, "compute-0", raw(0))
    await world.until(lambda: len(world.ballots.held) == 3)
    await submit(world, "compute-0", raw(1), raw(2))
    assert await api.drop_transaction(raw(2)) is True
    assert await api.drop_transaction(raw(2)) is False
    assert await api.fetch_next_sequence(RICH) == 2
    world.ballots.is_holding = False
    await world.ballots.release()
    await until_executed(world, raw(1))
    assert await api.fetch_pending() == ()


async def test_a_peer_gets_final_rounds_with_their_changes(peer, world):
    await submit(world, "compute-1", raw(0))
    await until_executed(world, raw(0))
    diffs = await peer.fetch_diffs(0, 100)
    assert [item.block.header for item in diffs] == world.headers()
    assert [bool(item.diff) for item in diffs] == [
        header.header_type is HeaderType.NORMAL for header in world.headers()
    ]
    assert len(await peer.fetch_diffs(1, 1)) == 1
    assert await peer.fetch_diffs(50, 1) == ()


async def test_a_peer_that_asks_for_the_coming_round_gets_it_when_it_is_there(peer, world):
    coming = world.head.round + 1
    asking = asyncio.create_task(peer.fetch_diffs(coming, 1))
    await asyncio.sleep(0.02)
    assert not asking.done()
    await submit(world, "compute-1", raw(0))
    (item,) = await asking
    assert item.block.transactions == (raw(0),)


async def test_transactions_of_a_peer_are_executed_in_the_nodes_turn(peer, world):
    await peer.gossip_transactions((raw(1), raw(0), b"junk"))
    for name in ("compute-1", "compute-2"):
        await (
            world.services[address_of(name)]
            .find("propose")[1]
            .gossip_transactions((raw(1), raw(0)))
        )
    await until_executed(world, raw(0), raw(1))
    assert executed(world, "compute-2") == [raw(0), raw(1)]


async def test_a_proposal_by_nobody_changes_nothing(peer, world):
    stranger = Signer(b"x" * 32)
    domain = RoundDomain(PARATIME_ID, world.genesis.chain_context())
    head = world.head
    await peer.propose(
        build_proposal(
            stranger, domain, round_=head.round + 1, previous_hash=head.hash(), batch=(raw(0),)
        )
    )
    await submit(world, "compute-0", raw(0, value=5))
    await until_executed(world, raw(0, value=5))
    assert raw(0) not in executed(world, "compute-0")


async def test_a_node_with_a_full_inbox_says_so(world):
    node = world.nodes["compute-0"]
    node._mailbox._queue._queue.extend([None] * MAX_INBOX)
    with pytest.raises(NodeBusy):
        await (
            world.services[address_of("compute-0")]
            .find("propose")[1]
            .gossip_transactions((raw(0),))
        )
    node._mailbox._queue._queue.clear()


async def test_a_wrong_message_is_told_what_is_wrong(world):
    async with serving(world.services[address_of("compute-0")]) as server, linked(server) as link:
        await check_wrong_messages(link)


async def check_wrong_messages(link):
    with pytest.raises(MethodNotFound):
        await link.call("fetch_secrets", b"\xa0")
    with pytest.raises(BadRequest, match="expected bytes"):
        await link.call("query", cbor.encode_loosely({"method": "evm.Account", "args": "text"}))
    with pytest.raises(MalformedRecord, match="20 bytes"):
        args = cbor.encode({"address": b"short"})
        await link.call("query", cbor.encode_loosely({"method": "evm.Account", "args": args}))
    with pytest.raises(RuntimeRejected, match="invalid method"):
        await link.call("query", cbor.encode_loosely({"method": "evm.Secrets", "args": b""}))


@pytest.mark.parametrize("who", [None, Signer(b"nobody".ljust(32))], ids=["stranger", "other key"])
async def test_what_is_among_nodes_is_for_nodes_of_the_paratime(world, who):
    async with (
        serving(world.services[address_of("compute-0")]) as server,
        linked(server, Credentials(who)) as link,
    ):
        peer = compute_peer(link)
        with pytest.raises(NotAdmitted):
            await peer.gossip_transactions((raw(0),))
        with pytest.raises(NotAdmitted):
            await peer.fetch_diffs(0, 1)
        assert (await compute_client(link).fetch_status()).is_ready
