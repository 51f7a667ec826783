"""Compute nodes on disk that are killed at any moment and come back."""

import asyncio
import contextlib
import random

import pytest

from tests.support.compute_nodes import (
    assert_all_agree,
    executed,
    raw,
    submit,
    until_executed,
)

ALL = ("a", "b", "c", "d")


async def kill_all(network):
    await asyncio.gather(*(network.kill(name) for name in ALL))


async def start_all(network):
    for name in ALL:
        await network.start(name)


async def test_votes_from_before_a_kill_are_sent_again_and_no_others(make_network):
    network = await make_network(on_disk=True)
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    first = dict(network.chain.votes)
    await kill_all(network)
    network.chain.votes = {}
    network.chain.is_deciding = True
    await start_all(network)
    await until_executed(network, raw(0))
    round_ = next(iter(first.values())).round
    votes = [v for v in network.chain.all_votes if v.round == round_]
    assert len(votes) == 6
    assert all(vote == first[vote.node_id] for vote in votes)
    await assert_all_agree(network)


async def test_a_proposal_from_before_a_kill_is_made_again(make_network):
    network = await make_network(on_disk=True)
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    await kill_all(network)
    # What was executed is lost to the world but for the scheduler's proposal.
    network.chain.votes = {}
    for name in ALL:
        await network.start(name)
        store = network.nodes[name]._publisher._store
        round_ = network.chain.head.round + 1
        kept = store.load_proposal(round_)
        if kept is not None:
            assert kept.batch == (raw(0),)
            assert (
                network.nodes[name]._worker._with.voice.propose(network.chain.head, (raw(1),))
                == kept
            )
            break
    else:
        pytest.fail("no node kept its proposal")


async def test_rounds_that_became_final_while_all_were_down_are_taken_from_own_disks(make_network):
    network = await make_network(on_disk=True)
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    await kill_all(network)
    network.chain.is_deciding = True
    network.chain.decide()
    network.chain.begin_epoch()
    await start_all(network)
    await until_executed(network, raw(0))
    await assert_all_agree(network)
    await submit(network, "a", raw(1))
    await until_executed(network, raw(1))


async def test_a_tentative_round_that_failed_while_the_node_was_down_is_taken_back(make_network):
    network = await make_network(on_disk=True)
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    await kill_all(network)
    network.chain.is_deciding = True
    network.chain.fail_round()
    await start_all(network)
    await submit(network, "b", raw(0))
    await until_executed(network, raw(0))
    await assert_all_agree(network)


async def test_a_node_whose_enclave_lost_its_disk_gets_everything_from_peers(
    make_network, tmp_path
):
    network = await make_network(on_disk=True)
    for nonce in range(3):
        await submit(network, "a", raw(nonce))
        await until_executed(network, raw(nonce))
    await network.kill("d")
    for path in (tmp_path / "d" / "enclave").iterdir():
        path.unlink()
    await network.start("d")
    await network.until(lambda: not network.nodes["d"].waits_for())
    await assert_all_agree(network)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_kills_at_random_moments_lose_and_repeat_nothing(make_network, seed):
    chance = random.Random(seed)
    network = await make_network(on_disk=True, batch_flush_timeout_ms=50)
    raws = [raw(nonce) for nonce in range(24)]
    alive = set(ALL)

    async def feed():
        for transaction in raws:
            while transaction not in {
                t for name in alive if name in network.nodes for t in executed(network.nodes[name])
            }:
                edge = next((network.edges[n] for n in sorted(alive) if n in network.edges), None)
                with contextlib.suppress(TimeoutError):
                    # A node that is killed never answers.
                    async with asyncio.timeout(0.3):
                        if edge is not None:
                            await edge.submit_transactions((transaction,))
                await asyncio.sleep(0.05)

    async def fail_stuck_rounds():
        """Do what the round timeout of consensus does."""
        while True:
            head = network.chain.head
            await asyncio.sleep(0.5)
            if network.chain.head == head and network.chain.votes:
                network.chain.fail_round()

    feeding, failing = asyncio.create_task(feed()), asyncio.create_task(fail_stuck_rounds())
    while not feeding.done():
        await asyncio.sleep(chance.random() * 0.5)
        victims = chance.sample(ALL, chance.choice((1, 1, 2, 4)))
        alive -= set(victims)
        await asyncio.gather(*(network.kill(name) for name in victims))
        for name in victims:
            await network.start(name)
        alive |= set(victims)
    await feeding
    await until_executed(network, *raws)
    failing.cancel()
    await assert_all_agree(network)
    done = executed(network.nodes["a"])
    assert sorted(done) == sorted(raws)
    signed: dict[tuple[bytes, int, bytes], set[bytes]] = {}
    for vote in network.chain.all_votes:
        if vote.header.results is not None:
            key = (vote.node_id, vote.round, vote.header.scheduler_id)
            signed.setdefault(key, set()).add(vote.signature)
    assert all(len(signatures) == 1 for signatures in signed.values())
