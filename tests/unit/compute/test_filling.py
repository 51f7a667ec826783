import pytest

from services.compute.rules.filling import FIRST_PAUSE, LONGEST_PAUSE, MOST_TRUST, Filling

MS = 1_000_000
HERE = 3
"""Transactions that wait when a round begins."""


def begin(filling: Filling, *, last_size: int = 8, took_ms: int = 20) -> None:
    filling.begin(5 * MS, last_size=last_size, took_ns=took_ms * MS, waiting=HERE)


@pytest.mark.parametrize(
    ("last_size", "took_ms", "came", "after_ms", "is_filling"),
    [
        (8, 20, 0, 0, True),
        (8, 20, 7, 19, True),
        (8, 20, 8, 0, False),
        (8, 20, 7, 20, False),
        (8, 2_000, 7, 24, True),
        (8, 2_000, 7, 25, False),
        (3, 20, 0, 0, False),
        (0, 2_000, 0, 0, False),
    ],
)
def test_after_a_round_of_many_the_next_waits_for_as_many_or_as_long_as_it_took(
    last_size, took_ms, came, after_ms, is_filling
):
    filling = Filling()
    begin(filling, last_size=last_size, took_ms=took_ms)
    assert filling.is_filling(HERE + came, (5 + after_ms) * MS) is is_filling


def waits(filling: Filling, *, came: int) -> bool:
    """Live one round, to which some come; whether it began with a wait."""
    begin(filling)
    has_waited = filling.is_filling(HERE, 5 * MS)
    filling.end(HERE + came)
    return has_waited


def test_who_waited_in_vain_begins_the_next_rounds_at_once_and_more_of_them_each_time():
    filling = Filling()
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE):
        assert waits(filling, came=3)
        assert not any(waits(filling, came=3) for _ in range(pause))
    # It pays again, which forgives one.
    assert waits(filling, came=4)
    assert waits(filling, came=3)
    assert waits(filling, came=3)
    assert not any(waits(filling, came=8) for _ in range(FIRST_PAUSE))
    assert waits(filling, came=8)


@pytest.mark.parametrize("paid", [1, 2, MOST_TRUST, 40])
def test_after_waits_that_paid_as_many_in_vain_are_forgiven_but_a_few_at_most(paid):
    filling = Filling()
    assert all(waits(filling, came=8) for _ in range(paid))
    assert all(waits(filling, came=0) for _ in range(min(paid, MOST_TRUST) + 1))
    assert not waits(filling, came=0)


def test_where_waits_have_paid_it_waits_twice_as_long():
    filling = Filling()
    assert all(waits(filling, came=8) for _ in range(2))
    begin(filling)
    assert filling.is_filling(HERE + 7, (5 + 39) * MS)
    assert not filling.is_filling(HERE + 7, (5 + 40) * MS)
    assert waits(filling, came=0)
    begin(filling)
    assert not filling.is_filling(HERE + 7, (5 + 20) * MS)


def test_who_missed_the_last_round_is_waited_for_as_well():
    filling = Filling()
    for size, wanted in ((20, 20), (5, 17), (5, 17), (5, 5), (2, 2), (2, 2)):
        begin(filling, last_size=size)
        assert filling.is_filling(HERE + wanted - 1, 5 * MS)
        assert not filling.is_filling(HERE + wanted, 5 * MS)
    begin(filling, last_size=2)
    assert not filling.is_filling(HERE, 5 * MS)


def test_rounds_of_few_end_no_pause():
    filling = Filling()
    assert waits(filling, came=0)
    for _ in range(100):
        begin(filling, last_size=1)
    for _ in range(
        FIRST_PAUSE - 2
    ):  # the round of many counted twice more, as one of the last three
        assert not waits(filling, came=0)
    assert waits(filling, came=0)


def test_what_another_node_proposed_teaches_nothing():
    filling = Filling()
    for _ in range(5):
        begin(filling)
    assert filling.is_filling(HERE, 5 * MS)
