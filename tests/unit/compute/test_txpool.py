from dataclasses import replace

import pytest

from services.compute.rules.txpool import (
    SEQUENCE_WINDOW,
    UPSTREAM_WINDOW,
    BatchLimits,
    DuplicateTransaction,
    PooledTransaction,
    PoolFull,
    PoolState,
    ReplacementUnderpriced,
    apply_round,
    apply_sequence,
    apply_transaction,
    find_missing,
    has_runnable,
    iterate_in_order,
    remove_transactions,
    select_batch,
)
from shared.errors import RuntimeRejected

LIMITS = BatchLimits(max_transactions=100, max_bytes=100_000, max_weight=1_000_000)


def make(sender: str, nonce: int, price: int = 100, *, gas=21_000, size=100, salt=0):
    raw = f"{sender} {nonce} {price} {salt}".encode().ljust(size, b".")
    return PooledTransaction(
        raw=raw,
        hash=raw[:32].ljust(32, b"."),
        sender=sender.encode().ljust(20, b"."),
        sequence=nonce,
        weight=gas,
        priority=price,
    )


def pool(*transactions, **fields) -> PoolState:
    state = PoolState(fields.pop("limits", LIMITS), **fields)
    for tx in transactions:
        apply_transaction(state, tx, state_sequence=0)
    return state


def contents(state: PoolState):
    return (
        set(state.by_hash),
        set(state.by_raw),
        state.size_bytes,
        {a: (s.next_sequence, sorted(s.waiting)) for a, s in state.senders.items()},
    )


def order(state: PoolState) -> list[tuple[str, int]]:
    return [(tx.sender[:1].decode(), tx.sequence) for tx in iterate_in_order(state)]


def test_one_senders_transactions_run_by_nonce_whatever_they_pay():
    assert order(pool(make("a", 1, 900), make("a", 0, 100))) == [("a", 0), ("a", 1)]


def test_a_gap_in_the_nonces_holds_what_follows():
    state = pool(make("a", 0), make("a", 2))
    assert order(state) == [("a", 0)]
    apply_transaction(state, make("a", 1), state_sequence=0)
    assert order(state) == [("a", 0), ("a", 1), ("a", 2)]


def test_the_higher_price_goes_first_and_the_earlier_arrival_among_equals():
    state = pool(make("a", 0, 100), make("b", 0, 100), make("c", 0, 300))
    assert order(state) == [("c", 0), ("a", 0), ("b", 0)]


def test_a_cheap_first_transaction_holds_back_the_dear_one_behind_it():
    state = pool(make("a", 0, 100), make("a", 1, 900), make("b", 0, 200))
    assert order(state) == [("b", 0), ("a", 0), ("a", 1)]


@pytest.mark.parametrize(("nonce", "code"), [(4, 4), (1_006, 26)])
def test_a_nonce_outside_of_the_window_is_refused_with_the_runtimes_code(nonce, code):
    state = pool()
    with pytest.raises(RuntimeRejected) as refusal:
        apply_transaction(state, make("a", nonce), state_sequence=5)
    assert (refusal.value.module, refusal.value.code) == ("core", code)
    assert len(state) == 0


@pytest.mark.parametrize("window", [UPSTREAM_WINDOW, SEQUENCE_WINDOW])
def test_as_many_nonces_ahead_may_wait_as_the_window_says(window):
    state = pool(sequence_window=window)
    apply_transaction(state, make("a", 5 + window), state_sequence=5)
    assert len(state) == 1
    assert not has_runnable(state)
    with pytest.raises(RuntimeRejected, match="future nonce"):
        apply_transaction(state, make("a", 6 + window), state_sequence=5)


def test_the_first_missing_nonce_is_known():
    state = pool(make("a", 0), make("a", 1), make("a", 3))
    assert find_missing(state, b"b" * 20) is None
    address = make("a", 0).sender
    assert find_missing(state, address) == 2
    apply_transaction(state, make("a", 2), state_sequence=0)
    assert find_missing(state, address) == 4
    remove_transactions(state, [make("a", 1).hash])
    assert find_missing(state, address) == 1
    apply_round(state, [(address, 0)])
    assert find_missing(state, address) == 1
    apply_transaction(state, make("a", 1), state_sequence=1)
    apply_round(state, [(address, 1), (address, 2), (address, 3)])
    assert len(state) == 0
    assert find_missing(state, address) == 4


def test_a_check_that_saw_a_later_state_lets_go_of_what_is_used_up():
    state = pool(make("a", 0), make("a", 1))
    apply_transaction(state, make("a", 3), state_sequence=2)
    assert order(state) == []
    assert len(state) == 1
    apply_transaction(state, make("a", 2), state_sequence=2)
    assert order(state) == [("a", 2), ("a", 3)]


def test_the_same_transaction_twice_is_a_duplicate():
    state = pool(make("a", 0))
    with pytest.raises(DuplicateTransaction):
        apply_transaction(state, make("a", 0), state_sequence=0)


@pytest.mark.parametrize("price", [99, 100])
def test_a_replacement_must_pay_more(price):
    state = pool(make("a", 0, 100))
    before = contents(state)
    with pytest.raises(ReplacementUnderpriced):
        apply_transaction(state, make("a", 0, price, salt=1), state_sequence=0)
    assert contents(state) == before


def test_a_replacement_that_pays_more_takes_the_place():
    state = pool(make("a", 0, 100))
    dearer = make("a", 0, 101)
    apply_transaction(state, dearer, state_sequence=0)
    assert [tx.raw for tx in iterate_in_order(state)] == [dearer.raw]
    assert state.size_bytes == len(dearer.raw)


def test_a_full_pool_takes_a_dearer_transaction_and_drops_the_cheapest():
    state = pool(make("a", 0, 100), make("b", 0, 300), max_transactions=2)
    apply_transaction(state, make("c", 0, 200), state_sequence=0)
    assert order(state) == [("b", 0), ("c", 0)]


def test_a_full_pool_drops_the_last_nonce_of_a_sender_first():
    state = pool(make("a", 0, 100), make("a", 1, 100), make("b", 0, 300), max_transactions=3)
    apply_transaction(state, make("c", 0, 200), state_sequence=0)
    assert order(state) == [("b", 0), ("c", 0), ("a", 0)]


@pytest.mark.parametrize("limit", [{"max_transactions": 2}, {"max_bytes": 250}])
def test_a_full_pool_refuses_what_pays_no_more_and_stays_as_it_is(limit):
    state = pool(make("a", 0, 100), make("b", 0, 100), **limit)
    before = contents(state)
    with pytest.raises(PoolFull):
        apply_transaction(state, make("c", 0, 100), state_sequence=0)
    assert contents(state) == before
    apply_transaction(state, make("c", 0, 101), state_sequence=0)
    assert len(state) == 2


@pytest.mark.parametrize(
    ("tx", "code"), [(make("a", 0, gas=1_000_001), 12), (make("a", 0, size=100_001), 23)]
)
def test_what_no_batch_could_hold_is_refused_at_the_door(tx, code):
    with pytest.raises(RuntimeRejected) as refusal:
        pool(tx)
    assert (refusal.value.module, refusal.value.code) == ("core", code)


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, max_transactions=2),
        replace(LIMITS, max_bytes=250),
        replace(LIMITS, max_weight=50_000),
    ],
)
def test_a_batch_keeps_every_limit_and_takes_the_best(limits):
    state = pool(make("a", 0, 100), make("b", 0, 200), make("c", 0, 300), limits=limits)
    assert [tx.sender[:1] for tx in select_batch(state)] == [b"c", b"b"]
    assert len(state) == 3


def test_a_round_removes_what_it_used_and_lets_the_next_sequence_run():
    state = pool(make("a", 0), make("a", 1), make("b", 0))
    apply_round(state, [(make("a", 0).sender, 0)])
    assert sorted(order(state)) == [("a", 1), ("b", 0)]


def test_a_check_from_before_a_round_does_not_bring_a_used_nonce_back():
    state = pool()
    apply_round(state, [(make("a", 0).sender, 0)])
    with pytest.raises(RuntimeRejected) as refusal:
        apply_transaction(state, make("a", 0), state_sequence=0)
    assert refusal.value.code == 4


def test_after_a_rewind_an_earlier_nonce_runs_again():
    state = pool()
    apply_round(state, [(make("a", 0).sender, 3)])
    apply_sequence(state, make("a", 0).sender, 2)
    apply_transaction(state, make("a", 2), state_sequence=2)
    assert order(state) == [("a", 2)]


def test_removal_of_unknown_transactions_changes_nothing():
    state = pool(make("a", 0))
    before = contents(state)
    remove_transactions(state, [b"?" * 32])
    assert contents(state) == before


def test_memory_follows_the_pool_when_transactions_come_and_go():
    state = pool()
    for nonce in range(2_000):
        apply_transaction(state, make("a", nonce), state_sequence=nonce)
        apply_round(state, [(make("a", 0).sender, nonce)])
    assert len(state.cheapest) < 200
    assert (len(state), state.size_bytes, state.arrivals, state.by_raw) == (0, 0, {}, {})
