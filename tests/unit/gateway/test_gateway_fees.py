import pytest

from services.gateway.index.fees import BLOCK_GAS_LIMIT, NO_HISTORY, FeeTracker
from tests.support.rounds import make_record, make_round

FULL = BLOCK_GAS_LIMIT // 2


@pytest.fixture
def tracker():
    return FeeTracker(history_rounds=20, window_rounds=6, margin_wei=1, default_price_wei=100)


def test_price_is_the_minimum_while_rounds_are_not_full(tracker):
    tracker.add(make_round(1, make_record(1, price=900, gas_used=FULL - 1)))
    assert tracker.gas_price_wei() == 100


def test_full_round_raises_the_price_to_its_median_and_a_margin(tracker):
    prices = (900, 200, 300)
    records = [make_record(p, price=p, gas_used=FULL // 3 + 1) for p in prices]
    tracker.add(make_round(1, *records))
    assert tracker.gas_price_wei() == 301


def test_highest_of_the_last_six_rounds_counts(tracker):
    for number, price in enumerate((500, 300, 400)):
        tracker.add(make_round(number, make_record(number, price=price, gas_used=FULL)))
    assert tracker.gas_price_wei() == 501
    for number in range(3, 8):
        tracker.add(make_round(number))
    assert tracker.gas_price_wei() == 401
    tracker.add(make_round(8))
    assert tracker.gas_price_wei() == 100


def test_minimum_price_of_the_node_wins_when_it_is_higher(tracker):
    tracker.add(make_round(1, make_record(1, price=300, gas_used=FULL)))
    tracker.min_price_wei = 1000
    assert tracker.gas_price_wei() == 1000


def test_history_is_empty_before_the_first_round(tracker):
    assert tracker.history(5, None, ()) == NO_HISTORY


def test_history_keeps_twenty_rounds_with_the_base_fee_of_their_time(tracker):
    for number in range(25):
        tracker.min_price_wei = 100 + number
        tracker.add(make_round(number))
    history = tracker.history(1000, None, ())
    assert history.oldest_round == 5
    assert history.base_fees_wei == tuple(range(105, 125))
    assert tracker.history(2, 10, ()).base_fees_wei == (109, 110)
    assert tracker.history(2, 4, ()) == NO_HISTORY
    assert tracker.history(2, 25, ()) == NO_HISTORY


def test_percentiles_weigh_tips_by_gas(tracker):
    records = [
        make_record(1, price=100, tip=30, gas_used=10_000),
        make_record(2, price=100, tip=10, gas_used=30_000),
        make_record(3, price=20, tip=90, gas_used=60_000),
    ]
    tracker.add(make_round(1, *records))
    # Sorted: 10 (30,000 gas), 20 (capped by the fee, 60,000), 30 (10,000).
    (tips,) = tracker.history(1, None, (0, 30, 31, 90, 91, 100)).rewards_wei
    assert tips == (10, 10, 20, 20, 30, 30)


def test_rollback_forgets_later_rounds(tracker):
    for number in range(5):
        tracker.add(make_round(number, make_record(number, price=500 + number, gas_used=FULL)))
    tracker.rollback(2)
    assert tracker.history(1, None, ()).oldest_round == 2
    assert tracker.gas_price_wei() == 503
