"""
The budget of one dataset: reserved before a job starts, never given back after it.

A crash after the start has spent what was reserved, since nobody can tell how far it came. What
several jobs spend together is composed exactly, not added up. Rules only: whoever keeps the
document keeps it before the job starts (`encode`), and it is the same bytes for the same history.
"""

import math
from dataclasses import dataclass, field

import orjson

from apps.data_market.errors import BadJob, BadLedger, BudgetSpent
from apps.data_market.privacy.gaussian import Budget, GaussianSteps, spent_eps

MAX_JOBS = 10_000
"""Jobs that one ledger keeps."""
MAX_BYTES = 4 << 20
"""Longest document that is read."""


@dataclass(slots=True)
class PrivacyLedger:
    """What was promised to the owner of a dataset, and what of it is spent."""

    cap: Budget
    """All jobs together stay within it."""
    reserved: dict[str, GaussianSteps] = field(default_factory=dict)
    """By job; not started yet."""
    spent: dict[str, GaussianSteps] = field(default_factory=dict)
    """By job; started, whether it ended or not."""

    @property
    def eps(self) -> float:
        """What is reserved and spent, composed, at the cap's delta."""
        return spent_eps(self._precision(), self.cap.delta)

    @property
    def eps_left(self) -> float:
        """Difference to the cap; a job that asks for it may still fit, since budgets compose."""
        return max(0.0, self.cap.eps - self.eps)

    def reserve(self, job: str, cost: GaussianSteps) -> None:
        """
        Take a job's cost from the budget before it starts; the same again changes nothing.

        Raises
        ------
        BadJob
            The job is known with another cost, or the ledger is full.
        BudgetSpent
            The cost does not fit; nothing is changed.
        """
        known = self.reserved.get(job) or self.spent.get(job)
        if known is not None:
            if known != cost:
                raise BadJob(f"job {job} is known with another cost")
            return
        if len(self.reserved) + len(self.spent) >= MAX_JOBS:
            raise BadJob(f"a ledger keeps {MAX_JOBS} jobs")
        # What is no positive number would count as no cost at all.
        if not (math.isfinite(cost.noise_multiplier) and cost.noise_multiplier > 0):
            raise BadJob(f"a noise multiplier of {cost.noise_multiplier}")
        if cost.steps < 1:
            raise BadJob(f"{cost.steps} steps")
        eps = spent_eps(self._precision() + cost.precision, self.cap.delta)
        # The accountant's roots are found to 1e-9 or so; a budget may be used whole.
        if not eps <= self.cap.eps * (1 + 1e-6):
            raise BudgetSpent(
                f"{job!r} would bring the dataset to eps {eps:.3f} of {self.cap.eps:g}"
            )
        self.reserved[job] = cost

    def start(self, job: str) -> None:
        """Spend what a job reserved; the same again changes nothing. Raises `BadJob`."""
        if job in self.spent:
            return
        if job not in self.reserved:
            raise BadJob(f"job {job} has reserved nothing")
        self.spent[job] = self.reserved.pop(job)

    def release(self, job: str) -> None:
        """Give back what a job reserved, where it never started. Raises `BadJob`."""
        if job in self.spent:
            raise BadJob(f"job {job} has started: its budget is spent")
        self.reserved.pop(job, None)

    def encode(self) -> bytes:
        """Write the ledger as JSON with sorted keys."""
        document = {
            "cap": {"delta": self.cap.delta, "eps": self.cap.eps},
            "reserved": _costs(self.reserved),
            "spent": _costs(self.spent),
        }
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def decode(cls, raw: bytes) -> "PrivacyLedger":
        """Read a ledger that `encode` wrote. Raises `BadLedger`."""
        if len(raw) > MAX_BYTES:
            raise BadLedger(f"a ledger of {len(raw)} bytes: at most {MAX_BYTES}")
        try:
            document = orjson.loads(raw)
            ledger = cls(Budget(float(document["cap"]["eps"]), float(document["cap"]["delta"])))
            for part in ("reserved", "spent"):
                for job, (multiplier, steps) in document[part].items():
                    ledger.reserve(job, GaussianSteps(float(multiplier), int(steps)))
                    if part == "spent":
                        ledger.start(job)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadLedger(f"no ledger: {error}") from error
        return ledger

    def _precision(self) -> float:
        costs = [*self.reserved.values(), *self.spent.values()]
        return math.fsum(cost.precision for cost in costs)


def _costs(jobs: dict[str, GaussianSteps]) -> dict[str, list[float | int]]:
    return {job: [cost.noise_multiplier, cost.steps] for job, cost in jobs.items()}
