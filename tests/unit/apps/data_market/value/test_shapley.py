"""Values are the Shapley and Banzhaf values of the game that they claim, and integers."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from apps.data_market.errors import TooLarge
from apps.data_market.value.banzhaf import contributor_values
from apps.data_market.value.quantize import Scale
from apps.data_market.value.shapley import UNIT, row_values
from tests.support.market import public_rows


def worth(members, train, labels, validation, validation_labels, neighbours):
    """Right votes of the K nearest members, summed over validation rows, written the slow way."""
    right = 0
    for row, label in zip(validation.tolist(), validation_labels.tolist(), strict=True):
        distances = [
            (sum((a - b) ** 2 for a, b in zip(train[at].tolist(), row, strict=True)), at)
            for at in members
        ]
        right += sum(int(labels[at]) == label for _, at in sorted(distances)[:neighbours])
    return right


@st.composite
def games(draw, rows=7):
    count = draw(st.integers(1, rows))
    coordinate = st.integers(-6, 6)

    def table(size):
        cells = draw(st.lists(st.tuples(coordinate, coordinate), min_size=size, max_size=size))
        labels = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
        return np.array(cells, dtype=np.int64).reshape(size, 2), np.array(labels, dtype=np.int64)

    return (*table(count), *table(draw(st.integers(1, 3))), draw(st.integers(1, 4)))


@given(games())
def test_row_values_are_shapley_values(game) -> None:
    train, labels, validation, validation_labels, neighbours = game
    count = len(train)
    found = row_values(train, labels, validation, validation_labels, neighbours)
    for row in range(count):
        others = [at for at in range(count) if at != row]
        exact = Fraction(0)
        for size in range(count):
            for some in combinations(others, size):
                gain = worth((*some, row), *game) - worth(some, *game)
                exact += Fraction(gain, neighbours * count * comb(count - 1, size))
        # One rounding downwards a rank and validation row.
        assert abs(Fraction(int(found[row]), UNIT) - exact) <= Fraction(count * 3, UNIT)


@given(games(), st.data())
def test_contributor_values_are_banzhaf_values(game, data) -> None:
    train, labels, validation, validation_labels, neighbours = game
    owners = np.sort(
        data.draw(st.lists(st.integers(0, 3), min_size=len(train), max_size=len(train)))
    ).astype(np.int64)
    found = contributor_values(train, labels, owners, validation, validation_labels, neighbours)
    players = range(int(owners.max()) + 1)
    assert len(found) == len(players)

    def worth_of(coalition):
        return worth([at for at in range(len(train)) if owners[at] in coalition], *game)

    for player in players:
        others = [one for one in players if one != player]
        exact = sum(
            worth_of((*some, player)) - worth_of(some)
            for size in range(len(others) + 1)
            for some in combinations(others, size)
        )
        assert found[player] == exact


def test_thirteen_contributors_are_too_many_for_banzhaf() -> None:
    rows, labels = np.zeros((13, 1), dtype=np.int64), np.zeros(13, dtype=np.int64)
    with pytest.raises(TooLarge):
        contributor_values(rows, labels, np.arange(13), rows, labels)


@pytest.mark.parametrize(("name", "least"), [("digits", 0.99), ("breast_cancer", 0.98)])
def test_flipped_labels_have_the_least_value(name, least) -> None:
    train, held = public_rows(name)
    rng = np.random.default_rng(1)
    classes = int(train.labels.max()) + 1
    is_flipped = rng.random(len(train)) < 0.2
    labels = np.where(
        is_flipped, (train.labels + rng.integers(1, classes, len(train))) % classes, train.labels
    )
    scale = Scale.of(held.features)
    values = row_values(
        scale.quantized(train.features), labels, scale.quantized(held.features), held.labels
    )
    assert roc_auc_score(is_flipped, -values) >= least
