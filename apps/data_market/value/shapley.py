"""
Exact Shapley values of rows for a nearest-neighbour classifier, in integers.

The game: a set of rows is worth, on each validation row, the fraction of its K nearest that have
the right label. From the farthest row to the nearest, each value follows from the one before by a
weight that only depends on its rank; the weights are rounded once, downwards, to 2^-40.
Source: Jia et al. 2019, theorem 1 (arXiv 1908.08619); spec/ai.md 1.4.
"""

import numpy as np

from apps.data_market.arrays import Integers
from apps.data_market.value.neighbours import neighbour_keys

UNIT = 1 << 40
"""What one rightly classified validation row is worth."""
NEIGHBOURS = 5
"""How many neighbours vote. Source: spec/ai.md 1.2."""


def rank_weights(count: int, neighbours: int) -> Integers:
    """Weight of each rank from the nearest: floor(2^40 * min(K, i) / (i K))."""
    return np.array(
        [UNIT * min(neighbours, rank) // (rank * neighbours) for rank in range(1, count + 1)],
        dtype=np.int64,
    )


def row_values(
    train: Integers,
    train_labels: Integers,
    validation: Integers,
    validation_labels: Integers,
    neighbours: int = NEIGHBOURS,
) -> Integers:
    """
    Value of each training row, summed over the validation rows.

    Parameters
    ----------
    train, validation : `Integers`
        Quantized rows, n x d and m x d.
    train_labels, validation_labels : `Integers`
        Their classes, n and m.
    neighbours : `int`
        K, the neighbours that vote.

    Returns
    -------
    values : `Integers`
        n values [2^-40 validation rows]; never to be published, since a row's value tells who its
        neighbours are.
    """
    count = len(train)
    values = np.zeros(count, dtype=np.int64)
    weights = rank_weights(count, neighbours)
    for which, keys in neighbour_keys(train, validation):
        keys.sort(axis=1)
        order = keys % count
        is_right = (train_labels[order] == validation_labels[which, None]).astype(np.int64)
        steps = is_right.copy()
        steps[:, :-1] -= is_right[:, 1:]
        steps *= weights
        from_the_farthest = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        for row_order, row in zip(order, from_the_farthest, strict=True):
            values[row_order] += row
    return values
