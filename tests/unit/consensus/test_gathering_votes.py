"""The loop lets votes share a block, and lets nobody make it wait twice."""

import asyncio
from types import SimpleNamespace

import pytest

from services.consensus.engine import solo_loop
from services.consensus.engine.solo_loop import SoloLoop

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


@pytest.fixture
def loop(monkeypatch) -> SoloLoop:
    """A loop whose engine says who is missing; it makes no blocks here."""
    monkeypatch.setattr(solo_loop, "GATHERING_S", 0.01)
    engine = SimpleNamespace(missing=frozenset(), chain=None)
    engine.missing_voters = lambda: engine.missing
    return SoloLoop(None, lambda: engine)


async def gathering(loop: SoloLoop) -> asyncio.Task:
    task = asyncio.create_task(loop._gather_votes())
    await asyncio.sleep(0)
    return task


async def test_a_block_waits_until_nobody_is_missing(loop, monkeypatch):
    # No wait may end by itself here, on however slow a machine.
    monkeypatch.setattr(solo_loop, "GATHERING_S", 60.0)
    loop.engine.missing = frozenset({A, B})
    waiting = await gathering(loop)
    loop.engine.missing = frozenset({B})
    loop._wake.set()
    await asyncio.sleep(0)
    assert not waiting.done()
    loop.engine.missing = frozenset()
    loop._wake.set()
    await waiting
    assert loop._silent == set()


async def test_who_let_a_block_wait_in_vain_is_not_waited_for_again(loop):
    loop.engine.missing = frozenset({C})
    await loop._gather_votes()
    assert loop._silent == {C}
    again = await gathering(loop)
    assert again.done()


async def test_nothing_is_waited_for_where_nobody_is_missing(loop):
    assert (await gathering(loop)).done()
