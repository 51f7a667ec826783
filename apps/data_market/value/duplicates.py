"""
Rows that say nothing new, which are worth nothing: the first commitment wins.

Shapley pays copies, so a row is left out where an earlier one is nearer than a threshold, whosever
it is and whatever its label. How near is too near, the validation set tells: two tenths of a
standard deviation a feature, and less where honest rows are that near to each other by themselves.
Exact copies are always left out. Source: spec/ai.md 0.2, 1.4; the threshold's second and third
bound are ours.
"""

from decimal import Decimal, localcontext

import numpy as np

from apps.data_market.arrays import Flags, Integers
from apps.data_market.value.neighbours import check_sizes, squared_distances
from apps.data_market.value.quantize import STEPS

ROWS_AT_ONCE = 512
SHARE_OF_STEP = Decimal("0.2")
"""Largest threshold: root mean square over the features [standard deviations]."""
SHARE_OF_RARE = Decimal("0.7")
"""Of the distance that one validation row in a hundred has to its nearest."""
SHARE_OF_USUAL = Decimal("0.6")
"""Of the distance at which one row in 400 would have a neighbour by chance."""
USUAL_ODDS = Decimal("0.0025") / Decimal("0.693147")
"""One in 400, beside the median's ln 2, in rows that lie evenly."""


def nearest_distances(rows: Integers) -> Integers:
    """Squared distance of each row to the nearest other one; of a lone row none."""
    nearest = np.full(len(rows), np.iinfo(np.int64).max)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        distances = squared_distances(rows[begin : begin + ROWS_AT_ONCE], rows)
        own = np.arange(len(distances))
        distances[own, begin + own] = np.iinfo(np.int64).max
        if len(rows) > 1:
            nearest[begin : begin + ROWS_AT_ONCE] = distances.min(axis=1)
    return nearest


def duplicate_threshold(validation: Integers, rows: int) -> int:
    """
    Largest squared distance at which a row is a copy of another.

    Parameters
    ----------
    validation : `Integers`
        Quantized validation rows, m x d.
    rows : `int`
        How many training rows there are: more lie nearer to each other.

    Returns
    -------
    threshold : `int`
        In squared steps of the quantization; 0 leaves exact copies only. Decimal arithmetic, which
        is the same everywhere, as a power of floats is not.
    """
    count, features = validation.shape
    if count < 2 or not features:
        return 0
    nearest = np.sort(nearest_distances(validation))
    with localcontext() as context:
        context.prec = 28
        odds = min(Decimal(1), USUAL_ODDS * count / max(rows, 1))
        usual = Decimal(int(nearest[count // 2])) * (odds.ln() * 2 / features).exp()
        bounds = (
            SHARE_OF_STEP**2 * features * STEPS**2,
            SHARE_OF_RARE**2 * int(nearest[count // 100]),
            SHARE_OF_USUAL**2 * usual,
        )
        return int(min(bounds))


def first_of_each(rows: Integers, threshold: int) -> Flags:
    """
    Which rows are no copy of an earlier one that is kept itself.

    Parameters
    ----------
    rows : `Integers`
        Quantized rows in the order of their commitments, n x d.
    threshold : `int`
        Largest squared distance of a copy.

    Returns
    -------
    is_kept : `Flags`
        n flags; memory grows with n only, however many copies there are.
    """
    check_sizes(*rows.shape)
    is_kept = np.zeros(len(rows), dtype=np.bool_)
    kept = rows[:0]
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[begin : begin + ROWS_AT_ONCE]
        is_new = np.ones(len(block), dtype=np.bool_)
        for other in range(0, len(kept), ROWS_AT_ONCE):
            near = squared_distances(block, kept[other : other + ROWS_AT_ONCE]) <= threshold
            is_new &= ~near.any(axis=1)
        is_near = squared_distances(block, block) <= threshold
        for at in np.flatnonzero(is_new):
            if is_new[at]:
                is_new[at + 1 :] &= ~is_near[at, at + 1 :]
        is_kept[begin : begin + len(block)] = is_new
        kept = np.concatenate([kept, block[is_new]])
    return is_kept
