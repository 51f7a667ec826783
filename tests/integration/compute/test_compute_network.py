"""Compute nodes in a whole network: pools, rounds, discrepancies, newcomers, rewinds."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from eth_account import Account
from structlog.testing import capture_logs

from services.compute.rules.txpool import SEQUENCE_WINDOW
from shared.api.evm import EvmQueries
from shared.crypto.address import staking_address
from shared.crypto.hashes import EMPTY_HASH
from shared.encoding import cbor
from shared.errors import QanatError
from shared.types.block import HeaderType
from tests.support.compute_nodes import (
    RICH,
    WEI,
    assert_all_agree,
    executed,
    raw,
    rounds_of,
    slashed,
    submit,
    until_executed,
    until_round,
)
from tests.support.signing import log_emitter
from tests.support.world_faults import CorruptPeer, DeafPeer, decorate
from tests.support.world_genesis import address_of, identity_of, node_id_of


def scheduler_of(world, round_: int, rank: int = 0) -> str:
    return next(
        name
        for name in world.workers()
        if world.committee.scheduler_rank(round_, node_id_of(name)) == rank
    )


def idler(world) -> str:
    """The node that is no worker."""
    return next(name for name in world.compute if name not in world.workers())


async def hold_votes(world, *raws: bytes) -> None:
    """Have every worker vote on a round with these, and no vote arrive."""
    world.ballots.is_holding = True
    await submit(world, world.workers()[0], *raws)
    await world.until(lambda: len(world.ballots.held) == 3)


async def test_a_transaction_given_to_a_node_without_part_reaches_every_node(world):
    name = idler(world)
    await submit(world, name, raw(0))
    await until_executed(world, raw(0))
    assert (await EvmQueries(world.ask(name)).fetch_account(RICH)).nonce == 1
    await assert_all_agree(world)


async def test_transactions_of_one_sender_run_in_order_whatever_way_they_came(world):
    raws = [raw(nonce) for nonce in range(10)]
    for nonce in (3, 1, 0, 2, 5, 4, 9, 8, 7, 6):
        await submit(world, world.compute[nonce % 4], raws[nonce])
    await until_executed(world, *raws)
    assert executed(world, "compute-0") == raws
    await assert_all_agree(world)


async def test_many_transactions_in_flight_share_rounds(world):
    raws = [raw(nonce, value=nonce) for nonce in range(60)]
    before = world.head.round
    for start in range(0, 60, 10):
        await submit(world, "compute-0", *raws[start : start + 10])
        await world.until(lambda s=start: raws[s] in executed(world, "compute-0"))
    await until_executed(world, *raws)
    assert world.head.round - before <= 20
    await assert_all_agree(world)


async def test_an_idle_network_makes_empty_rounds(make_world):
    world = await make_world(batch_flush_timeout_ms=30)
    start = world.head.round
    await until_round(world, start + 3)
    newest = world.nodes["compute-3"].feed.find(start + 2)
    assert newest.header.header_type is HeaderType.NORMAL
    assert newest.transactions == ()


async def test_a_scheduler_that_proposes_nothing_is_stepped_over(make_world):
    world = await make_world(propose_batch_timeout_ms=40)
    # Without stragglers allowed all three must vote, so only what it proposes is missing.
    first = scheduler_of(world, world.head.round + 1)
    other = next(name for name in world.workers() if name != first)
    world.nodes[first]._worker._with.admission.has_work = lambda: False
    world.nodes[first]._worker._propose = lambda *_: None
    await submit(world, other, raw(0))
    await until_executed(world, raw(0))
    schedulers = {vote.header.scheduler_id for vote in world.ballots.cast[-3:]}
    assert node_id_of(first) not in schedulers
    assert not any(events.discrepancies for events in world.happened())
    await assert_all_agree(world)


async def test_one_lying_worker_is_overruled_by_the_backups_and_slashed(make_world):
    liar = "compute-0"
    world = await make_world(liar=liar)
    while liar not in world.workers():
        await world.client.advance_epoch(1)
        await world.until(world.is_ready)
    await submit(world, "compute-1", raw(0))
    await until_executed(world, raw(0))
    nonce = 1
    # Of a scheduler that lies itself the whole round fails: nothing is final then.
    while scheduler_of(world, world.head.round + 1) == liar:
        await submit(world, "compute-1", raw(nonce))
        await until_executed(world, raw(nonce))
        nonce += 1
    world.sockets[liar].program.query("lying.Arm", b"\x01", world.nodes[liar].feed.next_round - 1)
    await submit(world, "compute-1", raw(nonce))
    await until_executed(world, raw(nonce))
    (discrepancy,) = [one for events in world.happened() for one in events.discrepancies]
    assert not discrepancy.is_timeout
    (slash,) = slashed(world)
    assert slash.account == staking_address(identity_of(liar).entity.public_key)
    await submit(world, "compute-1", raw(nonce + 1))
    await until_executed(world, raw(nonce + 1))
    await assert_all_agree(world)


async def test_nodes_that_come_after_rounds_without_a_committee_begin_all_the_same(make_world):
    world = await make_world(is_late=True)
    await world.client.advance_epoch(2)
    assert {header.header_type for header in world.headers()[1:]} == {HeaderType.SUSPENDED}
    await world.start()
    await submit(world, "compute-1", raw(0))
    await until_executed(world, raw(0))
    await assert_all_agree(world)


async def test_a_failed_round_takes_its_transactions_back_into_the_pool(world):
    await hold_votes(world, raw(0))
    # One vote opens the round for consensus; its time passes, and that of the backups.
    await world.ballots.release(most=1)
    await world.until(lambda: world.head.header_type is HeaderType.ROUND_FAILED)
    world.ballots.is_holding = False
    await until_executed(world, raw(0))
    kinds = [header.header_type for header in world.headers()]
    assert kinds.count(HeaderType.ROUND_FAILED) == 1
    await assert_all_agree(world)


async def test_rounds_go_on_across_an_epoch_change(world):
    await submit(world, "compute-0", raw(0))
    await until_executed(world, raw(0))
    await world.client.advance_epoch(1)
    await submit(world, "compute-1", raw(1))
    await until_executed(world, raw(1))
    await world.until(world.is_ready)
    key = await world.ask("compute-2").fetch_call_data_key()
    assert key.epoch == world.epoch
    await assert_all_agree(world)


async def test_votes_that_are_on_their_way_when_an_epoch_begins_lose_nothing(world):
    await hold_votes(world, raw(0))
    epoch, round_ = world.epoch, world.head.round
    await world.client.advance_epoch(1)
    await world.until(lambda: world.epoch > epoch)
    assert world.head.round > round_
    # They are about a round that the new epoch has taken the place of.
    world.ballots.is_holding = False
    with contextlib.suppress(QanatError):
        await world.ballots.release()
    await submit(world, "compute-2", raw(1))
    await until_executed(world, raw(0), raw(1))
    assert executed(world, "compute-0") == [raw(0), raw(1)]
    await assert_all_agree(world)


async def test_a_new_node_catches_up_from_its_peers(make_world):
    world = await make_world(spare=1)
    for nonce in range(5):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    await world.start_node("compute-4")
    await until_round(world, world.head.round, ["compute-4"])
    assert executed(world, "compute-4") == executed(world, "compute-0")
    await assert_all_agree(world)


async def test_a_new_node_passes_over_peers_that_do_not_answer(make_world, monkeypatch):
    """As those are that were stopped; each is waited for once, and asked last from then on."""
    monkeypatch.setattr("services.compute.catch_up.ROUNDS_AT_ONCE", 2)
    monkeypatch.setattr("services.compute.catch_up.PEER_TIMEOUT_S", 1.0)
    world = await make_world(spare=1)
    for nonce in range(8):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    asked = []
    # Workers are asked first.
    workers = world.workers()
    (answering,) = {*world.compute[:4]} - {*workers}
    for silent in workers:

        async def fetch_diffs(silent=silent, **where):
            asked.append(silent)
            await asyncio.Event().wait()

        edge = world.services[address_of(silent)].find("fetch_diffs")[1]
        monkeypatch.setattr(edge, "fetch_diffs", fetch_diffs)
    await world.start_node("compute-4")
    await until_round(world, world.head.round, ["compute-4"])
    assert executed(world, "compute-4") == executed(world, answering)
    assert asked
    # Once by the new node, and once by another that is no worker.
    assert max(map(asked.count, asked)) <= 2


@pytest.mark.parametrize("lie", ["none", "forged", "few"])
async def test_a_new_node_catches_up_where_consensus_has_checkpoints_only(
    make_world, monkeypatch, lie
):
    """Headers between come from a peer, whose own do not count unless they lead to a checkpoint."""
    monkeypatch.setattr("services.compute.catch_up.CHECKPOINT_ROUNDS", 4)
    monkeypatch.setattr("services.compute.catch_up.ROUNDS_AT_ONCE", 3)
    world = await make_world(spare=1)
    for nonce in range(8):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    fetch, asked = world.ballots.fetch_round_header, []

    async def pruned(**where):
        asked.append(where["round"])
        return await fetch(**where) if where["round"] % 4 == 0 else None

    monkeypatch.setattr(world.ballots, "fetch_round_header", pruned, raising=False)
    # Workers are asked first.
    for hostile in world.workers() if lie != "none" else ():
        edge = world.services[address_of(hostile)].find("fetch_headers")[1]
        monkeypatch.setattr(edge, "fetch_headers", _lying(edge.fetch_headers, lie))
    with capture_logs() as logs:
        await world.start_node("compute-4")
        await until_round(world, world.head.round, ["compute-4"])
    assert executed(world, "compute-4") == executed(world, "compute-0")
    assert {0, 4, 8} <= set(asked)
    refused = [line for line in logs if line["event"] == "peer_answer_refused"]
    assert bool(refused) == (lie != "none")
    await assert_all_agree(world)


def _lying(fetch, lie):
    async def fetch_headers(**where):
        headers = await fetch(**where)
        if lie == "few":
            return headers[:-1]
        return (replace(headers[0], state_root=bytes(32)), *headers[1:])

    return fetch_headers


@pytest.mark.parametrize("field", ["diff", "results", "transactions", "state_root"])
async def test_a_peer_that_gives_corrupt_rounds_is_passed_over(make_world, field):
    world = await make_world(spare=1)
    await submit(world, "compute-0", raw(0))
    await until_executed(world, raw(0))
    for hostile in ("compute-0", "compute-1"):
        service = world.services[address_of(hostile)]
        decorate(service, "fetch_diffs", lambda honest: CorruptPeer(honest, field))
    await world.start_node("compute-4")
    await until_round(world, world.head.round, ["compute-4"])
    assert executed(world, "compute-4") == [raw(0)]
    await assert_all_agree(world)


async def test_watchers_see_every_round_once_and_in_order(world):
    seen: list[int] = []

    async def watch():
        async for block in world.ask("compute-3").watch_rounds(0):
            seen.append(block.header.round)

    task = asyncio.create_task(watch())
    for nonce in range(4):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    await world.until(lambda: len(seen) > world.head.round)
    task.cancel()
    assert seen == list(range(len(seen)))


async def test_a_query_right_after_a_published_round_sees_its_state(world):
    newest = world.nodes["compute-0"].feed.next_round
    watching = world.ask("compute-0").watch_rounds(newest)
    await submit(world, "compute-0", raw(0))
    async for block in watching:
        if block.transactions:
            break
    assert (await EvmQueries(world.ask("compute-0")).fetch_account(RICH)).nonce == 1


async def test_what_a_published_round_paid_can_be_spent_at_once(world):
    second = Account.from_key("0x" + "22" * 32)
    ask = world.sockets["compute-0"].call

    async def slow_to_advance(method, body):
        if method == "advance":
            await asyncio.sleep(0.05)
        return await ask(method, body)

    world.sockets["compute-0"].call = slow_to_advance
    watching = world.ask("compute-0").watch_rounds(world.nodes["compute-0"].feed.next_round)
    await submit(world, "compute-0", raw(0, to=second.address, value=WEI))
    async for block in watching:
        if block.transactions:
            break
    spending = raw(0, key=second.key.hex(), value=1)
    await submit(world, "compute-0", spending)
    await until_executed(world, spending)


async def test_old_rounds_answer_with_their_own_state(world):
    before = world.head.round
    payment = raw(0, value=WEI)
    await submit(world, "compute-0", payment)
    await until_executed(world, payment)
    edge = world.ask("compute-2")
    assert (await EvmQueries(edge).fetch_account(RICH, before)).balance == 1000 * WEI
    assert (await EvmQueries(edge).fetch_account(RICH)).balance < 999 * WEI
    with pytest.raises(QanatError, match="is not here"):
        await EvmQueries(edge).fetch_account(RICH, world.head.round + 5)


async def test_a_contract_with_a_key_of_its_own_is_deployed_on_every_node(world):
    deploy = raw(0, to=b"", data=log_emitter(b"\x01" * 32), gas=1_000_000)
    await submit(world, "compute-0", deploy)
    await until_executed(world, deploy)
    await assert_all_agree(world)
    block = next(block for block in rounds_of(world, "compute-3") if block.transactions)
    assert cbor.decode(block.results[0])["status"] == 1


async def test_a_bad_transaction_is_refused_with_the_runtimes_code(world):
    edge = world.ask("compute-0")
    raws = b"junk", raw(0, gasPrice=1), raw(SEQUENCE_WINDOW + 1)
    answers = await edge.submit_transactions(raws)
    assert [(a.module, a.code) for a in answers][1:] == [("core", 20), ("core", 26)]
    assert answers[0].module == "core"
    await submit(world, "compute-0", raw(0))
    (again,) = await edge.submit_transactions((raw(0),))
    assert again.module != ""


async def test_the_network_goes_on_after_it_was_rewound(world):
    await submit(world, "compute-0", raw(0))
    await until_executed(world, raw(0))
    height, round_ = world.consensus.height, world.head.round
    for nonce in (1, 2):
        await submit(world, "compute-1", raw(nonce))
        await until_executed(world, raw(nonce))
    await world.rewind(height)
    await world.until(
        lambda: all(world.nodes[name].feed.next_round <= round_ + 1 for name in world.compute)
    )
    assert (await EvmQueries(world.ask("compute-3")).fetch_account(RICH)).nonce == 1
    other = raw(1, value=77)
    await submit(world, "compute-2", other)
    await until_executed(world, other)
    assert executed(world, "compute-0") == [raw(0), other]
    await assert_all_agree(world)


async def test_two_runs_give_equal_roots(make_world):
    roots = []
    for _ in range(2):
        world = await make_world(batch_flush_timeout_ms=60_000)
        for nonce in range(4):
            deploy = raw(nonce, to=b"", data=log_emitter(b"\x02" * 32), gas=1_000_000)
            await submit(world, world.compute[nonce], deploy)
            await until_executed(world, deploy)
        roots.append(
            [(h.state_root, h.io_root) for h in world.headers() if h.io_root != EMPTY_HASH]
        )
    assert len(roots[0]) == 4
    assert roots[0] == roots[1]


async def test_a_node_that_was_dead_during_rewinds_drops_the_void_rounds_when_it_returns(
    make_world,
):
    world = await make_world(on_disk=True)
    await submit(world, "compute-0", raw(0))
    await until_executed(world, raw(0))
    height = world.consensus.height
    void = [raw(nonce) for nonce in (1, 2, 3)]
    for transaction in void:
        await submit(world, "compute-0", transaction)
        await until_executed(world, transaction)
    await world.kill("compute-3")
    await world.rewind(height)
    other = [raw(nonce, value=7) for nonce in range(1, 7)]
    for transaction in other:
        await submit(world, "compute-0", transaction)
        await until_executed(world, transaction)
    # By now the chain is higher than when the node died, in heights and in rounds.
    await world.start_node("compute-3")
    await until_executed(world, *other)
    assert executed(world, "compute-3") == [raw(0), *other]
    await assert_all_agree(world)
    await world.until(lambda: "compute-3" not in world.consensus.followers._given_up)
    assert world.consensus.store.incarnation == 1
    assert slashed(world) == []


async def test_each_round_is_kept_with_the_epoch_whose_keys_it_used(make_world):
    world = await make_world(on_disk=True)
    first = world.epoch
    await submit(world, "compute-0", raw(0))
    await until_executed(world, raw(0))
    await world.client.advance_epoch(1)
    await world.until(world.is_ready)
    await submit(world, "compute-0", raw(1))
    await until_executed(world, raw(1))
    blocks = rounds_of(world, "compute-1")
    epochs = {block.transactions[0]: block.epoch for block in blocks if block.transactions}
    assert epochs == {raw(0): first, raw(1): first + 1}
    await world.kill("compute-1")
    await world.start_node("compute-1")
    await until_round(world, blocks[-1].header.round, ["compute-1"])
    assert rounds_of(world, "compute-1")[: len(blocks)] == blocks


# -- votes that go together ----------------------------------------------------------------------


async def test_the_votes_of_a_round_are_one_transaction(world):
    before = len(world.ballots.sent)
    for nonce in range(5):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    sent = world.ballots.sent[before:]
    assert len(sent) >= 5
    for votes in sent:
        assert {vote.node_id for vote in votes} == set(world.committee.workers())
        assert len({vote.round for vote in votes}) == 1


async def test_votes_that_no_scheduler_hears_are_sent_by_their_nodes(world):
    for name in world.compute:
        decorate(world.services[address_of(name)], "collect_vote", DeafPeer)
    before = len(world.ballots.sent)
    for nonce in range(3):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    sent = world.ballots.sent[before:]
    assert len(sent) >= 9
    assert all(len(votes) == 1 for votes in sent)
    assert not any(events.discrepancies for events in world.happened())
    assert not any(header.header_type is HeaderType.ROUND_FAILED for header in world.headers())
    await assert_all_agree(world)


async def test_a_vote_that_comes_alone_and_along_loses_nobody_elses(world):
    """Of three votes one was cast by its node when the transaction with all of them comes."""
    world.ballots.is_holding = True
    await submit(world, world.workers()[0], raw(0))
    await world.until(lambda: len(world.ballots.held) == 3)
    assert sorted(map(len, world.ballots.sent[-3:])) == [1, 1, 3]
    world.ballots.is_holding = False
    round_ = world.head.round
    await world.ballots.release(most=1)
    joint = world.ballots.held.pop(node_id_of(scheduler_of(world, round_ + 1)))
    world.ballots.held.clear()
    await world.client.submit_transaction(joint)
    await world.until(lambda: world.head.round > round_)
    assert world.head.header_type is HeaderType.NORMAL
    finalized = [one for events in world.happened() for one in events.finalized][-1]
    assert set(finalized.good_nodes) == set(world.committee.workers())


async def test_a_worker_that_says_nothing_to_the_scheduler_costs_no_round(world):
    mute = next(n for n in world.workers() if n != scheduler_of(world, world.head.round + 1))
    world.nodes[mute]._worker._with.joint_votes.cast = lambda _: None
    await submit(world, mute, raw(0))
    await until_executed(world, raw(0))
    # Its vote came when it was repeated, or the backups decided without it.
    assert world.headers()[-1].header_type is HeaderType.NORMAL
    await assert_all_agree(world)
