"""A race has as many transfers under way as it says, until all are sent."""

from collections import Counter

import pytest

from tests.bench.measures import Waiting


@pytest.mark.parametrize(("accounts", "each", "senders"), [(20, 40, 20), (20, 60, 32), (3, 5, 2)])
def test_as_many_are_under_way_as_there_are_senders_until_all_are_sent(accounts, each, senders):
    at_once = -(-senders // accounts)
    waiting = Waiting([[f"{a} {n}" for n in range(each)] for a in range(accounts)], at_once)
    under_way, order, fewest = [], {a: [] for a in range(accounts)}, []
    while (taken := waiting.take()) is not None or under_way:
        if taken is not None:
            account, raw = taken
            under_way.append(account)
            order[account].append(int(raw.split()[1]))
        if taken is None or len(under_way) == senders:
            fewest.append(len(under_way))
            assert max(Counter(under_way).values()) <= at_once
            waiting.end(under_way.pop(len(fewest) % 7 % len(under_way)))
    assert all(numbers == list(range(each)) for numbers in order.values())
    assert fewest[: accounts * each * 6 // 10] == [senders] * (accounts * each * 6 // 10)


def test_an_account_without_any_under_way_comes_first_and_none_has_more_than_it_may():
    waiting = Waiting([["a1", "a2", "a3"], ["b1"]], at_once=2)
    assert [waiting.take() for _ in range(2)] == [(0, "a1"), (1, "b1")]
    waiting.end(0)
    assert waiting.take() == (0, "a2")
    assert waiting.take() == (0, "a3")
    assert waiting.take() is None
    waiting = Waiting([["a1", "a2"]], at_once=1)
    assert waiting.take() == (0, "a1")
    assert waiting.take() is None
    waiting.end(0)
    assert waiting.take() == (0, "a2")
