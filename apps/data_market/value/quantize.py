"""
The door between floats and integers.

The scale comes from the validation set alone, so it says nothing about contributors' rows. Its sums
are correctly rounded (`math.fsum`), and what follows is one IEEE operation an element, without a
reduction: every worker gets the same integers, whatever its BLAS does. Source: spec/ai.md 1.4.
"""

import math
from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Floats, Integers
from apps.data_market.errors import BadTable

STEPS = 4096
"""Integer steps in one standard deviation of the validation set."""
LARGEST = 1e100
"""Largest number of a table: the squares of a thousand of them have a sum."""
REACH = 8
"""Farther than that from the mean is as far [standard deviations]."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Mean and standard deviation of each feature over the validation set."""

    mean: Floats
    deviation: Floats
    """Infinite for a feature that the validation set knows one value of; it then counts nothing."""

    @classmethod
    def of(cls, features: Floats) -> "Scale":
        """Measure a validation set of at least one row."""
        if not len(features):
            raise BadTable("the validation set has no rows")
        if not (np.abs(features) <= LARGEST).all():
            raise BadTable(f"a number is not finite, or beyond {LARGEST:g}")
        means, deviations = [], []
        for column in features.T.tolist():
            mean = math.fsum(column) / len(column)
            distances = [value - mean for value in column]
            variance = math.fsum(distance * distance for distance in distances) / len(column)
            means.append(mean)
            # Of equal numbers the mean may differ by its rounding, which is no variance.
            is_constant = min(column) == max(column) or variance == 0
            deviations.append(math.inf if is_constant else math.sqrt(variance))
        return cls(np.array(means), np.array(deviations))

    def standardized(self, features: Floats) -> Floats:
        """Features in standard deviations from the mean, cut at `REACH`."""
        with np.errstate(over="ignore"):
            return np.clip((features - self.mean) / self.deviation, -REACH, REACH)

    def quantized(self, features: Floats) -> Integers:
        """The same in integer steps: at most `REACH * STEPS` either way, half to even."""
        return np.rint(self.standardized(features) * STEPS).astype(np.int64)
