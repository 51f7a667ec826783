"""Headers on a disk that is not trusted: found from a proven one in few steps, or not at all."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from shared.crypto.hashes import EMPTY_HASH
from shared.enclave.errors import BrokenHeaderChain, StateRejected
from shared.enclave.history import WRITTEN_TOGETHER, Anchor, HeaderHistory
from shared.types.block import BlockHeader, HeaderType

KEY = b"k" * 32
COUNT = 700


def make_chain(count: int, *, timestamp: int = 1) -> list[BlockHeader]:
    headers: list[BlockHeader] = []
    for round_ in range(count):
        previous = headers[-1].hash() if headers else EMPTY_HASH
        headers.append(
            BlockHeader(
                1, b"r" * 32, round_, timestamp, HeaderType.NORMAL, previous, b"i" * 32, b"s" * 32
            )
        )
    return headers


CHAIN = make_chain(COUNT)


def anchor_of(header: BlockHeader) -> Anchor:
    return Anchor(header.round, header.hash())


@pytest.fixture
def path(tmp_path):
    history = HeaderHistory(tmp_path / "headers.db", KEY)
    for header in CHAIN:
        history.append(header)
    history.close()
    return tmp_path / "headers.db"


@pytest.fixture
def history(path):
    history = HeaderHistory(path, KEY)
    yield history
    history.close()


def test_every_header_is_found_from_every_later_one(history):
    for at in (COUNT - 1, 640, 512, 333, 1, 0):
        for round_ in range(at + 1):
            found = history.find(round_, anchor_of(CHAIN[at]))
            assert (found.header, found.hash) == (CHAIN[round_], CHAIN[round_].hash())


def test_an_old_header_is_reached_in_few_steps(history, monkeypatch):
    reads = []
    read = history._read
    monkeypatch.setattr(history, "_read", lambda *args: reads.append(args) or read(*args))
    for round_ in range(COUNT):
        reads.clear()
        history.find(round_, anchor_of(CHAIN[-1]))
        assert len(reads) <= 2 * COUNT.bit_length()


def test_nothing_is_found_from_a_header_that_is_not_of_this_chain(history):
    foreign = replace(CHAIN[-1], timestamp=2)
    assert history.find(3, anchor_of(foreign)) is None
    assert history.find(COUNT, Anchor(COUNT, b"x" * 32)) is None


@pytest.mark.parametrize("round_", [-1, COUNT - 1, COUNT + 9])
def test_a_round_outside_of_what_is_proven_is_not_looked_for(history, round_):
    assert history.find(round_, anchor_of(CHAIN[500])) is None


def test_a_file_of_another_enclave_is_begun_anew(path):
    history = HeaderHistory(path, b"o" * 32)
    assert (history.newest, history.next_round) == (None, 0)
    history.append(CHAIN[0])
    assert history.next_round == 1
    history.close()


def test_rows_of_a_void_fork_do_not_hide_those_of_the_chain_nor_pass_for_them(path):
    """Rows that the enclave wrote in another life of the chain are put back by the host."""
    fork = make_chain(COUNT, timestamp=9)
    history = HeaderHistory(path.with_name("fork.db"), KEY)
    for header in fork:
        history.append(header)
    history.close()
    with sqlite3.connect(path.with_name("fork.db")) as database:
        rows = database.execute("SELECT * FROM chained WHERE round % 3 = 0").fetchall()
    with sqlite3.connect(path) as database:
        database.executemany("INSERT OR REPLACE INTO chained VALUES (?, ?, ?, ?)", rows)
    history = HeaderHistory(path, KEY)
    for round_ in range(COUNT):
        found = history.find(round_, anchor_of(CHAIN[-1]))
        assert found is None or found.header == CHAIN[round_]
        assert found is None or round_ % 3 != 0
    history.close()


def test_a_header_that_does_not_follow_is_refused_and_changes_nothing(history):
    following = replace(CHAIN[-1], round=COUNT, previous_hash=CHAIN[-1].hash())
    for wrong in (
        replace(following, previous_hash=b"x" * 32),
        replace(following, round=COUNT + 1),
        CHAIN[5],
    ):
        with pytest.raises(BrokenHeaderChain):
            history.append(wrong)
    assert history.newest == CHAIN[-1]
    history.append(following)
    assert history.newest_hash == following.hash()


@pytest.mark.parametrize("next_round", [0, 1, 350, COUNT - 1, COUNT, COUNT + 5])
def test_what_is_truncated_is_gone_and_the_rest_goes_on(path, next_round):
    history = HeaderHistory(path, KEY)
    history.truncate(next_round)
    kept = min(next_round, COUNT)
    assert history.next_round == kept
    for header in CHAIN[kept:]:
        history.append(header)
    assert history.find(0, anchor_of(CHAIN[-1])).header == CHAIN[0]
    history.close()


def test_a_chain_over_damaged_rows_goes_on_and_finds_what_is_left(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE chained SET raw = x'00' WHERE round = 512")
    history = HeaderHistory(path, KEY)
    longer = make_chain(1100)
    for header in longer[COUNT:]:
        history.append(header)
    anchor = anchor_of(longer[-1])
    assert history.find(512, anchor) is None
    assert history.find(1023, anchor).header == longer[1023]
    assert history.find(600, anchor).header == longer[600]
    history.close()


def test_a_killed_enclave_loses_the_newest_headers_alone_and_goes_on(tmp_path):
    history = HeaderHistory(tmp_path / "headers.db", KEY)
    lost = set()
    for header in CHAIN[:60]:
        history.append(header)
        left = HeaderHistory(killed(tmp_path), KEY)
        lost.add(header.round + 1 - left.next_round)
        for known in CHAIN[left.next_round :]:
            left.append(known)
        assert left.find(0, anchor_of(CHAIN[-1])).header == CHAIN[0]
        left.close()
    history.close()
    assert lost == set(range(1, WRITTEN_TOGETHER + 1))


@pytest.mark.parametrize("next_round", range(30, 61))
def test_headers_that_wait_for_the_disk_are_truncated_and_pruned_like_others(tmp_path, next_round):
    history = HeaderHistory(tmp_path / "headers.db", KEY)
    for header in CHAIN[:60]:
        history.append(header)
    history.truncate(next_round)
    history.prune(next_round - 2)
    left = HeaderHistory(killed(tmp_path), KEY)
    assert left.next_round == next_round
    assert left.find(next_round - 2, anchor_of(CHAIN[next_round - 1])) is not None
    assert left.find(next_round - 3, anchor_of(CHAIN[next_round - 1])) is None
    left.close()
    history.close()


def test_headers_that_could_not_be_written_wait_and_no_other_is_taken(tmp_path):
    history = HeaderHistory(tmp_path / "headers.db", KEY)
    with closing(sqlite3.connect(tmp_path / "headers.db", isolation_level=None)) as other:
        history._db.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateRejected):
            for header in CHAIN:
                history.append(header)
        assert history.next_round == WRITTEN_TOGETHER
        other.execute("ROLLBACK")
    for header in CHAIN[WRITTEN_TOGETHER:]:
        history.append(header)
    history.close()
    reopened = HeaderHistory(tmp_path / "headers.db", KEY)
    for round_ in range(COUNT):
        assert reopened.find(round_, anchor_of(CHAIN[-1])).header == CHAIN[round_]
    reopened.close()


def killed(directory):
    """Give the file of headers as a process that dies now leaves it."""
    copy = directory / "killed.db"
    for suffix in ("", "-wal"):
        shutil.copy(directory / f"headers.db{suffix}", f"{copy}{suffix}")
    copy.with_name("killed.db-shm").unlink(missing_ok=True)
    return copy
