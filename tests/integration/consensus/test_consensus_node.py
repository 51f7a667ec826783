"""The loop of the consensus service: what wakes it, who waits, and who watches."""

import asyncio
import time

import pytest

from services.consensus.engine.solo_loop import BEAT_NS
from services.consensus.node import HEALTHY_AGE_S, ConsensusNode
from services.consensus.store import RECENT_BLOCKS
from shared.api.consensus import ChainRewound, UnknownHeight
from shared.errors import RuntimeRejected
from shared.kit.clock import SystemClock
from tests.support.chains import SoloChain
from tests.support.counter import BAD_NONCE, transaction
from tests.support.turns import until


@pytest.fixture
def chain():
    return SoloChain()


@pytest.fixture
async def node(chain):
    """A node that makes blocks by itself, on the machine's clock."""
    chain.clock = SystemClock()
    node = ConsensusNode(chain.store, chain.new_loop())
    task = asyncio.create_task(node.run())
    yield node
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def take(items, count):
    taken = []
    async for item in items:
        taken.append(item)
        if len(taken) == count:
            return taken
    raise AssertionError("the stream ended early")


async def test_the_first_block_comes_at_once(node):
    events = await take(node.watch(0), 1)
    assert events[0].height == 1
    assert node.is_healthy()


async def test_a_transaction_is_executed_long_before_the_beat(node):
    async with asyncio.timeout(BEAT_NS / 1e9 / 2):
        result = await node.execute(transaction(0, "key", "value"))
    assert (result.code, result.height) == (0, node.height)
    assert node.store.load_tree().get(b"key") == b"value"


async def test_transactions_of_one_moment_share_a_block(node):
    await take(node.watch(0), 1)
    results = await asyncio.gather(
        *(node.execute(transaction(nonce, f"key{nonce}")) for nonce in range(3))
    )
    assert len({result.height for result in results}) == 1


async def test_two_who_send_the_same_transaction_get_the_same_result(node):
    await take(node.watch(0), 1)
    raw = transaction(0, "key")
    first, second = await asyncio.gather(node.execute(raw), node.execute(raw))
    assert first == second


async def test_a_refusal_reaches_the_sender(node):
    with pytest.raises(RuntimeRejected) as raised:
        await node.execute(transaction(9, "key"))
    assert raised.value.code == BAD_NONCE


async def test_work_that_is_due_makes_a_block_before_the_beat(node):
    await node.execute(transaction(0, "due", str(node.engine.standing.time_ns + BEAT_NS // 20)))
    height = node.height
    async with asyncio.timeout(BEAT_NS / 1e9 / 2):
        await take(node.watch(height + 1), 1)
    assert node.store.load_tree().get(b"done") is not None


async def test_a_watcher_gets_every_height_once_from_where_it_asks(node):
    for nonce in range(4):
        await node.execute(transaction(nonce, "key", str(nonce)))
    following = asyncio.create_task(take(node.watch(2), 6))
    await asyncio.sleep(0)
    for nonce in range(4, 8):
        await node.execute(transaction(nonce, "key", str(nonce)))
    assert [events.height for events in await following] == list(range(2, 8))


async def test_a_watcher_is_told_when_the_chain_goes_back(node):
    for nonce in range(4):
        await node.execute(transaction(nonce, "key", str(nonce)))
    watching = asyncio.create_task(take(node.watch(node.height + 50), 1))
    await asyncio.sleep(0)
    node.rewind(2)
    assert node.height == 3
    assert node.store.load_events(3).incarnation == 1
    with pytest.raises(ChainRewound):
        await watching
    await node.execute(transaction(1, "key", "anew"))
    assert node.store.load_tree().get(b"key") == b"anew"


async def test_who_waits_for_a_transaction_is_told_when_the_chain_goes_back(node):
    await node.execute(transaction(0, "key"))
    waiting = asyncio.create_task(node.execute(transaction(1, "key")))
    await asyncio.sleep(0)
    node.rewind(1)
    with pytest.raises(ChainRewound):
        await waiting


async def test_heights_before_the_first_are_unknown():
    chain = SoloChain(initial_height=10)
    node = ConsensusNode(chain.store, chain.new_loop())
    node.mine(3)
    assert node.height == 12
    with pytest.raises(UnknownHeight):
        await take(node.watch(9), 1)


async def test_a_clock_that_is_set_back_stops_no_blocks():
    chain = SoloChain().started()
    node = ConsensusNode(chain.store, chain.new_loop(beat_ns=10**8))
    assert not node.is_healthy()
    node.mine(1)
    # An hour into the past, as far as the node can see.
    chain.clock._now_ns -= 3_600 * 10**9
    running = asyncio.create_task(node.run())
    height = node.height
    await until(lambda: node.height >= height + 2)
    assert node.is_healthy()
    running.cancel()


async def test_a_chain_that_stands_still_is_not_healthy(monkeypatch):
    chain = SoloChain().started()
    node = ConsensusNode(chain.store, chain.new_loop())
    node.mine(1)
    assert node.is_healthy()
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + HEALTHY_AGE_S + 0.1)
    assert not node.is_healthy()


async def test_old_states_are_read_and_forgotten_beside_the_blocks(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    node = ConsensusNode(chain.store, chain.new_loop())
    node.mine(RECENT_BLOCKS + 60)
    assert not chain.store.is_recent(30)
    await node.prune(RECENT_BLOCKS + 20)
    assert chain.store.first_height == 41
    tree = await asyncio.to_thread(chain.store.load_old_tree, 41)
    assert tree.root == chain.store.load_result(41).app_hash
    with pytest.raises(UnknownHeight):
        await asyncio.to_thread(chain.store.load_old_tree, 40)
    with pytest.raises(UnknownHeight):
        await take(node.watch(40), 1)
