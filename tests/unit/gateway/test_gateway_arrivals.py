"""Who waits for a transaction, and what is known to be absent."""

import pytest

from services.gateway.index.arrivals import AbsentTransactions, Arrivals
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.recent import RecentRounds
from services.gateway.store import BlockStore
from tests.support.fake_compute import RUNTIME_ID
from tests.support.rounds import digest, make_chain, make_record, make_round


def round_with(*seeds, number=0, previous=bytes(32)):
    return make_round(number, *map(make_record, seeds), previous=previous)


async def test_whoever_expects_a_transaction_is_woken_by_its_round():
    arrivals = Arrivals()
    with (
        arrivals.expect(digest("tx", 1)) as first,
        arrivals.expect(digest("tx", 1)) as again,
        arrivals.expect(digest("tx", 2)) as other,
    ):
        arrivals.apply_round(round_with(1))
        assert first.done()
        assert again.done()
        assert not other.done()
    assert not arrivals._waiting


async def test_who_stops_waiting_leaves_nothing_behind():
    arrivals = Arrivals()
    with arrivals.expect(bytes(32)):
        pass
    assert not arrivals._waiting


def test_absent_only_after_the_database_said_so():
    absent = AbsentTransactions()
    absent.begin_look(b"a")
    assert b"a" not in absent
    absent.end_look(b"a", is_absent=True)
    assert b"a" in absent
    absent.begin_look(b"b")
    absent.end_look(b"b", is_absent=False)
    assert b"b" not in absent


def test_round_that_arrives_makes_what_is_known_void():
    absent = AbsentTransactions()
    known, asked = digest("tx", 1), digest("tx", 2)
    absent.begin_look(known)
    absent.end_look(known, is_absent=True)
    absent.begin_look(asked)
    absent.apply_round(round_with(1, 2))
    absent.end_look(asked, is_absent=True)
    assert known not in absent
    assert asked not in absent


def test_memory_of_absent_hashes_is_bounded():
    absent = AbsentTransactions(max_hashes=3)
    for number in range(10):
        absent.begin_look(bytes([number]))
        absent.end_look(bytes([number]), is_absent=True)
    assert len(absent) == 3
    assert bytes([9]) in absent
    assert bytes([0]) not in absent


@pytest.fixture
def store(tmp_path):
    store = BlockStore(f"sqlite:///{tmp_path / 'index.sqlite'}", RUNTIME_ID)
    yield store
    store.close()


async def test_polls_for_a_pending_hash_ask_the_database_once(store, monkeypatch):
    index = ChainIndex(store, RecentRounds(4, 10**9))
    chain = make_chain(20, lambda number: (make_record(number),))
    for one in chain:
        index.append(one)
    await index.flush()
    asked = []
    original = store.load_transaction
    monkeypatch.setattr(store, "load_transaction", lambda h: asked.append(h) or original(h))
    pending = digest("tx", "pending")
    for _ in range(50):
        assert await index.find_transaction(pending) is None
    assert asked == [pending]
    index.append(make_round(20, make_record("pending"), previous=chain[-1].hash))
    assert await index.find_transaction(pending) is not None
    for one in make_chain(8, start=21):
        index.append(one)
    await index.flush()
    # Long out of memory, and not taken for absent.
    assert (await index.find_transaction(pending)).round == 20
    assert (await index.find_transaction(digest("tx", 3))).round == 3


async def test_transaction_that_arrives_during_the_look_is_found(store, monkeypatch):
    index = ChainIndex(store, RecentRounds(4, 10**9))
    chain = make_chain(20)
    for one in chain:
        index.append(one)
    await index.flush()
    wanted = digest("tx", "late")
    original = index._in_thread

    async def slow(work):
        found = await original(work)
        if index.newest.number == 19:
            index.append(make_round(20, make_record("late"), previous=chain[-1].hash))
        return found

    monkeypatch.setattr(index, "_in_thread", slow)
    assert (await index.find_transaction(wanted)).round == 20
    assert (await index.find_transaction(wanted)).round == 20
