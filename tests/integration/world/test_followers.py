"""Nodes that are no workers: they take rounds up a few at a time, and nobody can tell."""

import asyncio

from services.compute.bundling import MAX_ROUNDS
from services.compute.mailbox import ProposalReceived
from services.compute.node import ComputeNode
from shared.api.evm import EvmQueries
from shared.types.commitment import Proposal
from shared.types.identity import Round
from tests.integration.world.test_world import RICH, head_of, in_a_world
from tests.support.signing import sign
from tests.support.world import World
from tests.support.world_genesis import node_id_of


def follower_of(world: World) -> str:
    """Name of the one node that is no worker."""
    (name,) = set(world.compute) - set(world.workers())
    return name


def compute(world: World, name: str) -> ComputeNode:
    node = world.nodes[name]
    assert isinstance(node, ComputeNode)
    return node


def count_calls(world: World, name: str) -> dict[str, int]:
    """Count from now on what the host of a node asks its enclave, by method."""
    calls: dict[str, int] = {}
    socket = world.sockets[name]
    call = socket.call

    async def counted(method, body):
        calls[method] = calls.get(method, 0) + 1
        return await call(method, body)

    socket.call = counted
    return calls


def listen(world: World, name: str) -> list[Proposal]:
    """Keep the proposals that reach a node from now on."""
    heard: list[Proposal] = []
    node = compute(world, name)
    offer = node.offer

    def listened(message):
        if isinstance(message, ProposalReceived):
            heard.append(message.proposal)
        offer(message)

    node.offer = listened
    return heard


async def transfer(world: World, nonce: int) -> Round:
    """Have a transaction executed, by way of a worker; the round that has it there."""
    worker = world.workers()[0]
    feed = compute(world, worker).feed
    raw, first = bytes.fromhex(sign(nonce).removeprefix("0x")), feed.next_round

    def found() -> Round | None:
        rounds = map(Round, range(first, feed.next_round))
        return next((r for r in rounds if raw in feed.find(r).transactions), None)

    (answer,) = await world.ask(worker).submit_transactions((raw,))
    assert answer.module == "", answer
    await world.until(lambda: found() is not None)
    return found()


def test_rounds_that_follow_upon_each_other_are_taken_up_together():
    async def test(world: World) -> None:
        follower = follower_of(world)
        calls = count_calls(world, follower)
        executed = count_calls(world, world.workers()[0])
        count = MAX_ROUNDS // 2
        for nonce in range(count):
            newest = await transfer(world, nonce)
        assert executed["execute"] >= count
        await world.until(lambda: head_of(world, follower).round >= newest)
        assert calls["advance"] == calls["apply"] < count / 2
        assert (await EvmQueries(world.ask(follower)).fetch_account(RICH)).nonce == count

    in_a_world(test)


def test_who_saw_a_round_elsewhere_finds_it_at_a_follower_too():
    async def test(world: World) -> None:
        follower = follower_of(world)
        ask = EvmQueries(world.ask(follower))
        for nonce in range(0, 12, 3):
            for one in range(3):
                newest = await transfer(world, nonce + one)
            assert head_of(world, follower).round < newest
            assert (await ask.fetch_account(RICH)).nonce == nonce + 3
            assert head_of(world, follower).round == newest

    in_a_world(test)


def test_a_client_of_a_follower_sends_one_transaction_after_the_other():
    async def test(world: World) -> None:
        follower = follower_of(world)
        feed = compute(world, follower).feed
        await transfer(world, 0)
        await transfer(world, 1)
        for nonce in range(2, 8):
            raw = bytes.fromhex(sign(nonce).removeprefix("0x"))
            first, began_s = feed.next_round, asyncio.get_running_loop().time()
            (answer,) = await world.ask(follower).submit_transactions((raw,))
            assert (answer.module, answer.missing_sequence) == ("", None)
            await world.until(
                lambda first=first, raw=raw: any(
                    raw in feed.find(Round(r)).transactions for r in range(first, feed.next_round)
                )
            )
            assert asyncio.get_running_loop().time() - began_s < 0.1

    in_a_world(test)


def test_backup_workers_hear_of_proposals_that_they_may_have_to_execute_and_of_no_others():
    async def test(world: World) -> None:
        backups = [name for name in world.compute if node_id_of(name) in world.committee.backups()]
        (silent,) = set(backups) & set(world.workers())
        followers = [name for name in backups if name != silent]
        heard = {name: listen(world, name) for name in followers}
        for nonce in range(4):
            await transfer(world, nonce)
        assert heard == {name: [] for name in followers}

        # Without it they alone can decide.
        world.cut_off.add(silent)
        reachable = next(name for name in world.workers() if name != silent)
        raw, round_ = bytes.fromhex(sign(4).removeprefix("0x")), world.head.round + 1
        await world.ask(reachable).submit_transactions((raw,))
        await world.until(lambda: world.head.round >= round_)
        assert all(one.header.round == round_ for told in heard.values() for one in told)
        voters = {vote.node_id for events in world.happened() for vote in events.commitments}
        assert voters >= {node_id_of(name) for name in followers}
        feed = compute(world, reachable).feed
        await world.until(lambda: feed.next_round > round_)
        assert feed.find(round_).transactions == (raw,)

    # So many that two backup workers are no workers.
    in_a_world(test, compute=8)
