"""Every worker computes the same integers, whatever its machine adds in which order."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from apps.data_market.errors import BadTable, TooLarge
from apps.data_market.limits import MAX_FEATURES, MAX_ROWS
from apps.data_market.value.duplicates import duplicate_threshold, first_of_each
from apps.data_market.value.neighbours import LONGEST, check_sizes, squared_distances
from apps.data_market.value.quantize import LARGEST, REACH, STEPS, Scale

EDGE = REACH * STEPS
CELLS = st.one_of(st.sampled_from([-EDGE, EDGE]), st.integers(-EDGE, EDGE))
HASH_OF_A_VALUATION = """
import numpy as np
from apps.data_market.arrays import Contribution, LabelledRows
from apps.data_market.value.valuation import value_contributions
cells = (np.arange(900 * 7) * 7919 % 1009 / 7).reshape(900, 7)
rows = [LabelledRows(part, part[:, 0].astype(np.int64) % 3) for part in np.split(cells, 3)]
jobs = [Contribution("a", rows[0]), Contribution("b", rows[1])]
print(value_contributions(jobs, rows[2]).value_hash.hex())
"""


@given(
    st.integers(1, 40).flatmap(
        lambda d: st.tuples(*[arrays.arrays(np.int64, (3, d), elements=CELLS)] * 2)
    )
)
def test_distances_are_those_of_whole_numbers(tables) -> None:
    left, right = tables
    exact = [
        [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in right.tolist()]
        for x in left.tolist()
    ]
    assert squared_distances(left, right).tolist() == exact


def test_the_longest_distance_is_exact_and_its_key_fits() -> None:
    corner = np.full((1, MAX_FEATURES), EDGE)
    assert squared_distances(corner, -corner).tolist() == [[MAX_FEATURES * LONGEST]]
    assert (MAX_FEATURES * LONGEST + 1) * MAX_ROWS < 1 << 63
    # Every sum of products on the way is a whole number that a float64 holds.
    assert MAX_FEATURES * EDGE**2 < 1 << 53


@pytest.mark.parametrize("size", [(MAX_ROWS + 1, 1), (1, MAX_FEATURES + 1)])
def test_what_could_overflow_is_refused(size) -> None:
    with pytest.raises(TooLarge):
        check_sizes(*size)


@pytest.mark.slow
def test_other_kernels_of_the_blas_find_the_same() -> None:
    found = set()
    for kernel in ("Prescott", "Haswell"):
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"}
        program = [sys.executable, "-c", HASH_OF_A_VALUATION]
        answer = subprocess.run(
            program, env=environment, capture_output=True, check=True, timeout=60
        )
        found.add(answer.stdout)
    assert len(found) == 1


@given(arrays.arrays(np.float64, (5, 3), elements=st.floats(-LARGEST, LARGEST)))
def test_any_finite_table_is_quantized_within_reach(features) -> None:
    quantized = Scale.of(features).quantized(features)
    assert np.abs(quantized).max() <= EDGE


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2 * LARGEST])
def test_numbers_beyond_all_measure_are_refused(bad) -> None:
    with pytest.raises(BadTable):
        Scale.of(np.array([[1.0], [bad]]))


def test_a_feature_of_one_value_counts_nothing() -> None:
    scale = Scale.of(np.array([[0.1, 1.0]] * 3 + [[0.1, 2.0]] * 3))
    assert scale.quantized(np.array([[99.0, 1.5]])).tolist() == [[0, 0]]


def test_quantization_is_pinned() -> None:
    table = (np.arange(1200) * 7919 % 1009 / 7).reshape(200, 6)
    digest = hashlib.sha256(Scale.of(table).quantized(table).tobytes()).hexdigest()
    assert digest == "cff075fec1d7604e373360da0c3191026edb129dc0e25a945917db7225ca2903"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.integers(0, 25))
def test_kept_rows_are_first_and_apart(places, threshold) -> None:
    rows = np.array(places, dtype=np.int64)[:, None]
    is_kept = first_of_each(rows, threshold)
    for at, place in enumerate(places):
        near = [
            earlier
            for earlier in range(at)
            if is_kept[earlier] and (places[earlier] - place) ** 2 <= threshold
        ]
        assert is_kept[at] == (not near)


def test_kept_rows_are_the_same_across_blocks() -> None:
    rows = np.random.default_rng(3).integers(0, 60, (1500, 2))
    is_kept = first_of_each(rows, 0)
    _, first = np.unique(rows, axis=0, return_index=True)
    assert np.flatnonzero(is_kept).tolist() == sorted(first.tolist())


def test_rows_that_repeat_by_themselves_make_only_exact_copies_duplicates() -> None:
    assert duplicate_threshold(np.zeros((50, 3), dtype=np.int64), 100) == 0
    assert duplicate_threshold(np.zeros((1, 3), dtype=np.int64), 100) == 0
