"""The consensus database: every version of the state, and the way back."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from services.consensus.store import RECENT_BLOCKS, ForeignDatabase, Store
from shared.api.consensus import START_SNAPSHOT, UnknownHeight
from shared.rules.light_client import LightClient
from shared.rules.state_keys import last_block_key
from tests.support.chains import CHAIN_ID, VALIDATORS, SoloChain
from tests.support.counter import RUNTIME, transaction


@pytest.fixture
def chain(tmp_path):
    """Five blocks: `key` is its height, `gone` is there at heights 2 to 3, rounds at 2 and 4."""
    chain = SoloChain(tmp_path / "chain.db").started()
    nonce = 0
    for height in range(1, 6):
        calls = [("key", str(height))]
        if height in (2, 4):
            calls.append(("round", ""))
        if height == 2:
            calls.append(("due", str(chain.clock.now_ns() + 10**9)))
        if height == 4:
            chain.clock.advance(2 * 10**9)  # `due` is done, and leaves the state
        for key, value in calls:
            chain.engine.submit(transaction(nonce, key, value))
            nonce += 1
        chain.engine.make_block()
    return chain


def reopened(chain: SoloChain) -> Store:
    return Store(chain.path)


def test_every_version_of_the_state_is_there_after_a_restart(chain):
    store = reopened(chain)
    for height in range(1, 6):
        tree = store.load_tree(height)
        assert tree.get(b"key") == str(height).encode()
        assert (tree.get(b"due") is not None) == (height in (2, 3))
        assert tree.root == chain.store.load_tree(height).root


def test_the_newest_state_is_the_default(chain):
    assert reopened(chain).load_tree().root == chain.store.load_tree(5).root


def test_a_database_without_blocks_has_an_empty_state(tmp_path):
    store = Store(tmp_path / "new.db")
    assert (store.height, len(store.load_tree()), store.blocks.load()) == (0, 0, None)


@pytest.mark.parametrize("height", [-1, 6, 100])
def test_a_height_that_never_was_is_an_error(chain, height):
    for ask in (
        chain.store.load_tree,
        chain.store.load_events,
        chain.store.load_result,
        chain.store.rollback,
        lambda height: chain.store.load_proven_state([b"key"], height),
    ):
        with pytest.raises(UnknownHeight):
            ask(height)


def test_blocks_results_and_events_survive_a_restart(chain):
    store = reopened(chain)
    for height in range(1, 6):
        assert store.blocks.load(height) == chain.store.blocks.load(height)
        assert store.load_result(height) == chain.store.load_result(height)
        assert store.load_events(height) == chain.store.load_events(height)


def test_events_of_finalized_rounds_come_with_a_proof_an_enclave_believes(chain):
    client = LightClient(CHAIN_ID, VALIDATORS)
    store = reopened(chain)
    for height, round_ in ((2, 1), (4, 2)):
        events = store.load_events(height)
        assert events.proven is not None
        values = client.verify_encoded(events.proven).values
        assert values == {last_block_key(RUNTIME): store.load_tree(height).get(*values)}
        assert events.finalized[0].header.round == round_
    assert store.load_events(3).proven is None


def test_any_keys_are_proven_at_any_height(chain):
    client = LightClient(CHAIN_ID, VALIDATORS)
    store = reopened(chain)
    for height in range(1, 6):
        verified = client.verify(store.load_proven_state([b"key", b"absent"], height))
        assert verified.values == {b"key": str(height).encode(), b"absent": None}


def test_round_headers_are_found_by_runtime_and_round(chain):
    store = reopened(chain)
    assert store.rounds.load_header(RUNTIME, 2).round == 2
    assert store.rounds.load_header(RUNTIME, 3) is None
    assert store.rounds.load_header(bytes(32), 1) is None


def test_a_rollback_forgets_everything_above_and_the_chain_goes_on_from_there(chain):
    root = chain.store.load_tree(3).root
    chain.store.rollback(3)
    assert chain.store.height == 3
    assert chain.store.load_tree().root == root
    assert chain.store.rounds.load_header(RUNTIME, 2) is None
    assert chain.store.blocks.load().height == 3
    with pytest.raises(UnknownHeight):
        chain.store.load_tree(4)
    chain.store.close()
    chain.restart()
    chain.engine.start()
    chain.engine.submit(transaction(5, "key", "another 4"))
    chain.engine.make_block()
    assert reopened(chain).load_tree(4).get(b"key") == b"another 4"


def test_memory_is_bounded_however_long_the_chain(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    chain.make_blocks(RECENT_BLOCKS + 20)
    assert len(chain.store._trees) == len(chain.store._events) == RECENT_BLOCKS
    assert chain.store.load_events(1).height == 1


def test_after_a_checkpoint_the_database_file_alone_holds_the_chain(chain, tmp_path):
    def copied() -> Store:
        shutil.copy(chain.path, tmp_path / "copy.db")
        return Store(tmp_path / "copy.db")

    before = copied()
    assert before.height == 0
    before.close()
    chain.store.checkpoint()
    assert copied().load_tree(5).root == chain.store.load_tree().root


def test_a_database_of_another_version_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ForeignDatabase):
        Store(path)


def test_every_rollback_is_counted_for_good(chain):
    for incarnation, height in enumerate((4, 4, 3, 2), start=1):
        chain.store.rollback(height)
        assert chain.store.incarnation == reopened(chain).incarnation == incarnation
    with pytest.raises(UnknownHeight):
        chain.store.rollback(3)
    assert chain.store.incarnation == 4


def test_snapshots_survive_a_restart_and_a_rollback_to_before_them_removes_them(chain):
    store = chain.store
    store.rollback(4)
    early = store.add_snapshot()
    chain.restart()
    chain.engine.start()
    chain.make_blocks(2)
    store = chain.store
    late = store.add_snapshot()
    assert (early.height, early.incarnation, late.height) == (4, 1, 6)
    assert reopened(chain).snapshots.load() == store.snapshots.load() == (early, late)
    store.rollback(5)
    assert reopened(chain).snapshots.load() == (early,)
    store.rollback(4)
    assert store.snapshots.load() == (early,)
    assert store.add_snapshot().id > late.id


def test_the_epoch_of_each_round_is_kept(chain):
    assert chain.store.rounds.load_epoch(RUNTIME, 1) == 0
    assert chain.store.rounds.load_epoch(RUNTIME, 99) is None


# -- pruning -------------------------------------------------------------------------------------


def prune_all(store: Store, keep: int, most: int = 64) -> None:
    while bounds := store.plan_pruning(keep, most):
        store.prune(*bounds)


def test_the_start_is_remembered_and_keeps_no_history(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    chain.engine.make_block()
    chain.store.add_start()
    for nonce in range(20):
        chain.engine.submit(transaction(nonce, "key", f"{nonce}"))
        chain.engine.make_block()
    chain.store.add_start()
    (start,) = chain.store.snapshots.load()
    assert start.id == START_SNAPSHOT
    prune_all(chain.store, keep=5)
    assert chain.store.first_height > start.height


def rows(store: Store) -> int:
    with store._connection.begin():
        return store._connection.scalar(text("SELECT count(*) FROM entries"))


def test_what_lies_beyond_the_window_is_forgotten_and_refused_clearly(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    for nonce in range(30):
        chain.engine.submit(transaction(nonce, f"key {nonce % 3}", f"{nonce}"))
        chain.engine.make_block()
    roots = {height: chain.store.load_tree(height).root for height in range(1, 31)}
    before = rows(chain.store)
    prune_all(chain.store, keep=10, most=4)
    assert (chain.store.first_height, chain.store.height) == (21, 30)
    assert rows(chain.store) < before / 2
    store = reopened(chain)
    assert store.first_height == 21
    for height in range(21, 31):
        assert store.load_tree(height).root == store.load_old_tree(height).root == roots[height]
    for read in (store.load_tree, store.load_old_tree, store.load_events, store.rollback):
        with pytest.raises(UnknownHeight, match="no block of height 20"):
            read(20)


def test_a_chain_goes_back_to_the_oldest_height_that_is_kept(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    chain.make_blocks(20)
    prune_all(chain.store, keep=5)
    chain.store.rollback(16)
    chain.store.close()
    chain.restart()
    chain.started().make_blocks(3)
    assert chain.store.height == 19


def test_snapshots_pin_the_history_from_their_height_on(chain):
    chain.store.rollback(3)
    snapshot = chain.store.add_snapshot()
    chain.restart()
    chain.started().make_blocks(20)
    prune_all(chain.store, keep=2)
    assert chain.store.first_height == snapshot.height - 1
    chain.store.rollback(snapshot.height)
    chain.restart()
    chain.started().make_blocks(20)
    chain.store.snapshots.drop(snapshot.id)
    prune_all(chain.store, keep=2)
    assert chain.store.first_height == chain.store.height - 1


def test_of_rounds_beyond_the_window_every_64th_is_kept(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    for nonce in range(140):
        chain.engine.submit(transaction(nonce, "round", ""))
        chain.engine.make_block()
    newest = chain.store.rounds.load_headers(RUNTIME, 0, 256)
    rounds = [header.round for header in newest]
    assert rounds == list(range(1, 141))
    prune_all(chain.store, keep=10)
    store = reopened(chain)
    kept = [
        header for header in newest if store.rounds.load_header(RUNTIME, header.round) == header
    ]
    assert [header.round for header in kept] == [64, 128, *range(131, 141)]
    # Rounds in a row: those in the window, and no checkpoint with a gap behind it.
    assert store.rounds.load_headers(RUNTIME, 0, 256) == newest[130:]
    assert store.rounds.load_headers(RUNTIME, 100, 20) == ()
    assert store.rounds.load_headers(RUNTIME, 100, 29) == (newest[127],)


def test_the_round_that_a_height_had_reached_is_found_where_headers_are_gone_too(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    for nonce in range(140):
        chain.engine.submit(transaction(nonce, "round", ""))
        chain.engine.make_block()
    rounds = chain.store.rounds
    # Round n was finalized at height n.
    assert [rounds.load_newest_by(RUNTIME, height) for height in (0, 1, 70, 200)] == [0, 1, 70, 140]
    assert rounds.load_newest_by(bytes(32), 70) == 0
    prune_all(chain.store, keep=10)
    assert chain.store.first_height == 131
    assert rounds.load_newest_by(RUNTIME, 131) == 131
    assert rounds.load_newest_by(RUNTIME, 130) == 128


def test_a_database_of_before_gets_the_index_of_headers(tmp_path):
    chain = SoloChain(tmp_path / "chain.db").started()
    chain.make_blocks(3)
    chain.store.close()
    with closing(sqlite3.connect(chain.path)) as connection:
        connection.execute("DROP INDEX round_headers_by_height")
        connection.commit()
    Store(chain.path).close()
    with closing(sqlite3.connect(chain.path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN DELETE FROM round_headers WHERE height >= 1 AND height < 3"
        ).fetchall()
    assert "round_headers_by_height" in plan[0][3]
