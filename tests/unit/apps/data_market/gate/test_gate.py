"""The gate sees what a model remembers, and lets nothing out that remembers too much."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from apps.data_market.arrays import LabelledRows
from apps.data_market.errors import ReleaseRefused
from apps.data_market.gate.lira import Attack, _area, attack
from apps.data_market.gate.release import ReleaseLimit, attack_recipe
from apps.data_market.privacy.gaussian import Budget
from apps.data_market.train.logreg import Settings
from apps.data_market.train.recipe import DP_LOGREG
from apps.data_market.value.quantize import Scale
from shared.crypto.secret import SecretBytes
from tests.support.market import public_rows

KEY = SecretBytes(b"g" * 32)


def attacked(settings, noise_multiplier, name="digits"):
    train, held = public_rows(name)
    standardized = Scale.of(held.features).standardized(train.features)
    return attack_recipe(
        LabelledRows(standardized, train.labels),
        classes=int(held.labels.max()) + 1,
        settings=settings,
        noise_multiplier=noise_multiplier,
        key=KEY,
    )


def test_a_private_model_passes() -> None:
    budget = Budget(1.0, 1 / 2560)
    found = attacked(DP_LOGREG.settings(budget), DP_LOGREG.cost(budget).noise_multiplier)
    assert 0.49 <= found.auc <= 0.55
    ReleaseLimit().verify(found)


def test_a_model_without_noise_that_is_trained_too_long_does_not() -> None:
    found = attacked(Settings(clip=1000.0, rate=2.0, steps=100, averaged=1), 0.0)
    assert found.auc > 0.6
    with pytest.raises(ReleaseRefused):
        ReleaseLimit().verify(found)


@pytest.mark.parametrize("seed", range(5))
def test_few_rows_are_not_refused_by_chance(seed) -> None:
    rng = np.random.default_rng(seed)
    budget = Budget(1.0, 1 / 40)
    found = attack_recipe(
        LabelledRows(rng.normal(size=(20, 4)), rng.integers(0, 2, 20)),
        classes=2,
        settings=DP_LOGREG.settings(budget),
        noise_multiplier=DP_LOGREG.cost(budget).noise_multiplier,
        key=SecretBytes(bytes([seed]) * 32),
    )
    ReleaseLimit().verify(found)


@pytest.mark.parametrize("found", [Attack(0.61, 0.01), Attack(0.5, 0.06)])
def test_either_limit_refuses(found) -> None:
    with pytest.raises(ReleaseRefused):
        ReleaseLimit().verify(found)
    ReleaseLimit(auc=1.0, hits_at_one_percent=1.0).verify(found)


def test_the_attack_finds_a_planted_difference_and_only_that() -> None:
    rng = np.random.default_rng(0)
    is_in = rng.random((32, 500)) < 0.5
    level = rng.normal(0, 5, 500)
    noise = rng.normal(0, 1, is_in.shape)
    assert attack(level + noise, is_in).auc == pytest.approx(0.5, abs=0.02)
    known = attack(level + noise + 2 * is_in, is_in)
    # Two bell curves two deviations apart: Phi(sqrt 2) if their parameters were known.
    assert 0.88 <= known.auc <= 0.922
    assert known.hits_at_one_percent > 0.2


def test_the_area_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 30, 400).astype(float), rng.random(400) < 0.3
    assert _area(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_models_that_all_knew_a_row_say_nothing_of_it() -> None:
    found = attack(np.zeros((4, 3)), np.ones((4, 3), dtype=np.bool_))
    assert found == Attack(0.5, 0.01)
