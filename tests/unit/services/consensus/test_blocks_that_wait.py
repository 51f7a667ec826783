"""Executed blocks that wait to be written together: read as any, and made again after a crash."""

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from services.consensus.engine.solo import Limits, StoresDiverged
from services.consensus.store import MAX_WAITING_BYTES, Store
from shared.api.consensus import UnknownHeight
from tests.support.chains import SoloChain
from tests.support.counter import RUNTIME, transaction

BLOCKS = 12


def open_chain(path, may_wait: int = 100) -> SoloChain:
    limits = Limits(4 * MAX_WAITING_BYTES, 4 * MAX_WAITING_BYTES)
    return SoloChain(path, make_store=partial(Store, may_wait=may_wait), limits=limits)


def make_block(chain: SoloChain) -> None:
    """Make a block of which every third ends a round."""
    height = chain.engine.chain.height + 1
    chain.engine.submit(transaction(2 * height - 2, f"key {height % 4}", f"{height}"))
    chain.engine.submit(transaction(2 * height - 1, "round" if height % 3 == 0 else "other", ""))
    chain.engine.make_block()


@pytest.fixture
def chain(tmp_path):
    chain = open_chain(tmp_path / "chain.db").started()
    for _ in range(BLOCKS):
        make_block(chain)
    assert chain.store.waiting == BLOCKS
    yield chain
    chain.store.close()


def killed(chain: SoloChain) -> SoloChain:
    """Give the chain as it stands when its process dies now, not started."""
    copy = Path(mkdtemp(dir=chain.path.parent)) / "chain.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{chain.path}{suffix}", f"{copy}{suffix}")
    return open_chain(copy)


def told(store: Store) -> list[object]:
    """Give all that a store can be asked about its blocks and their rounds."""
    heights = range(store.first_height, store.height + 1)
    rounds = range(store.height + 2)
    return [
        *((store.load_events(height), store.load_result(height)) for height in heights),
        *(store.load_tree(height).root for height in heights),
        *(store.rounds.load_header(RUNTIME, one) for one in rounds),
        *(store.rounds.load_epoch(RUNTIME, one) for one in rounds),
        *(store.rounds.load_height(RUNTIME, one) for one in rounds),
        *(store.rounds.load_newest_by(RUNTIME, height) for height in heights),
        store.rounds.load_headers(RUNTIME, 0, 100),
    ]


def test_blocks_that_wait_answer_as_written_ones_do(chain):
    waiting, rounds = chain.store, range(BLOCKS)
    before = [
        (log.load_header(RUNTIME, one), log.load_epoch(RUNTIME, one), log.load_height(RUNTIME, one))
        for log in [waiting.rounds]
        for one in rounds
    ]
    assert sum(header is not None for header, _, _ in before) == BLOCKS // 3
    assert waiting.waiting == BLOCKS
    everything = told(waiting)
    assert waiting.waiting == 0
    assert told(Store(chain.path)) == everything
    after = [
        (log.load_header(RUNTIME, one), log.load_epoch(RUNTIME, one), log.load_height(RUNTIME, one))
        for log in [waiting.rounds]
        for one in rounds
    ]
    assert after == before


@pytest.mark.parametrize("written", [0, 1, 7, BLOCKS])
def test_a_killed_chain_makes_again_what_waited(tmp_path, written):
    chain = open_chain(tmp_path / "chain.db").started()
    for height in range(1, BLOCKS + 1):
        make_block(chain)
        if height == written:
            chain.store.flush()
        left = killed(chain)
        assert left.store.height == (written if height >= written else 0)
        left.started()
        assert left.engine.chain == chain.engine.chain
        assert told(left.store) == told(killed(chain).started().store)
        make_block(left)
        left.store.close()
    assert told(killed(chain).started().store) == told(chain.store)
    chain.store.close()


def test_no_more_wait_than_may(tmp_path):
    chain = open_chain(tmp_path / "chain.db", may_wait=3).started()
    waiting = []
    for _ in range(BLOCKS):
        make_block(chain)
        waiting.append(chain.store.waiting)
    assert waiting == [1, 2, 3, 0] * (BLOCKS // 4)
    chain.store.close()


def test_large_changes_do_not_wait(tmp_path):
    chain = open_chain(tmp_path / "chain.db").started()
    make_block(chain)
    assert chain.store.waiting == 1
    chain.engine.submit(transaction(2, "key", "v" * (MAX_WAITING_BYTES + 1)))
    chain.engine.make_block()
    assert chain.store.waiting == 0
    chain.store.close()


def test_a_rollback_among_blocks_that_wait_leaves_those_below(chain):
    chain.store.rollback(5)
    left = killed(chain)
    assert (left.store.height, left.store.incarnation) == (5, 1)
    assert left.started().engine.chain.height == 5
    with pytest.raises(UnknownHeight):
        left.store.load_tree(6)
    assert left.store.rounds.load_header(RUNTIME, 2) is None
    left.store.close()


def test_a_snapshot_of_a_block_that_waits_is_there_after_a_kill(chain):
    snapshot = chain.store.add_snapshot()
    left = killed(chain)
    assert left.store.snapshots.load() == (snapshot,)
    assert left.store.height == snapshot.height == BLOCKS
    left.store.close()


def test_what_is_needed_to_make_blocks_again_is_not_pruned(chain):
    while bounds := chain.store.plan_pruning(2, 64):
        chain.store.prune(*bounds)
    for _ in range(3):
        make_block(chain)
    while bounds := chain.store.plan_pruning(1, 64):
        chain.store.prune(*bounds)
    make_block(chain)
    left = killed(chain)
    assert left.started().engine.chain == chain.engine.chain
    left.store.close()


def test_a_chain_that_lacks_a_block_to_make_again_says_so(chain):
    left = killed(chain)
    left.store.close()
    with closing(sqlite3.connect(left.path)) as database:
        database.execute("DELETE FROM blocks WHERE height = 4")
        database.commit()
    left.restart()
    with pytest.raises(StoresDiverged, match="height 4 is to be executed again, and has no block"):
        left.engine.start()
    left.store.close()
