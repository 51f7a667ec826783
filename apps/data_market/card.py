"""
Does a model's card hold? Whoever has the file can look, without a node.

A card is a claim of the worker's, whose hash the market's contract keeps beside the job. What can
be checked without the rows is: that it is that very card, that it is of this model, and that its
noise buys the privacy that it promises. Accuracy and attack were measured on rows that nobody else
sees; for them stands the attested worker.
"""

import math
from dataclasses import dataclass
from typing import Any

import orjson

from apps.data_market.chain.uploads import CARD_CONTEXT
from apps.data_market.errors import BadCard
from apps.data_market.privacy.gaussian import Budget, GaussianSteps, spent_eps
from apps.data_market.train.model import LinearModel
from shared.crypto.hashes import HASH_BYTES, tuple_hash256
from shared.errors import Rejected

MAX_BYTES = 64 << 10
EPS_TOLERANCE = 1e-3
"""By how much of itself eps may be off: the noise stands in the card with six digits."""
SHARES = "accuracy", "attack_auc", "attack_hits_at_one_percent"


@dataclass(frozen=True, slots=True)
class VerifiedCard:
    """A card that holds."""

    card_hash: bytes
    """As the chain has it, 32 bytes."""
    model_hash: bytes
    recipe: str
    budget: Budget
    """What it promises."""
    spent_eps: float
    """What its noise and steps come to, at the budget's delta."""
    accuracy: float
    attack_auc: float


def verify_card(
    untrusted: bytes,
    *,
    model: bytes | None = None,
    card_hash: bytes | None = None,
    largest_auc: float = 1.0,
) -> VerifiedCard:
    """
    Verify a card, JSON as the worker wrote it.

    Parameters
    ----------
    model : `bytes`, optional
        The model that it must be of, as `LinearModel.encode` writes it.
    card_hash : `bytes`, optional
        What the chain holds of the job, 32 bytes.
    largest_auc : `float`
        How well an attack may find the rows.

    Raises
    ------
    BadCard, BadModel
        What does not hold.
    """
    found_hash = tuple_hash256(CARD_CONTEXT, untrusted)
    if card_hash is not None and card_hash != found_hash:
        raise BadCard(f"it is another card than {card_hash.hex()}: its hash is {found_hash.hex()}")
    fields = _read(untrusted)
    try:
        budget = Budget(fields["eps"], fields["delta"])
    except Rejected as error:
        raise BadCard(error.message) from None
    spent = spent_eps(
        GaussianSteps(fields["noise_multiplier"], fields["steps"]).precision, budget.delta
    )
    if spent > budget.eps * (1 + EPS_TOLERANCE):
        raise BadCard(f"eps {budget.eps:g} is promised, and the noise keeps {spent:.6g} alone")
    if fields["attack_auc"] > largest_auc:
        raise BadCard(
            f"an attack finds the rows with AUC {fields['attack_auc']}: over {largest_auc}"
        )
    if model is not None:
        decoded = LinearModel.decode(model)
        if (decoded.hash, decoded.recipe) != (fields["model_hash"], fields["recipe"]):
            raise BadCard(f"it is of another model than {decoded.hash.hex()}")
    return VerifiedCard(
        card_hash=found_hash,
        model_hash=fields["model_hash"],
        recipe=fields["recipe"],
        budget=budget,
        spent_eps=spent,
        accuracy=fields["accuracy"],
        attack_auc=fields["attack_auc"],
    )


def _read(untrusted: bytes) -> dict[str, Any]:
    """Read the fields of a card with their types, or raise `BadCard`."""
    if len(untrusted) > MAX_BYTES:
        raise BadCard(f"a card of {len(untrusted)} bytes: at most {MAX_BYTES}")
    try:
        card = orjson.loads(untrusted)
        fields = {
            **{name: _number(card[name]) for name in (*SHARES, "eps", "delta", "noise_multiplier")},
            "model_hash": bytes.fromhex(card["model_hash"]),
            "recipe": str(card["recipe"]),
            "steps": card["steps"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BadCard(f"no card: {error}") from error
    steps = fields["steps"]
    if type(steps) is not int or steps < 1 or fields["noise_multiplier"] <= 0:
        raise BadCard("no card: it has at least one step, and noise")
    if len(fields["model_hash"]) != HASH_BYTES or any(not 0 <= fields[one] <= 1 for one in SHARES):
        raise BadCard("no card: shares are between 0 and 1, the hash of a model has 32 bytes")
    return fields


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
