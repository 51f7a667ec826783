"""
Who is nearest to whom, exactly and without ties.

Distances are squared and whole. They come from a matrix product of float64, since that is fast, and
are exact all the same: coordinates have 15 bits, so that every sum of products stays below
2^30 * 2^10 < 2^53, where each float64 is the integer it stands for, in whatever order a BLAS adds.
"""

from collections.abc import Iterator

import numpy as np

from apps.data_market.arrays import Integers
from apps.data_market.errors import TooLarge
from apps.data_market.limits import MAX_FEATURES, MAX_ROWS
from apps.data_market.value.quantize import REACH, STEPS

KEYS_AT_ONCE = 1 << 19
"""Keys that are held together, 4 MiB: what a second cache holds."""
LONGEST = 4 * (REACH * STEPS) ** 2
"""Largest squared distance in one coordinate, 2^32."""


def check_sizes(rows: int, features: int) -> None:
    """Raise `TooLarge` where a key could pass 63 bits: distance * rows < 2^32 * 2^10 * 2^19."""
    if rows > MAX_ROWS:
        raise TooLarge(f"{rows} rows: at most {MAX_ROWS}")
    if features > MAX_FEATURES:
        raise TooLarge(f"{features} features: at most {MAX_FEATURES}")


def squared_distances(left: Integers, right: Integers) -> Integers:
    """Squared distance of each row of `left` [m x d] to each of `right` [n x d]: m x n."""
    products = (left.astype(np.float64) @ right.astype(np.float64).T).astype(np.int64)
    squares = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1)[None, :]
    distances: Integers = squares - 2 * products
    return distances


def neighbour_keys(train: Integers, validation: Integers) -> Iterator[tuple[slice, Integers]]:
    """
    Say how near each training row is to each validation row.

    Parameters
    ----------
    train : `Integers`
        Quantized rows, n x d; an earlier row is nearer than a later one as far away.
    validation : `Integers`
        Quantized rows, m x d.

    Yields
    ------
    which, keys : `slice`, `Integers`
        Some validation rows, and for each one key a training row: distance * n + index. Keys are
        unique, so their order has no ties and no sort needs to be stable.
    """
    count = len(train)
    check_sizes(count, train.shape[1])
    index = np.arange(count, dtype=np.int64)
    step = max(1, KEYS_AT_ONCE // count)
    for begin in range(0, len(validation), step):
        which = slice(begin, min(begin + step, len(validation)))
        yield which, squared_distances(validation[which], train) * count + index
