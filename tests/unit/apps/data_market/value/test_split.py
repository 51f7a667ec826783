"""No wei is lost or made."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.data_market.errors import BadJob, NothingOfValue
from apps.data_market.value.split import pay_weights, split_pot

WEIGHTS = st.lists(st.integers(0, 10**30), min_size=1, max_size=20).filter(any)


@given(st.integers(0, 10**30), WEIGHTS)
def test_the_sum_is_the_pot_and_nobody_is_off_by_a_wei(pot_wei, weights) -> None:
    pays = split_pot(pot_wei, weights)
    assert sum(pays) == pot_wei
    for pay, weight in zip(pays, weights, strict=True):
        assert abs(pay - Fraction(pot_wei * weight, sum(weights))) < 1


def test_equal_remainders_favour_the_earlier() -> None:
    assert split_pot(5, [1, 1, 1]) == (2, 2, 1)


@pytest.mark.parametrize(("pot_wei", "weights"), [(-1, [1]), (1, [2, -1])])
def test_negative_amounts_are_refused(pot_wei, weights) -> None:
    with pytest.raises(BadJob):
        split_pot(pot_wei, weights)


def test_nothing_of_value_is_not_paid() -> None:
    with pytest.raises(NothingOfValue):
        split_pot(10**18, [0, 0])


def test_a_share_is_capped_by_the_other_value() -> None:
    # Half of the Shapley value, a quarter of the Banzhaf value: 5/16 instead of a half.
    weights = pay_weights([50, 25, 25], [10, 15, 15])
    assert [Fraction(weight, 4 * 3 * 100 * 40) for weight in weights] == [
        Fraction(5, 16),
        Fraction(1, 4),
        Fraction(1, 4),
    ]


def test_a_cap_is_a_quarter_of_an_equal_share_at_least() -> None:
    weights = pay_weights([4, 48, 48], [-9, 10, 10])
    assert [Fraction(weight, 4 * 3 * 100 * 20) for weight in weights] == [
        Fraction(4, 100),
        Fraction(48, 100),
        Fraction(48, 100),
    ]
    weights = pay_weights([20, 40, 40], [-9, 10, 10])
    assert Fraction(weights[0], 4 * 3 * 100 * 20) == Fraction(1, 12)


def test_values_below_zero_weigh_nothing() -> None:
    assert pay_weights([-5, 10], [3, 4])[0] == 0
    assert pay_weights([-5, 10], None) == (0, 10)
    assert pay_weights([-5, 10], [-1, 0]) == (0, 10)
