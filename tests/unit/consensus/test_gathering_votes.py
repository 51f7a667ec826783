"""The loop lets votes share a block, and lets nobody make it wait twice."""

import asyncio
from types import SimpleNamespace

import pytest

from services.consensus import node as consensus_node
from services.consensus.node import ConsensusNode

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


@pytest.fixture
def node(monkeypatch) -> ConsensusNode:
    """A node whose engine says who is missing; it makes no blocks here."""
    monkeypatch.setattr(consensus_node, "GATHERING_S", 0.01)
    engine = SimpleNamespace(missing=frozenset(), chain=None)
    engine.missing_voters = lambda: engine.missing
    monkeypatch.setattr(ConsensusNode, "_started_engine", lambda _: engine)
    return ConsensusNode(None, None, None)


async def gathering(node: ConsensusNode) -> asyncio.Task:
    task = asyncio.create_task(node._gather_votes())
    await asyncio.sleep(0)
    return task


async def test_a_block_waits_until_nobody_is_missing(node, monkeypatch):
    # No wait may end by itself here, on however slow a machine.
    monkeypatch.setattr(consensus_node, "GATHERING_S", 60.0)
    node.engine.missing = frozenset({A, B})
    waiting = await gathering(node)
    node.engine.missing = frozenset({B})
    node._wake.set()
    await asyncio.sleep(0)
    assert not waiting.done()
    node.engine.missing = frozenset()
    node._wake.set()
    await waiting
    assert node._silent == set()


async def test_who_let_a_block_wait_in_vain_is_not_waited_for_again(node):
    node.engine.missing = frozenset({C})
    await node._gather_votes()
    assert node._silent == {C}
    again = await gathering(node)
    assert again.done()


async def test_nothing_is_waited_for_where_nobody_is_missing(node):
    assert (await gathering(node)).done()
