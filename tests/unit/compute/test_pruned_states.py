"""An enclave that forgets states: what it keeps, whatever its host wishes, and what it refuses."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from shared.enclave.errors import RoundPruned, RoundUnknown
from shared.encoding.record import encode_record
from shared.types.block import RoundChange
from tests.support.compute_nodes import raw
from tests.support.enclave_bench import Bench, account, first_changes

KEPT = 4
LAST = 12


@pytest.fixture
def bench():
    return Bench(keep_rounds=KEPT)


@pytest.fixture
def program(bench, tmp_path):
    return bench.start("a", tmp_path)


@pytest.fixture
def changes(bench, program):
    """Rounds 2 to 12; account nonces are one less than the round."""
    return [bench.run(program, raw(nonce)) for nonce in range(LAST - 1)]


def prune(program, keep_from: int) -> int:
    """Take every step that a host wishes for; the oldest state then."""
    while not (pruned := program.prune(keep_from)).is_done:
        pass
    return pruned.oldest


def rows(directory) -> list[int]:
    """Rounds in the file of headers."""
    with closing(sqlite3.connect(directory / "headers.db")) as database:
        return [row for (row,) in database.execute("SELECT round FROM chained ORDER BY round")]


def test_a_host_that_wishes_all_away_loses_only_what_the_descriptor_does_not_keep(
    bench, program, changes, tmp_path
):
    assert prune(program, 2**63) == LAST - KEPT
    for round_ in range(LAST - KEPT, LAST + 1):
        assert account(program, round_).nonce == round_ - 1
    for round_ in range(LAST - KEPT):
        with pytest.raises(RoundPruned, match=f"{round_} is pruned; .* from round 8 on"):
            account(program, round_)
    with pytest.raises(RoundUnknown):
        account(program, LAST + 1)
    assert rows(tmp_path) == list(range(LAST - KEPT, LAST + 1))
    executed = program.execute(LAST + 1, (raw(LAST - 1),))
    assert program.advance(encode_record(bench.finalize(executed))).is_level


def test_a_host_may_keep_more(program, changes):
    assert prune(program, 5) == 5
    assert account(program, 5).nonce == 4
    assert prune(program, 3) == 5
    with pytest.raises(RoundPruned):
        account(program, 4)


def test_nothing_goes_before_there_is_more_than_is_kept(bench, program):
    for nonce in range(KEPT - 2):
        bench.run(program, raw(nonce))
    assert prune(program, 2**63) == 0


def test_without_a_window_everything_is_kept(tmp_path):
    bench = Bench()
    program = bench.start("a", tmp_path)
    bench.run(program, raw(0))
    assert prune(program, 2**63) == 0


def test_an_enclave_that_begins_gets_all_changes_from_one_that_pruned(bench, program, changes):
    prune(program, 2**63)
    given = [
        RoundChange(change.block, program.fetch_diff(change.block.header.round))
        for change in changes
    ]
    assert given == changes
    fresh = bench.program("b")
    fresh.initialize(bench.chain.prove(bench.keys))
    fresh.apply((*first_changes(bench.chain), *given[:7]))
    # It forgets on its way already, before what it has is proven to be final.
    assert prune(fresh, 2**63) == 8 - KEPT
    assert fresh.apply(tuple(given[7:])).state.is_level
    assert account(fresh, LAST - KEPT) == account(program, LAST - KEPT)


def test_a_killed_enclave_goes_on_where_it_stopped(bench, program, changes, tmp_path):
    oldest = prune(program, 6)
    executed = program.execute(LAST + 1, (raw(LAST - 1),))
    program.close()
    bench.finalize(executed)
    again = bench.start("a", tmp_path)
    assert again._state().is_level
    assert account(again, oldest).nonce == oldest - 1
    with pytest.raises(RoundPruned):
        account(again, oldest - 1)
    assert prune(again, 2**63) == LAST + 1 - KEPT
    assert account(again, LAST + 1).nonce == LAST


def test_a_chain_that_goes_back_within_the_window_goes_on_there(bench, program):
    heights = {}
    for nonce in range(LAST - 1):
        heights[nonce + 2] = bench.chain.height
        bench.run(program, raw(nonce))
    prune(program, 2**63)
    bench.chain.rewind(heights[LAST - KEPT + 1])
    assert program.initialize(bench.chain.prove(bench.keys)).is_level
    assert account(program, LAST - KEPT).nonce == LAST - KEPT - 1
    bench.run(program, raw(LAST - KEPT - 1, value=5))
    assert account(program, LAST - KEPT + 1).nonce == LAST - KEPT
    with pytest.raises(RoundPruned):
        account(program, LAST - KEPT - 1)


def test_a_chain_that_goes_back_further_than_the_host_kept_is_fetched_anew(bench, program):
    changes, heights = [], {}
    for nonce in range(LAST - 1):
        heights[nonce + 2] = bench.chain.height
        changes.append(bench.run(program, raw(nonce)))
    prune(program, 2**63)
    bench.chain.rewind(heights[5])
    state = program.initialize(bench.chain.prove(bench.keys))
    assert (state.next_round, state.is_level) == (0, False)
    assert program.apply((*first_changes(bench.chain), *changes[:3])).state.is_level
    assert account(program, 4).nonce == 3
    bench.run(program, raw(3, value=5))
    assert account(program, 5).nonce == 4


@pytest.mark.parametrize("lost", ["all", "newest"])
def test_headers_that_are_lost_leave_no_enclave_with_states_that_nobody_proves(
    bench, program, changes, tmp_path, lost
):
    prune(program, 2**63)
    program.close()
    if lost == "all":
        (tmp_path / "headers.db").write_bytes(b"no database at all, and long enough to be none")
    else:
        with closing(sqlite3.connect(tmp_path / "headers.db")) as database, database:
            database.execute("DELETE FROM chained WHERE round > 8")
    again = bench.program("a", tmp_path)
    state = again.initialize(bench.chain.prove(bench.keys))
    expected = 0 if lost == "all" else 9
    assert (state.next_round, state.is_level) == (expected, False)
    every = [*first_changes(bench.chain), *changes]
    assert again.apply(tuple(every)).state.is_level
    assert account(again, LAST).nonce == LAST - 1


def test_a_file_of_states_that_is_older_than_the_headers_is_gone_on_from(
    bench, program, changes, tmp_path
):
    program.close()
    shutil.copy(tmp_path / "state.redb", tmp_path / "old")
    again = bench.start("a", tmp_path)
    prune(again, 2**63)
    more = [bench.run(again, raw(nonce)) for nonce in range(LAST - 1, LAST + 5)]
    prune(again, 2**63)
    again.close()
    (tmp_path / "old").replace(tmp_path / "state.redb")
    swapped = bench.program("a", tmp_path)
    state = swapped.initialize(bench.chain.prove(bench.keys))
    assert state.next_round <= LAST + 1
    every = [*first_changes(bench.chain), *changes, *more]
    assert swapped.apply(tuple(every)).state.is_level
    assert account(swapped, LAST + 6).nonce == LAST + 5
