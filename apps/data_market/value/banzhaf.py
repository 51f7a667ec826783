"""
Exact Banzhaf values of contributors, which copies under other names cannot raise much.

The game is that of the Shapley values, played by contributors with all their rows. A coalition's
nearest K are among the K nearest of each of its members, so that all 2^n coalitions are looked at
together, candidate by candidate. Source: Wang and Jia 2023 (arXiv 2205.15466); spec/ai.md 1.4.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apps.data_market.arrays import Integers
from apps.data_market.errors import TooLarge
from apps.data_market.value.neighbours import neighbour_keys
from apps.data_market.value.shapley import NEIGHBOURS

MAX_PLAYERS = 12
"""More are valued by Shapley alone: each doubles the coalitions."""
NOBODY = np.iinfo(np.int64).max
"""Key of a place that no row fills."""


def contributor_values(
    train: Integers,
    train_labels: Integers,
    owners: Integers,
    validation: Integers,
    validation_labels: Integers,
    neighbours: int = NEIGHBOURS,
) -> tuple[int, ...]:
    """
    Sum what each contributor adds to each coalition of the others.

    Parameters
    ----------
    train, train_labels, validation, validation_labels, neighbours
        As for `row_values`.
    owners : `Integers`
        Whose each training row is, from 0 to 11, never falling.

    Returns
    -------
    values : `tuple[int, ...]`
        For each contributor up to the last owner, 2^(n-1) K m times his Banzhaf value.

    Raises
    ------
    TooLarge
        More than twelve contributors.
    """
    players = int(owners.max()) + 1
    if players > MAX_PLAYERS:
        raise TooLarge(f"{players} contributors: a Banzhaf value has at most {MAX_PLAYERS}")
    worth = np.zeros(1 << players, dtype=np.int64)
    coalitions = np.arange(1 << players)
    # A line more than there are contributors: whoever fills no place is in no coalition.
    members = np.zeros((players + 1, 1 << players), dtype=np.int8)
    for player in range(players):
        members[player] = coalitions >> player & 1
    begins = np.searchsorted(owners, np.arange(players + 1))
    for which, keys in neighbour_keys(train, validation):
        candidates = np.sort(_nearest_of_each(keys, begins, neighbours), axis=1)
        is_filled = candidates != NOBODY
        index = np.where(is_filled, candidates % len(train), 0)
        owner = np.where(is_filled, owners[index], players)
        is_right = is_filled & (train_labels[index] == validation_labels[which, None])
        worth += _votes(members, owner, is_right, neighbours)
    return tuple(
        int(worth[coalitions >> player & 1 == 1].sum() - worth[coalitions >> player & 1 == 0].sum())
        for player in range(players)
    )


def _nearest_of_each(keys: Integers, begins: Integers, neighbours: int) -> Integers:
    """The K smallest keys of each contributor, side by side."""
    parts = []
    for begin, end in pairwise(begins):
        part = keys[:, begin:end]
        if end - begin > neighbours:
            parts.append(np.partition(part, neighbours - 1, axis=1)[:, :neighbours])
        else:
            missing = np.full((len(keys), neighbours - (end - begin)), NOBODY)
            parts.extend((part, missing))
    return np.concatenate(parts, axis=1)


def _votes(
    members: NDArray[np.int8], owner: Integers, is_right: NDArray[np.bool_], neighbours: int
) -> Integers:
    """How many of the first K candidates are right, by coalition, summed over validation rows."""
    votes = np.zeros(members.shape[1], dtype=np.int64)
    # Sixty-four lines of 4,096 coalitions stay in a second cache.
    for begin in range(0, len(owner), 64):
        some = slice(begin, begin + 64)
        places = np.full((len(owner[some]), members.shape[1]), neighbours, dtype=np.int8)
        for candidate in range(owner.shape[1]):
            takes = members[owner[some, candidate]]
            np.minimum(takes, places, out=takes)
            places -= takes
            votes += takes[is_right[some, candidate]].sum(axis=0, dtype=np.int64)
    return votes
