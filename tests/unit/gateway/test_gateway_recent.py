import pytest

from services.gateway.index.recent import RecentRounds
from tests.support.rounds import make_chain, make_record


def fill(recent, chain):
    for one in chain:
        recent.add(one)
    return recent


def test_rounds_are_found_by_number_hash_and_transaction():
    chain = fill_chain = make_chain(5, lambda number: (make_record(number),))
    recent = fill(RecentRounds(10, 10**9), fill_chain)
    for one in chain:
        assert recent.find(one.number) is one
        assert recent.find_by_hash(one.hash) is one
        transaction = one.transactions[0]
        assert recent.find_transaction(transaction.record.hash) is transaction
    assert recent.newest is chain[-1]


def test_a_gap_is_refused():
    recent = fill(RecentRounds(10, 10**9), make_chain(3))
    with pytest.raises(ValueError, match="round 5 does not follow 2"):
        recent.add(make_chain(1, start=5)[0])
    assert recent.newest.number == 2


def test_old_rounds_are_dropped_only_when_they_are_durable():
    recent = fill(RecentRounds(3, 10**9), make_chain(10))
    recent.drop_old(durable_round=-1)
    assert len(recent) == 10
    recent.drop_old(durable_round=4)
    assert (recent.oldest_number, len(recent)) == (5, 5)
    recent.drop_old(durable_round=9)
    assert (recent.oldest_number, len(recent)) == (7, 3)


def test_bytes_are_bounded_and_come_back_to_nothing():
    recent = fill(RecentRounds(10**6, 50_000), make_chain(100, lambda n: (make_record(n),)))
    recent.drop_old(durable_round=99)
    assert recent.held_bytes <= 50_000
    assert recent.newest.number == 99
    recent.rollback(-1)
    assert (recent.held_bytes, recent.newest, len(recent)) == (0, None, 0)


def test_rollback_forgets_rounds_and_transactions():
    chain = make_chain(5, lambda number: (make_record(number),))
    recent = fill(RecentRounds(10, 10**9), chain)
    recent.rollback(2)
    assert recent.newest is chain[2]
    assert recent.find_transaction(chain[3].transactions[0].record.hash) is None
    assert recent.find_by_hash(chain[4].hash) is None
    recent.add(chain[3])
    assert recent.newest is chain[3]
