"""
Two trainings that show whether a trainer is as private as it says.

Canaries are rows that each have a feature of their own. A coin decides for each whether it is
trained on; whoever reads the model guesses the coins. The more guesses are right, the larger the
epsilon that the trainer must have, at 95 % confidence. An audit finds what is badly wrong - noise
of a tenth, none, no clipping - and cannot find a factor of two.
Source: Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), theorem 5.2; spec/ai.md 2.3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from apps.data_market.arrays import Floats, Integers

DOUBT = 0.05
"""Chance of accusing an honest trainer, shared by the trainings."""
CANARY_LENGTHS = (8.0, 1000.0)
"""A canary's feature: a short one pulls in every step, which shows in little noise; whoever does
not clip shows a long one in the first step."""
SHARE_GUESSED = 1 / 3
"""Of the canaries, how many at each end are guessed; of those between nothing is said."""

Trainer = Callable[[Floats, Integers], Floats]
"""Rows (standardized, n x d) and their classes in; weights out, at least d x classes."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the more telling training gave away."""

    guesses: int
    right: int
    least_eps: float
    """The trainer's epsilon is at least that, at 95 % confidence."""


def audit_trainer(
    trainer: Trainer, delta: float, rng: np.random.Generator, *, canaries: int = 800
) -> Audit:
    """
    Train on canaries alone, and guess which of them were there.

    Parameters
    ----------
    trainer : `Trainer`
        As it is, with its own noise; two classes, 0 and 1.
    delta : `float`
        The delta of its promise.
    rng : `np.random.Generator`
        The coins.
    canaries : `int`
        How many; more find more.

    Returns
    -------
    audit : `Audit`
        Its lower bound on epsilon.
    """
    audits = [_audit(trainer, delta, rng, canaries, length) for length in CANARY_LENGTHS]
    return max(audits, key=lambda audit: audit.least_eps)


def _audit(
    trainer: Trainer, delta: float, rng: np.random.Generator, canaries: int, length: float
) -> Audit:
    is_in = rng.random(canaries) < 0.5
    labels = np.arange(canaries, dtype=np.int64) % 2
    features = np.eye(canaries) * length
    weights = trainer(features[is_in], labels[is_in])
    own = weights[np.arange(canaries), labels]
    scores = own - weights[np.arange(canaries), 1 - labels]
    order = np.argsort(scores)
    some = int(canaries * SHARE_GUESSED)
    right = int((~is_in[order[:some]]).sum() + is_in[order[-some:]].sum())
    doubt = DOUBT / len(CANARY_LENGTHS)
    return Audit(2 * some, right, least_eps(canaries, 2 * some, right, delta, doubt))


def least_eps(canaries: int, guesses: int, right: int, delta: float, doubt: float) -> float:
    """Largest epsilon that so many right guesses refute but for that doubt, by bisection."""
    low, high = 0.0, 20.0
    if _likelihood(canaries, guesses, right, low, delta) > doubt:
        return 0.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        if _likelihood(canaries, guesses, right, middle, delta) < doubt:
            low = middle
        else:
            high = middle
    return low


def _likelihood(canaries: int, guesses: int, right: int, eps: float, delta: float) -> float:
    """How likely an (eps, delta) trainer is to let so many guesses be right, at most."""
    odds = 1 / (1 + np.exp(-eps))
    beta = float(binom.sf(right - 1, guesses, odds))
    # For each i: the chance of i fewer right guesses at most, over i.
    behind = np.cumsum(binom.pmf(right - np.arange(1, right + 1), guesses, odds))
    alpha = float((behind / np.arange(1, right + 1)).max(initial=0.0))
    return min(1.0, beta + 2 * canaries * delta * alpha)
