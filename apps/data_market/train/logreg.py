"""
Differentially private logistic regression of several classes, by gradients in closed form.

A row's gradient is the product of (probabilities - label) with the row, so its length is known
without making it, and the clipped sum is one matrix product. Each step takes all rows and adds
noise to their sum; what is released is the mean of the last steps, rounded. Rows are taken as they
are: leaving out one whose neighbour is there would let one row decide about another.
Source: Abadi et al. 2016 (arXiv 1607.00133), with every row in every step; spec/ai.md 0.5, 2.2.
"""

from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Floats, Integers, LabelledRows
from apps.data_market.train.noise import NormalStream

GRID = 1 << 20
"""Weights are whole multiples of 1/2^20: what floats hold beyond that is not released."""
LARGEST_WEIGHT = 1 << 40
"""Weights stop there [grid steps]; honest ones are a millionth of it."""
JUST_BELOW_ONE = 1 - 2.0**-40
"""Rounding must not lengthen a clipped gradient beyond the clip."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a training goes; none of it depends on rows."""

    clip: float
    """Longest gradient of one row."""
    rate: float
    """Step size."""
    steps: int
    averaged: int
    """How many of the last steps the model is the mean of."""


def extended(features: Floats) -> Floats:
    """Rows with a one at the end, for the intercept: n x (d + 1)."""
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def probabilities(rows: Floats, weights: Floats) -> Floats:
    """Softmax of each row, n x classes."""
    scores = rows @ weights
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def clipped_sum(rows: Floats, targets: Floats, weights: Floats, clip: float) -> Floats:
    """
    Sum of the rows' gradients, each no longer than `clip`.

    Parameters
    ----------
    rows : `Floats`
        Extended rows, n x (d + 1).
    targets : `Floats`
        One line a row with a one at its class, n x classes.
    weights : `Floats`
        Where the gradients are taken, (d + 1) x classes.
    clip : `float`
        Longest gradient of one row: adding a row moves the sum by no more.

    Returns
    -------
    sum : `Floats`
        (d + 1) x classes.
    """
    errors = probabilities(rows, weights) - targets
    lengths = np.linalg.norm(errors, axis=1) * np.linalg.norm(rows, axis=1)
    errors *= (clip * JUST_BELOW_ONE / np.maximum(lengths, clip))[:, None]
    gradient: Floats = rows.T @ errors
    return gradient


def distinct(rows: LabelledRows) -> LabelledRows:
    """
    Rows without those that are equal in features and label to an earlier one.

    Adding a row to what comes in adds at most one to what comes out, so the guarantee holds.
    """
    table = np.concatenate([rows.features, rows.labels[:, None].astype(np.float64)], axis=1)
    _, first = np.unique(table, axis=0, return_index=True)
    kept = np.sort(first)
    return LabelledRows(rows.features[kept], rows.labels[kept])


def train_weights(
    features: Floats,
    labels: Integers,
    *,
    classes: int,
    public_rows: int,
    settings: Settings,
    noise_multiplier: float,
    noise: NormalStream,
) -> Floats:
    """
    Train on all rows.

    Parameters
    ----------
    features, labels : `Floats`, `Integers`
        Standardized rows (n x d) and their classes.
    classes : `int`
        How many classes there are.
    public_rows : `int`
        About how many rows there are, as everybody knows; n itself would be a row's secret.
    settings : `Settings`
        How to go.
    noise_multiplier : `float`
        Standard deviation of a step's noise, over the clip.
    noise : `NormalStream`
        Never used for anything else.

    Returns
    -------
    weights : `Floats`
        (d + 1) x classes, on the grid.
    """
    rows = extended(features)
    targets = np.eye(classes)[labels]
    weights = np.zeros((rows.shape[1], classes))
    total = np.zeros_like(weights)
    deviation = noise_multiplier * settings.clip
    for step in range(settings.steps):
        gradient = clipped_sum(rows, targets, weights, settings.clip)
        gradient += deviation * noise.normal(*weights.shape)
        weights = weights - settings.rate / public_rows * gradient
        if step >= settings.steps - settings.averaged:
            total += weights
    steps = np.rint(total / settings.averaged * GRID)
    return np.clip(steps, -LARGEST_WEIGHT, LARGEST_WEIGHT) / GRID
