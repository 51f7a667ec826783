"""
The likelihood-ratio attack: does a model show which rows it was trained on?

Shadow models are trained by the same recipe, each on its own half of the rows. For each row, the
confidence in its right label is one bell curve over models that knew it and another over those that
did not; a model is attacked by the ratio of the two, fitted without that model.
Source: Carlini et al. 2022 (arXiv 2112.03570), online variant; spec/ai.md 2.2.
"""

from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Flags, Floats

LEAST_SPREAD = 1e-6
"""Smallest standard deviation of a bell curve, for rows on which all models agree."""
FALSE_ALARMS = 0.01
"""Share of absent rows that an attacker may name by mistake."""
LEAST_SIDE = 2
"""Models on each side that a row needs beside the attacked one; others say nothing."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How well the attack tells rows that were trained on from others."""

    auc: float
    """Area under its curve: 0.5 is guessing, 1 is knowing."""
    hits_at_one_percent: float
    """Share of present rows that it names with one absent row in a hundred named wrongly."""


def confidences(right_label_probability: Floats) -> Floats:
    """Log odds of the right label, which are about normal over models."""
    safe = np.clip(right_label_probability, 1e-12, 1 - 1e-12)
    odds: Floats = np.log(safe) - np.log1p(-safe)
    return odds


def attack(confidence: Floats, is_in: Flags) -> Attack:
    """
    Attack each shadow model with the knowledge of the others.

    Parameters
    ----------
    confidence : `Floats`
        Log odds of the right label, models x rows.
    is_in : `Flags`
        Whether the model was trained on the row, models x rows.

    Returns
    -------
    attack : `Attack`
        Over all pairs of a model and a row.
    """
    score_in, enough_in = _fit_without_itself(confidence, is_in)
    score_out, enough_out = _fit_without_itself(confidence, ~is_in)
    is_known = enough_in & enough_out
    ratios = (score_in - score_out)[is_known]
    truth = is_in[is_known]
    if truth.all() or not truth.any():
        return Attack(0.5, FALSE_ALARMS)
    return Attack(_area(ratios, truth), _hits(ratios, truth))


def _fit_without_itself(confidence: Floats, member: Flags) -> tuple[Floats, Flags]:
    """Log density of each confidence under the other members' curve, and where there is one."""
    chosen = np.where(member, confidence, 0.0)
    count = member.sum(axis=0) - member.astype(np.int64)
    total = chosen.sum(axis=0) - chosen
    squares = (chosen**2).sum(axis=0) - chosen**2
    safe = np.maximum(count, 1)
    mean = total / safe
    variance = np.maximum(squares / safe - mean**2, LEAST_SPREAD**2)
    density = -0.5 * ((confidence - mean) ** 2 / variance + np.log(variance))
    return density, count >= LEAST_SIDE


def _area(scores: Floats, truth: Flags) -> float:
    """Chance that a present row scores above an absent one; ties count half."""
    absent = np.sort(scores[~truth])
    below = np.searchsorted(absent, scores[truth], side="left")
    up_to = np.searchsorted(absent, scores[truth], side="right")
    return float((below + up_to).mean() / (2 * len(absent)))


def _hits(scores: Floats, truth: Flags) -> float:
    absent = np.sort(scores[~truth])
    threshold = absent[min(len(absent) - 1, int(np.ceil(len(absent) * (1 - FALSE_ALARMS))))]
    return float((scores[truth] > threshold).mean())
