"""Shadow models of the same recipe are attacked, and the outcome is a line of the card."""

from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Floats, LabelledRows
from apps.data_market.errors import ReleaseRefused
from apps.data_market.gate.lira import Attack, attack, confidences
from apps.data_market.train.logreg import Settings, extended, probabilities, train_weights
from apps.data_market.train.noise import NormalStream
from shared.crypto.secret import SecretBytes

SHADOW_MODELS, MOST_SHADOW_MODELS = 32, 256
"""Fewest and most. Source: spec/ai.md 2.4, 16 to 64; more of few rows, where chance rules."""
LEAST_PAIRS = 4096
"""Pairs of a model and a row from which the attack is known to about a hundredth."""
MOST_ROWS = 2000
"""Of more rows, so many are drawn: the gate's time is bounded, and the attack no weaker."""
REMEDY = "a smaller eps or more rows help"


@dataclass(frozen=True, slots=True)
class ReleaseLimit:
    """What contributors allow an attack on the model to find. Source: spec/ai.md 2.4."""

    auc: float = 0.60
    hits_at_one_percent: float = 0.05

    def verify(self, found: Attack) -> None:
        """Raise `ReleaseRefused` where the attack is better than that."""
        if found.auc > self.auc:
            raise ReleaseRefused(
                f"an attack finds rows with AUC {found.auc:.3f} > {self.auc:g}: {REMEDY}"
            )
        if found.hits_at_one_percent > self.hits_at_one_percent:
            raise ReleaseRefused(
                f"an attack names {found.hits_at_one_percent:.1%} of the rows with 1 % false "
                f"alarms: at most {self.hits_at_one_percent:.1%}; {REMEDY}"
            )


def attack_recipe(
    standardized: LabelledRows,
    *,
    classes: int,
    settings: Settings,
    noise_multiplier: float,
    key: SecretBytes,
) -> Attack:
    """
    Train shadow models on halves of the rows, and attack them.

    Parameters
    ----------
    standardized : `LabelledRows`
        What the model was trained on.
    classes, settings, noise_multiplier
        As the model was trained.
    key : `SecretBytes`
        Of the job; the shadows' noise and coins are other streams than the model's.

    Returns
    -------
    attack : `Attack`
        How much a model of this recipe shows of these rows. It stays inside but for what the card
        rounds off.
    """
    coins = NormalStream(key, "gate/coins")
    rows = _drawn(standardized, coins)
    count = len(rows)
    # An even number, since each half of the rows has its complement.
    pairs = -(-LEAST_PAIRS // max(1, 2 * count))
    shadow_models = 2 * min(max(pairs, SHADOW_MODELS // 2), MOST_SHADOW_MODELS // 2)
    is_in = np.zeros((shadow_models, count), dtype=np.bool_)
    for pair in range(0, shadow_models, 2):
        half = np.argsort(coins.uniform(count))[: count // 2]
        is_in[pair, half] = True
        is_in[pair + 1] = ~is_in[pair]
    confidence = np.zeros(is_in.shape)
    for model, chosen in enumerate(is_in):
        weights = train_weights(
            rows.features[chosen],
            rows.labels[chosen],
            classes=classes,
            public_rows=max(1, count // 2),
            settings=settings,
            noise_multiplier=noise_multiplier,
            noise=NormalStream(key, f"gate/noise/{model}"),
        )
        confidence[model] = _right_odds(rows, weights)
    return attack(confidence, is_in)


def _right_odds(rows: LabelledRows, weights: Floats) -> Floats:
    found = probabilities(extended(rows.features), weights)
    return confidences(found[np.arange(len(rows)), rows.labels])


def _drawn(rows: LabelledRows, coins: NormalStream) -> LabelledRows:
    if len(rows) <= MOST_ROWS:
        return rows
    chosen = np.sort(np.argsort(coins.uniform(len(rows)))[:MOST_ROWS])
    return LabelledRows(rows.features[chosen], rows.labels[chosen])
