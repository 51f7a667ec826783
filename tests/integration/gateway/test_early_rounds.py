"""Rounds whose contents a worker told before they were final."""

import asyncio

import pytest

from shared.gateways.block_check import ForgedResults
from shared.gateways.early_rounds import MAX_HELD, MAX_MISSED
from shared.types.block import ExecutedRound
from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.signing import RECEIVER, sign
from tests.support.turns import until


def hold_back(gateway):
    """Have no node deliver anything newer than now."""
    for compute in gateway.computes:
        compute.held_at = gateway.chain.newest.round


def let_go(gateway):
    for compute in gateway.computes:
        compute.held_at = None
    gateway.chain._announce()


def mine(gateway, *raws):
    """Make a block of transactions; what a worker says of it."""
    gateway.chain.pool += [bytes.fromhex(raw[2:]) for raw in raws]
    block = gateway.chain.mine()
    return ExecutedRound(block.header.round, block.transactions, block.results)


async def test_a_round_is_shown_before_any_node_delivers_it(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        hold_back(gateway)
        executed = mine(gateway, sign(0, value=5))
        gateway.node.follower.early.hold(executed)
        await gateway.until_round(executed.round)
        assert all(node.round < executed.round for node in gateway.node.nodes.members)
        assert gateway.node.index.newest.header == gateway.chain.newest


async def test_questions_wait_for_a_node_that_has_what_is_shown(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        hold_back(gateway)
        executed = mine(gateway, sign(0, value=5))
        gateway.node.follower.early.hold(executed)
        await gateway.until_round(executed.round)
        asked = asyncio.create_task(gateway.rpc("eth_getBalance", RECEIVER, "latest"))
        await asyncio.sleep(0.01)
        assert not asked.done()
        let_go(gateway)
        assert await asked == "0x5"


async def test_transactions_wait_for_the_node_that_gets_them(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        await gateway.send(sign(0))
        hold_back(gateway)
        gateway.node.follower.early.hold(mine(gateway, sign(1)))
        await gateway.until_round(gateway.chain.newest.round)
        before = sum(one.calls.count("submit_transactions") for one in gateway.computes)
        sent = asyncio.create_task(gateway.send(sign(2)))
        await asyncio.sleep(0.01)
        after = sum(one.calls.count("submit_transactions") for one in gateway.computes)
        assert (sent.done(), after) == (False, before)
        let_go(gateway)
        await sent


async def test_nodes_that_stay_behind_are_asked_all_the_same_in_the_end(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        hold_back(gateway)
        gateway.node.follower.early.hold(mine(gateway, sign(0)))
        await gateway.until_round(gateway.chain.newest.round)
        assert await gateway.rpc("eth_getBalance", FIRST_ADDRESS, "latest") != "0x0"


async def test_contents_under_another_root_are_not_shown(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        hold_back(gateway)
        executed = mine(gateway, sign(0))
        lie = ExecutedRound(executed.round, executed.transactions, (b"\xa0",))
        gateway.node.follower.early.hold(lie)
        await until(lambda: gateway.node.finality.head_round == executed.round)
        assert gateway.node.index.newest.number < executed.round
        let_go(gateway)
        await gateway.until_round(executed.round)
        assert gateway.node.index.newest.header == gateway.chain.newest


async def test_what_is_held_is_bounded_and_has_a_root(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        early = gateway.node.follower.early
        for number in range(3 * MAX_HELD):
            early.hold(ExecutedRound(number, (b"%d" % number,), (b"\xa0",)))
        assert len(early._held) == MAX_HELD
        with pytest.raises(ForgedResults):
            early.hold(ExecutedRound(9, (b"\0" * (1 << 25),), (b"\xa0",)))


async def test_a_worker_is_heard_and_another_one_when_it_falls_silent(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        heard = lambda: [one for one in gateway.computes if "watch_executed" in one.calls]  # noqa: E731
        await until(lambda: len(heard()) == 1)
        [first] = heard()
        executed = ExecutedRound(99, (b"raw",), (b"\xa0",))
        first.executed.put_nowait(executed)
        await until(lambda: executed in gateway.node.follower.early._held.values())
        for nonce in range(MAX_MISSED):
            await gateway.send(sign(nonce))
        await until(lambda: len(heard()) == 2)
