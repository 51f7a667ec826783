"""Compute nodes on disk that are killed at any moment and come back."""

import asyncio
import contextlib
import random

import pytest

from shared.errors import QanatError
from shared.types.block import HeaderType
from tests.support.compute_nodes import (
    assert_all_agree,
    executed,
    raw,
    running,
    slashed,
    submit,
    until_executed,
)


async def kill_all(world):
    await asyncio.gather(*(world.kill(name) for name in world.compute))


async def start_all(world):
    for name in world.compute:
        await world.start_node(name)


async def hold_votes(world, *raws: bytes) -> dict:
    """Have every worker vote on a round with these, and no vote arrive; the votes by node."""
    world.ballots.is_holding = True
    await submit(world, "compute-0", *raws)
    await world.until(lambda: len(world.ballots.held) == 3)
    round_ = world.head.round + 1
    return {vote.node_id: vote for vote in world.ballots.cast if vote.round == round_}


async def test_votes_from_before_a_kill_are_sent_again_and_no_others(make_world):
    world = await make_world(on_disk=True)
    first = await hold_votes(world, raw(0))
    await kill_all(world)
    # They are lost on the way.
    world.ballots.held.clear()
    world.ballots.is_holding = False
    await start_all(world)
    await until_executed(world, raw(0))
    round_ = next(iter(first.values())).round
    votes = [vote for vote in world.ballots.cast if vote.round == round_]
    assert len(votes) >= 6
    assert all(vote == first[vote.node_id] for vote in votes)
    await assert_all_agree(world)


async def test_a_proposal_from_before_a_kill_is_made_again(make_world):
    world = await make_world(on_disk=True)
    await hold_votes(world, raw(0))
    await kill_all(world)
    # What was executed is lost to the world but for the scheduler's proposal.
    world.ballots.held.clear()
    head = world.head
    for name in world.compute:
        await world.start_node(name)
        node = world.nodes[name]
        kept = node._publisher._store.open_rounds.load_proposal(head.round + 1)
        if kept is not None:
            assert kept.batch == (raw(0),)
            assert node._worker._with.voice.propose(head, (raw(1),)) == kept
            break
    else:
        pytest.fail("no node kept its proposal")


async def test_rounds_that_became_final_while_all_were_down_are_taken_from_own_disks(make_world):
    world = await make_world(on_disk=True)
    await hold_votes(world, raw(0))
    round_, epoch = world.head.round, world.epoch
    await kill_all(world)
    world.ballots.is_holding = False
    await world.ballots.release()
    await world.until(lambda: world.head.round > round_)
    await world.client.advance_epoch(1)
    await world.until(lambda: world.epoch > epoch)
    await start_all(world)
    await until_executed(world, raw(0))
    await assert_all_agree(world)
    await submit(world, "compute-0", raw(1))
    await until_executed(world, raw(1))


async def test_rounds_that_were_not_written_yet_are_found_again_by_all(make_world):
    world = await make_world(on_disk=True)
    raws = [raw(sequence) for sequence in range(5)]
    for one in raws:
        await submit(world, "compute-0", one)
        await until_executed(world, one)
    waiting = [len(world.nodes[name]._publisher._store._final) for name in running(world)]
    assert max(waiting) > 1
    await kill_all(world)
    await start_all(world)
    await submit(world, "compute-1", raw(5))
    await until_executed(world, raw(5))
    await assert_all_agree(world)
    for name in running(world):
        assert executed(world, name) == [*raws, raw(5)]


async def test_a_tentative_round_that_failed_while_the_node_was_down_is_taken_back(make_world):
    world = await make_world(on_disk=True)
    await hold_votes(world, raw(0))
    await kill_all(world)
    await world.ballots.release(most=1)
    await world.until(lambda: world.head.header_type is HeaderType.ROUND_FAILED)
    world.ballots.is_holding = False
    await start_all(world)
    await submit(world, "compute-1", raw(0))
    await until_executed(world, raw(0))
    await assert_all_agree(world)


async def test_a_node_whose_enclave_lost_its_disk_gets_everything_from_peers(make_world):
    world = await make_world(on_disk=True)
    for nonce in range(3):
        await submit(world, "compute-0", raw(nonce))
        await until_executed(world, raw(nonce))
    await world.kill("compute-3")
    for path in world.enclave_files("compute-3"):
        path.unlink()
    await world.start_node("compute-3")
    await world.until(lambda: not world.nodes["compute-3"].waits_for())
    await assert_all_agree(world)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_kills_at_random_moments_lose_and_repeat_nothing(make_world, seed):
    chance = random.Random(seed)
    world = await make_world(on_disk=True, batch_flush_timeout_ms=50)
    raws = [raw(nonce) for nonce in range(24)]

    async def feed():
        for transaction in raws:
            while not any(transaction in executed(world, name) for name in running(world)):
                name = next(iter(running(world)), None)
                with contextlib.suppress(TimeoutError, QanatError):
                    # A node that is killed never answers.
                    async with asyncio.timeout(0.3):
                        if name is not None:
                            await world.ask(name).submit_transactions((transaction,))
                await asyncio.sleep(0.05)

    feeding = asyncio.create_task(feed())
    while not feeding.done():
        await asyncio.sleep(chance.random() * 0.5)
        victims = chance.sample(world.compute, chance.choice((1, 1, 2, 4)))
        await asyncio.gather(*(world.kill(name) for name in victims))
        for name in victims:
            await world.start_node(name)
    await feeding
    await until_executed(world, *raws)
    await assert_all_agree(world)
    assert sorted(executed(world, "compute-0")) == sorted(raws)
    assert slashed(world) == []
    signed: dict[tuple[bytes, int, bytes], set[bytes]] = {}
    for vote in world.ballots.cast:
        if vote.header.results is not None:
            key = (vote.node_id, vote.round, vote.header.scheduler_id)
            signed.setdefault(key, set()).add(vote.signature)
    assert all(len(signatures) == 1 for signatures in signed.values())
