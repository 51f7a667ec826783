import sqlite3

import pytest
import sqlalchemy

from services.compute import earlier_store
from services.compute import open_rounds as module
from services.compute.open_rounds import OpenRounds, SaidTwice
from services.compute.store import Store
from shared.encoding import cbor
from shared.encoding.record import encode_record
from shared.types.identity import Incarnation
from tests.unit.compute.test_store_and_feed import proposal, vote

FIRST, SECOND = Incarnation(0), Incarnation(1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rounds.votes"


def said(open_rounds: OpenRounds, rounds=range(1, 9)):
    """Everything that is kept of some rounds."""
    return [(open_rounds.load_proposal(one), open_rounds.load_votes(one)) for one in rounds]


def test_what_was_said_is_there_in_the_same_life_and_void_in_another(path):
    open_rounds = OpenRounds(path, FIRST)
    open_rounds.save_proposal(proposal(3))
    open_rounds.save_vote(vote(3))
    open_rounds.close()
    assert said(OpenRounds(path, FIRST)) == said(open_rounds)
    assert said(OpenRounds(path, SECOND)) == said(OpenRounds(None, SECOND))


def test_nothing_is_said_twice_in_one_place(path):
    open_rounds = OpenRounds(path, FIRST)
    open_rounds.save_proposal(proposal(3))
    open_rounds.save_vote(vote(3))
    with pytest.raises(SaidTwice, match="proposal for round 3"):
        open_rounds.save_proposal(proposal(3))
    with pytest.raises(SaidTwice, match="rank 0 in round 3"):
        open_rounds.save_vote(vote(3, roots=(b"x" * 32, b"y" * 32)))
    open_rounds.save_vote(vote(3, rank=1))
    assert said(OpenRounds(path, FIRST)) == said(open_rounds)


def test_the_file_is_empty_once_every_round_is_stored(path):
    open_rounds = OpenRounds(path, FIRST)
    for round_ in (1, 2):
        open_rounds.save_vote(vote(round_))
    open_rounds.forget(1)
    assert open_rounds.load_votes(1) == ()
    assert path.stat().st_size > 0
    open_rounds.forget(2)
    assert path.stat().st_size == 0


def test_the_file_stays_small_where_rounds_overlap(path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_BYTES", 4096)
    open_rounds = OpenRounds(path, FIRST)
    sizes = []
    for round_ in range(1, 60):
        open_rounds.save_proposal(proposal(round_))
        open_rounds.save_vote(vote(round_))
        open_rounds.forget(round_ - 1)
        sizes.append(path.stat().st_size)
    assert max(sizes) < 2 * 4096
    open_rounds.close()
    assert said(OpenRounds(path, FIRST), [59]) == said(open_rounds, [59])


def test_another_life_begins_with_an_empty_file(path):
    open_rounds = OpenRounds(path, FIRST)
    open_rounds.save_vote(vote(3))
    open_rounds.enter(SECOND)
    assert path.stat().st_size == 0
    open_rounds.save_vote(vote(3))
    open_rounds.close()
    assert OpenRounds(path, SECOND).load_votes(3) == (vote(3),)


@pytest.mark.parametrize("dies_at", [None, "_PROPOSALS", "_VOTES", "_FORGET_PROPOSALS"])
def test_votes_of_an_earlier_database_are_adopted(tmp_path, dies_at, monkeypatch):
    path = tmp_path / "rounds.sqlite"
    Store(path).close()
    of_before(path)
    if dies_at is not None:
        with pytest.raises(sqlalchemy.exc.OperationalError), monkeypatch.context() as patch:
            patch.setattr(earlier_store, dies_at, sqlalchemy.text("SELECT nothing"))
            Store(path)
    for _ in range(2):
        store = Store(path)
        assert store.open_rounds.load_proposal(3) == proposal(3)
        assert store.open_rounds.load_votes(3) == (vote(3), vote(3, rank=1))
        store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM votes").fetchone() == (0,)


def of_before(path) -> None:
    """Make the tables of before, with what a node said in round 3."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "CREATE TABLE votes (round INTEGER, rank INTEGER, state_root BLOB, io_root BLOB, "
                "outputs BLOB, proposal BLOB, commitment BLOB, PRIMARY KEY (round, rank))"
            )
        )
        connection.execute(
            sqlalchemy.text("CREATE TABLE proposals (round INTEGER PRIMARY KEY, proposal BLOB)")
        )
        values = {"proposal": encode_record(proposal(3))}
        connection.execute(sqlalchemy.text("INSERT INTO proposals VALUES (3, :proposal)"), values)
        for one in (vote(3, rank=1), vote(3)):
            row = values | {
                "rank": one.rank,
                "outputs": cbor.encode_loosely([one.transactions, one.results]),
                "commitment": encode_record(one.commitment),
            }
            statement = (
                "INSERT INTO votes VALUES (3, :rank, 'a', 'b', :outputs, :proposal, :commitment)"
            )
            connection.execute(sqlalchemy.text(statement), row)
    engine.dispose()
