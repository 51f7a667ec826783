"""
How much noise a budget asks for, and what budget some noise spends.

Every step of the trainer adds Gaussian noise to a sum over all rows, without sampling. Steps that
build on each other are then together exactly as private as one Gaussian mechanism whose precision
is the sum of theirs, so the analytic conditions of `dp-accounting` hold without a loss.
Source: Dong, Roth and Su 2019 (arXiv 1905.02383), corollary 2; Balle and Wang 2018 (arXiv
1805.06530), theorem 8, in `dp_accounting.gaussian_mechanism`.
"""

import math
from dataclasses import dataclass

import dp_accounting

from apps.data_market.errors import BadJob

LARGEST_EPS = 64.0
"""More than that promises nothing, and no budget is as large."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most that: an (eps, delta) guarantee for each row, added or left out."""

    eps: float
    delta: float

    def __post_init__(self) -> None:
        # Written so that what is not a number fails as well.
        if not 0 < self.eps <= LARGEST_EPS:
            raise BadJob(f"eps {self.eps}: it is above 0 and at most {LARGEST_EPS:g}")
        if not 0 < self.delta < 1:
            raise BadJob(f"delta {self.delta}: it is above 0 and below 1")


@dataclass(frozen=True, slots=True)
class GaussianSteps:
    """What a training did to the rows' privacy."""

    noise_multiplier: float
    """Standard deviation of each step's noise, over what one row can move the sum by."""
    steps: int

    @property
    def precision(self) -> float:
        """Sum of 1/sigma^2; of several trainings on the same rows the sums add up."""
        return self.steps / self.noise_multiplier**2


def noise_multiplier(budget: Budget, steps: int) -> float:
    """Smallest noise with which `steps` steps together keep a budget."""
    sigma = float(dp_accounting.get_sigma_gaussian(budget.eps, budget.delta))
    return sigma * math.sqrt(steps)


def spent_eps(precision: float, delta: float) -> float:
    """Epsilon at `delta` of everything whose precisions add up to `precision`; 0 of nothing."""
    if precision == 0:
        return 0.0
    return float(dp_accounting.get_epsilon_gaussian(1 / math.sqrt(precision), delta))
