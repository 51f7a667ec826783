"""The contract of the consensus service, kept by the object, through frames and by `POST`."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from services.consensus.app import build_service
from services.consensus.engine.pool import transaction_hash
from services.consensus.node import ConsensusNode
from services.consensus.rules.transactions import InvalidNonce
from shared.api.consensus import (
    START_SNAPSHOT,
    AlreadyPending,
    ChainRewound,
    ConsensusApi,
    DevControlsOff,
    OtherCodeThen,
    Reverted,
    TooManyAtOnce,
    UnknownHeight,
    UnknownRound,
    UnknownSnapshot,
    consensus_client,
    is_news,
)
from shared.crypto.hashes import sha512_256
from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import decode_record
from shared.kit.dev_controls import DevTokenWrong
from shared.kit.dialing import Credentials
from shared.kit.service import Service
from shared.rules import state_keys
from shared.rules.incarnations import read_incarnation
from shared.rules.light_client import LightClient
from shared.types.block import BlockHeader, RoundRoots
from shared.types.methods import Method
from shared.types.registry import RuntimeKind, Version
from tests.support.applications import CONSENSUS, CONSENSUS_FIRST, GENESIS, ChainWorld
from tests.support.chains import CHAIN_ID, VALIDATORS
from tests.support.consensus_world import (
    BALANCE,
    BASE_EPOCH,
    COMPUTE,
    CONTROL,
    KEY_MANAGER,
    MANAGERS,
    OWNER,
    PARATIME,
    STAKE,
)
from tests.support.turns import turns
from tests.support.wire import DEV_TOKEN, linked, posting, serving

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def chain():
    return CONSENSUS.new_chain()


@pytest.fixture(params=["solo", "other"])
def node(request, chain):
    """A node over either engine: what is above the engine cannot tell them apart."""
    if request.param == "solo":
        return ConsensusNode(chain.store, chain.new_loop())
    return ConsensusNode(chain.store, chain.other_engine())


@asynccontextmanager
async def on_the_object(service):
    yield service


@asynccontextmanager
async def through_frames(service):
    async with (
        serving(Service((ConsensusApi, service))) as server,
        linked(server, Credentials(dev_token=DEV_TOKEN)) as link,
    ):
        yield consensus_client(link)


@asynccontextmanager
async def through_posts(service):
    async with (
        serving(Service((ConsensusApi, service))) as server,
        posting(server) as transport,
    ):
        yield consensus_client(transport)


@pytest.fixture
def service(node):
    return build_service(node, CONSENSUS.document, CONTROL)


@pytest.fixture(params=[on_the_object, through_frames, through_posts])
async def api(request, node, service):
    """A running service; blocks come with transactions, since the clock stands still."""
    async with request.param(service) as reached:
        running = asyncio.create_task(node.run())
        await asyncio.sleep(0)
        yield reached
        running.cancel()


async def run_workload(chain, api) -> None:
    for transactions in CONSENSUS.workload(chain):
        results = await asyncio.gather(*map(api.execute_transaction, transactions))
        assert [result.message for result in results if result.code != 0] == []


async def take(items, count):
    taken = []
    async for item in items:
        taken.append(item)
        if len(taken) == count:
            break
    await items.aclose()
    return taken


async def test_the_status_says_where_the_chain_stands(api, node):
    status = await api.fetch_status()
    assert (status.chain_id, status.chain_context) == (CHAIN_ID, GENESIS.chain_context())
    assert (status.height, status.epoch) == (node.height, BASE_EPOCH)
    assert status.state_root == node.store.load_tree().root
    assert status.engine == node.engine.name
    assert "rewind" in status.capabilities
    assert status.is_mock_tee


async def test_the_genesis_hashes_to_the_chain_context(api):
    status = await api.fetch_status()
    assert sha512_256(await api.fetch_genesis()).hex() == status.chain_context


async def test_a_transaction_is_executed_and_its_result_names_the_block(api, node):
    result = await api.execute_transaction(CONSENSUS_FIRST[0])
    assert (result.code, result.height) == (0, node.height)
    assert await api.fetch_balance(MANAGERS[0].address) == BALANCE + 5
    assert await api.fetch_balance(MANAGERS[0].address, result.height - 1) == BALANCE
    assert await api.fetch_escrow(MANAGERS[0].address) == STAKE


async def test_an_account_that_never_was_is_empty(api):
    assert await api.fetch_balance(bytes(21)) == await api.fetch_escrow(bytes(21)) == 0
    assert await api.fetch_nonce(bytes(21)) == 0


@pytest.mark.long
async def test_the_nonce_counts_what_waits(api, node):
    first, second = CONSENSUS_FIRST
    assert await api.submit_transaction(first) == transaction_hash(first)
    await api.submit_transaction(second)
    assert await api.fetch_nonce(OWNER.address) == 2
    await take(api.watch_blocks(node.height + 1), 1)
    assert await api.fetch_nonce(OWNER.address) == 2


async def test_a_refusal_has_the_class_of_its_rule(api):
    await api.execute_transaction(CONSENSUS_FIRST[0])
    with pytest.raises(InvalidNonce):
        await api.execute_transaction(CONSENSUS_FIRST[0])


async def test_garbage_is_refused(api):
    with pytest.raises(MalformedCbor):
        await api.submit_transaction(b"\xff")


async def test_the_same_transaction_is_not_submitted_twice(node):
    service = build_service(node, CONSENSUS.document)
    await service.submit_transaction(CONSENSUS_FIRST[0])
    with pytest.raises(AlreadyPending):
        await service.submit_transaction(CONSENSUS_FIRST[0])


async def test_registered_nodes_committee_and_rounds_can_be_read(api, chain):
    await run_workload(chain, api)
    assert {node.id for node in await api.fetch_nodes()} == {keys.id for keys in COMPUTE}
    committee = await api.fetch_committee(PARATIME)
    assert set(committee.workers()) <= {keys.id for keys in COMPUTE}
    runtime = await api.fetch_runtime(PARATIME)
    assert (runtime.kind, runtime.key_manager) == (RuntimeKind.COMPUTE, KEY_MANAGER)
    assert (await api.fetch_key_manager(KEY_MANAGER)).policy == GENESIS.policies[0]
    last = await api.fetch_last_block(PARATIME)
    assert last.round > 1
    assert await api.fetch_round_header(PARATIME, last.round) == last
    previous = await api.fetch_round_header(PARATIME, last.round - 1)
    assert previous.hash() == last.previous_hash


async def test_what_is_not_there_is_none(api):
    nobody = b"\x80" + b"\x77" * 31
    assert await api.fetch_runtime(nobody) is None
    assert await api.fetch_committee(nobody) is None
    assert await api.fetch_last_block(nobody) is None
    assert await api.fetch_key_manager(nobody) is None
    assert await api.fetch_round_header(nobody, 1) is None
    assert await api.fetch_state((b"no such key",)) == (None,)


async def test_values_and_their_proofs_agree(api):
    await api.execute_transaction(CONSENSUS_FIRST[0])
    keys = (state_keys.CHAIN_CONTEXT, state_keys.account_key(OWNER.address), b"absent")
    values = await api.fetch_state(keys)
    proven = await api.fetch_proven_state(keys)
    verified = LightClient(CHAIN_ID, VALIDATORS).verify(proven)
    assert verified.values == dict(zip(keys, values, strict=True))
    assert verified.values[state_keys.CHAIN_CONTEXT] == GENESIS.chain_context().encode()


async def test_the_state_that_made_a_round_final_is_proven(api, chain, node):
    await run_workload(chain, api)
    events = await take(api.watch_blocks(1), node.height)
    finalized = [event for event in events if event.finalized]
    assert finalized
    for event in finalized:
        header = event.finalized[-1].header
        roots_key = state_keys.past_roots_key(PARATIME, header.round)
        keys = (roots_key, state_keys.last_block_key(PARATIME))
        proven = await api.fetch_round_state(PARATIME, header.round, keys)
        verified = LightClient(CHAIN_ID, VALIDATORS).verify(proven)
        assert verified.height == event.height
        assert decode_record(BlockHeader, verified.values[keys[1]] or b"") == header
        roots = RoundRoots(header.state_root, header.io_root, event.height)
        assert decode_record(RoundRoots, verified.values[roots_key] or b"") == roots


async def test_a_watcher_misses_nothing_and_can_resume(api, chain, node):
    await run_workload(chain, api)
    events = await take(api.watch_blocks(1), node.height)
    assert [event.height for event in events] == list(range(1, node.height + 1))
    resumed = await take(api.watch_blocks(node.height - 1), 2)
    assert resumed == events[-2:]
    finalized = [event for event in events if event.finalized]
    client = LightClient(CHAIN_ID, VALIDATORS)
    for event in finalized:
        values = client.verify_encoded(event.proven).values
        assert values.keys() == {state_keys.last_block_key(PARATIME)}


async def test_news_about_a_runtime_leave_out_blocks_that_say_nothing_of_it(api, chain, node):
    await run_workload(chain, api)
    events = await take(api.watch_blocks(1), node.height)
    told = [event for event in events if is_news(event, PARATIME)]
    assert await take(api.watch_news(PARATIME, 1), len(told)) == told
    assert 0 < len(told) < len(events)
    assert all(event in told for event in events if event.finalized or event.is_epoch_change)


@pytest.mark.parametrize("height", [999, 2**64 - 1])
async def test_a_height_that_never_was_is_an_error(api, height):
    with pytest.raises(UnknownHeight):
        await api.fetch_state((b"key",), height)
    with pytest.raises(UnknownHeight):
        await api.fetch_proven_state((b"key",), height)


async def test_epochs_advance_one_after_the_other(api):
    assert await api.advance_epoch(3) == BASE_EPOCH + 3
    assert (await api.fetch_status()).epoch == BASE_EPOCH + 3


async def test_blocks_are_mined_and_taken_back(api, node):
    height = node.height
    assert await api.mine_blocks(5) == height + 5
    await api.execute_transaction(CONSENSUS_FIRST[0])
    watching = asyncio.create_task(take(api.watch_blocks(node.height + 100), 1))
    await turns()
    await api.rewind(height)
    with pytest.raises(ChainRewound):
        await watching
    assert await api.fetch_balance(MANAGERS[0].address) == BALANCE
    assert (await api.execute_transaction(CONSENSUS_FIRST[0])).code == 0


@pytest.mark.parametrize("count", [0, 1_001, 2**64 - 1])
async def test_a_dev_control_does_a_bounded_amount_at_once(api, count):
    with pytest.raises(TooManyAtOnce):
        await api.mine_blocks(count)
    with pytest.raises(TooManyAtOnce):
        await api.advance_epoch(count)


@pytest.mark.parametrize("key", [None, OWNER.entity], ids=["none", "another key"])
async def test_without_the_control_key_of_the_genesis_there_are_no_dev_controls(node, key):
    service = build_service(node, CONSENSUS.document, key)
    height = node.mine(3)
    calls = (
        service.advance_epoch(1),
        service.mine_blocks(1),
        service.rewind(1),
        service.take_snapshot(),
        service.revert(1),
        service.drop_snapshot(1),
    )
    for call in calls:
        with pytest.raises(DevControlsOff):
            await call
    assert node.height == height


async def test_each_rewind_begins_an_incarnation_that_status_blocks_and_proofs_tell(api, node):
    await api.mine_blocks(3)
    assert (await api.fetch_status()).incarnation == 0
    for incarnation in (1, 2):
        await api.rewind(2)
        status = await api.fetch_status()
        assert status.incarnation == incarnation
        assert status.height > 2
        (events,) = await take(api.watch_blocks(3, incarnation), 1)
        assert events.incarnation == incarnation
        proven = await api.fetch_proven_state((state_keys.INCARNATION,))
        client = LightClient(CHAIN_ID, VALIDATORS, follows_rewinds=True)
        assert client.verify(proven).incarnation == incarnation
        assert read_incarnation(dict(proven.items)).incarnation == incarnation


async def test_who_slept_through_a_rewind_is_told_however_high_the_chain_is_by_then(api):
    await api.mine_blocks(5)
    known = await api.fetch_status()
    await api.rewind(2)
    for mined in (0, 20):
        if mined:
            await api.mine_blocks(mined)
        with pytest.raises(ChainRewound):
            await take(api.watch_blocks(known.height + 1, known.incarnation), 1)
        with pytest.raises(ChainRewound):
            await take(api.watch_news(PARATIME, known.height + 1, known.incarnation), 1)


async def test_the_start_is_remembered_once_and_gone_back_to(api):
    with pytest.raises(UnknownSnapshot):
        await api.revert(START_SNAPSHOT)
    await api.mine_blocks(2)
    await api.remember_start()
    (start,) = await api.fetch_snapshots()
    later = await api.take_snapshot()
    await api.execute_transaction(CONSENSUS_FIRST[0])
    await api.remember_start()
    assert await api.fetch_snapshots() == (start, later)
    assert (start.id, later.id) == (START_SNAPSHOT, 1)
    for incarnation in (1, 2):
        assert await api.revert(START_SNAPSHOT) == Reverted(start.height, incarnation, (), ())
        assert (await api.execute_transaction(CONSENSUS_FIRST[0])).code == 0
    with pytest.raises(UnknownSnapshot):
        await api.drop_snapshot(START_SNAPSHOT)
    assert [one.id for one in await api.fetch_snapshots()] == [START_SNAPSHOT, later.id]


async def test_nobody_goes_back_to_before_a_deployment(api, chain):
    await api.mine_blocks(2)
    await api.remember_start()
    taken = await api.take_snapshot()
    runtime = await api.fetch_runtime(PARATIME)
    (before,) = runtime.deployments
    deployed = replace(before, version=Version(0, 1, 1), valid_from=BASE_EPOCH + 1)
    changed = replace(runtime, deployments=(before, deployed))
    raw = ChainWorld(chain).tx(OWNER.entity, Method.REGISTER_RUNTIME, changed)
    assert (await api.execute_transaction(raw)).code == 0
    # It is not in force: what runs is what ran then.
    await api.rewind(taken.height)
    assert (await api.execute_transaction(raw)).code == 0
    await api.advance_epoch(1)
    for way_back in (api.revert(taken.id), api.revert(START_SNAPSHOT), api.rewind(taken.height)):
        with pytest.raises(OtherCodeThen):
            await way_back
    # The start is where this code began, from now on.
    await api.remember_start()
    start = (await api.fetch_snapshots())[0]
    assert start.id == START_SNAPSHOT
    assert start.epoch == BASE_EPOCH + 1
    await api.mine_blocks(1)
    assert (await api.revert(START_SNAPSHOT)).height == start.height


async def test_a_network_goes_back_to_a_snapshot_twice_and_to_one_within_another(api):
    await api.mine_blocks(2)
    outer = await api.take_snapshot()
    status = await api.fetch_status()
    assert (outer.id, outer.incarnation) == (1, 0)
    assert outer.height <= status.height
    root = (await api.fetch_proven_state((state_keys.EPOCH,), outer.height)).light_block
    await api.execute_transaction(CONSENSUS_FIRST[0])
    inner = await api.take_snapshot()
    await api.execute_transaction(CONSENSUS_FIRST[1])
    assert [one.id for one in await api.fetch_snapshots()] == [outer.id, inner.id]
    for incarnation, snapshot in enumerate((inner, inner, outer, outer), start=1):
        reverted = await api.revert(snapshot.id)
        assert reverted == Reverted(snapshot.height, incarnation, (), ())
        # What the snapshot did not have can be done again.
        again = CONSENSUS_FIRST[0 if snapshot is outer else 1]
        assert (await api.execute_transaction(again)).code == 0
    assert [one.id for one in await api.fetch_snapshots()] == [outer.id]
    with pytest.raises(UnknownSnapshot):
        await api.revert(inner.id)
    kept = (await api.fetch_proven_state((state_keys.EPOCH,), outer.height)).light_block
    assert kept == root
    # An id names no other snapshot ever after.
    assert (await api.take_snapshot()).id > inner.id
    await api.drop_snapshot(outer.id)
    with pytest.raises(UnknownSnapshot):
        await api.drop_snapshot(outer.id)


async def test_a_rewind_returns_when_the_nodes_have_arrived_and_names_who_has_not(api, service):
    await api.mine_blocks(2)
    snapshot = await api.take_snapshot()
    # Only nodes of the network may report; here they do so past the port.
    await service.report_incarnation("dead", 0)

    async def follow() -> None:
        known = await api.fetch_status()
        while True:
            await service.report_incarnation("alive", known.incarnation)
            with suppress(ChainRewound):
                await take(api.watch_blocks(known.height + 1_000, known.incarnation), 1)
            known = await api.fetch_status()

    following = asyncio.create_task(follow())
    await turns()
    reverted = await api.revert(snapshot.id, 300)
    assert (reverted.arrived, reverted.missing) == (("alive",), ("dead",))
    async with asyncio.timeout(2):
        # Who is dead is waited for once.
        reverted = await api.revert(snapshot.id, 60_000)
    assert (reverted.arrived, reverted.missing) == (("alive",), ("dead",))
    following.cancel()


@pytest.mark.parametrize("transport", ["frames", "posts"])
async def test_dev_controls_need_the_token_of_the_data_directory(node, transport):
    service = Service((ConsensusApi, build_service(node, CONSENSUS.document, CONTROL)))
    async with serving(service) as server:
        reach = linked(server) if transport == "frames" else posting(server, token="")
        async with reach as without:
            api = consensus_client(without)
            height = node.height
            for call in (api.advance_epoch(1), api.mine_blocks(1), api.rewind(1)):
                with pytest.raises(DevTokenWrong):
                    await call
            assert (await api.fetch_status()).height == node.height == height


@pytest.mark.parametrize("round_", [2**63 - 1, 2**63, 2**64 - 1])
async def test_rounds_that_no_chain_reaches_are_not_there(api, round_):
    assert await api.fetch_round_header(PARATIME, round_) is None
    assert await api.fetch_round_epoch(PARATIME, round_) is None
    assert await api.fetch_round_headers(PARATIME, round_, 2**64 - 1) == ()
    with pytest.raises(UnknownRound):
        await api.fetch_round_state(PARATIME, round_, (state_keys.EPOCH,))
    with pytest.raises(UnknownRound):
        await api.fetch_round_state(b"\x80" * 32, 0, (state_keys.EPOCH,))
