"""
One job from rows to pay: value, reserve, train, attack, pay.

Rules of order: a budget is reserved in every dataset's ledger before anything is trained and spent
with the start; a model that the gate refuses is neither released nor paid for, and its budget stays
spent. Nothing here stores, sends or waits.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from apps.data_market.arrays import Contribution, LabelledRows
from apps.data_market.errors import BadJob
from apps.data_market.gate.lira import Attack
from apps.data_market.gate.release import ReleaseLimit, attack_recipe
from apps.data_market.intake.table import Schema
from apps.data_market.privacy.gaussian import Budget, GaussianSteps
from apps.data_market.privacy.ledger import PrivacyLedger
from apps.data_market.train.logreg import distinct, train_weights
from apps.data_market.train.model import LinearModel
from apps.data_market.train.noise import NormalStream
from apps.data_market.train.recipe import Recipe, public_count
from apps.data_market.value.quantize import Scale
from apps.data_market.value.valuation import Valuation, value_contributions
from shared.crypto.secret import SecretBytes
from shared.errors import Rejected

MOST_POT_WEI = (1 << 128) - 1
"""Largest pot: what a balance of the ParaTime holds."""

Progress = Callable[[str], None]
"""Told what begins."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a model owner asks for."""

    job: str
    """Its name, unique in the ledgers."""
    recipe: Recipe
    eps: float
    pot_wei: int
    delta: float | None = None
    """1/(2n) by default, with n the public number of rows."""
    limit: ReleaseLimit = field(default_factory=ReleaseLimit)


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A model that passed the gate, with its card."""

    model: LinearModel
    budget: Budget
    noise_multiplier: float
    steps: int
    accuracy: float
    """Share of the owner's validation rows that it gets right."""
    attack: Attack

    def card(self) -> dict[str, object]:
        """What goes out with the model. The attack is rounded: it is measured on rows."""
        return {
            "accuracy": round(self.accuracy, 4),
            "attack_auc": round(self.attack.auc, 2),
            "attack_hits_at_one_percent": round(self.attack.hits_at_one_percent, 2),
            "delta": self.budget.delta,
            "eps": self.budget.eps,
            "model_hash": self.model.hash.hex(),
            "noise_multiplier": round(self.noise_multiplier, 6),
            "recipe": self.model.recipe,
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a job came to."""

    order: Order
    training: Training
    valuation: Valuation
    paid_wei: Mapping[str, int]
    seconds: float

    def summary(self) -> dict[str, object]:
        """Everything about it in one document, for whoever runs a job on his own machine."""
        card = self.training.card()
        names = self.valuation.names
        return {
            "pot_wei": self.order.pot_wei,
            "paid_wei": dict(self.paid_wei),
            "accuracy": card["accuracy"],
            "eps": self.order.eps,
            "delta": self.training.budget.delta,
            "attack_auc": card["attack_auc"],
            "rows_used": dict(zip(names, self.valuation.rows_used, strict=True)),
            "rows_dropped": dict(zip(names, self.valuation.rows_dropped, strict=True)),
            "value_hash": self.valuation.value_hash.hex(),
            "seconds": round(self.seconds, 3),
        }


def verify_pot(pot_wei: int) -> None:
    """Raise `BadJob` where nobody can pay it."""
    if not 0 < pot_wei <= MOST_POT_WEI:
        raise BadJob(f"a pot of {pot_wei} wei: it is above 0 and below 2^128")


def budget_of(order: Order, rows: int) -> Budget:
    """Budget of an order over so many rows. Raises `BadJob`."""
    delta = 1 / (2 * public_count(rows)) if order.delta is None else order.delta
    return Budget(order.eps, delta)


def train_and_attack(
    order: Order,
    contributions: Sequence[Contribution],
    validation: LabelledRows,
    schema: Schema,
    key: SecretBytes,
    *,
    ledgers: Mapping[str, PrivacyLedger] | None = None,
    progress: Progress = lambda _: None,
) -> Training:
    """
    Train a model and try to find its rows.

    Parameters
    ----------
    order : `Order`
        What is wanted.
    contributions : `Sequence[Contribution]`
        Whose rows, in the order of their commitments.
    validation : `LabelledRows`
        The owner's rows, of the same schema.
    schema : `Schema`
        Names of features and classes.
    key : `SecretBytes`
        32 bytes of this job alone, from which its noise follows.
    ledgers : `Mapping[str, PrivacyLedger]`
        One for each contributor; all are charged, or none.
    progress : `Progress`
        Told what begins.

    Raises
    ------
    BudgetSpent
        A dataset has not enough left; nothing is charged or trained.
    ReleaseRefused
        The attack finds too much; the budget stays spent.
    """
    rows = LabelledRows(
        np.concatenate([one.rows.features for one in contributions]),
        np.concatenate([one.rows.labels for one in contributions]),
    )
    budget = budget_of(order, len(rows))
    cost = order.recipe.cost(budget)
    _charge(order.job, [(ledgers or {})[one.name] for one in contributions if ledgers], cost)
    progress(f"training {order.recipe.name} on {len(rows)} rows at eps {budget.eps:g}")
    scale = Scale.of(validation.features)
    ready = distinct(LabelledRows(scale.standardized(rows.features), rows.labels))
    settings = order.recipe.settings(budget)
    weights = train_weights(
        ready.features,
        ready.labels,
        classes=len(schema.classes),
        public_rows=public_count(len(rows)),
        settings=settings,
        noise_multiplier=cost.noise_multiplier,
        noise=NormalStream(key, "model"),
    )
    model = LinearModel(order.recipe.name, schema.features, schema.classes, scale, weights)
    accuracy = float((model.predicted(validation.features) == validation.labels).mean())
    progress("attacking it by shadow models")
    found = attack_recipe(
        ready,
        classes=len(schema.classes),
        settings=settings,
        noise_multiplier=cost.noise_multiplier,
        key=key,
    )
    order.limit.verify(found)
    return Training(model, budget, cost.noise_multiplier, settings.steps, accuracy, found)


def run_job(
    order: Order,
    contributions: Sequence[Contribution],
    validation: LabelledRows,
    schema: Schema,
    key: SecretBytes,
    *,
    ledgers: Mapping[str, PrivacyLedger] | None = None,
    progress: Progress = lambda _: None,
) -> Outcome:
    """
    Run a job whole; parameters and refusals as of `train_and_attack`.

    Raises
    ------
    BadJob
        An impossible pot.
    NothingOfValue
        No contributor's rows help.
    """
    verify_pot(order.pot_wei)
    # Before anything is computed: it refuses an impossible eps.
    budget_of(order, sum(len(one.rows) for one in contributions))
    began = time.monotonic()
    progress("valuing rows")
    valuation = value_contributions(contributions, validation)
    paid_wei = valuation.pays(order.pot_wei)
    training = train_and_attack(
        order, contributions, validation, schema, key, ledgers=ledgers, progress=progress
    )
    return Outcome(order, training, valuation, paid_wei, time.monotonic() - began)


def _charge(job: str, ledgers: Sequence[PrivacyLedger], cost: GaussianSteps) -> None:
    """Reserve in every ledger or in none, then spend."""
    done: list[PrivacyLedger] = []
    try:
        for ledger in ledgers:
            ledger.reserve(job, cost)
            done.append(ledger)
    except Rejected:
        for ledger in done:
            if job in ledger.reserved:
                ledger.release(job)
        raise
    for ledger in ledgers:
        ledger.start(job)
