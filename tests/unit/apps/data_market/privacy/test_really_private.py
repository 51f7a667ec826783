"""The guarantee is there: no row moves a sum too far, the noise is normal, audits say so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from apps.data_market.arrays import LabelledRows
from apps.data_market.privacy.audit import audit_trainer, least_eps
from apps.data_market.privacy.gaussian import Budget
from apps.data_market.train import logreg
from apps.data_market.train.logreg import clipped_sum, distinct, extended, train_weights
from apps.data_market.train.noise import NormalStream
from apps.data_market.train.recipe import DP_LOGREG
from shared.crypto.secret import SecretBytes

KEY = SecretBytes(b"k" * 32)
DELTA = 1e-5


@given(st.integers(0, 2**32), st.integers(1, 12), st.floats(0.01, 100))
def test_one_row_moves_the_sum_by_the_clip_at_most(seed, count, scale) -> None:
    rng = np.random.default_rng(seed)
    features, classes = int(rng.integers(1, 9)), int(rng.integers(2, 6))
    rows = extended(rng.normal(0, scale, (count, features)))
    targets = np.eye(classes)[rng.integers(0, classes, count)]
    weights = rng.normal(0, 3, (features + 1, classes))
    gone = int(rng.integers(0, count))
    with_it = clipped_sum(rows, targets, weights, 1.0)
    without = clipped_sum(np.delete(rows, gone, 0), np.delete(targets, gone, 0), weights, 1.0)
    assert np.linalg.norm(with_it - without) <= 1.0


def test_a_gradient_within_the_clip_is_the_true_one() -> None:
    rng = np.random.default_rng(0)
    rows, targets = extended(rng.normal(size=(6, 3))), np.eye(4)[rng.integers(0, 4, 6)]
    weights = rng.normal(size=(4, 4))

    def loss(at):
        return -np.log((logreg.probabilities(rows, at) * targets).sum(axis=1)).sum()

    found = clipped_sum(rows, targets, weights, 1e6)
    for place in np.ndindex(*weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-6
        slope = (loss(weights + step) - loss(weights - step)) / 2e-6
        assert found[place] == pytest.approx(slope, abs=1e-4)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=12), st.data()
)
def test_one_row_more_is_one_distinct_row_more_at_most(pairs, data) -> None:
    def kept(some):
        rows = LabelledRows(
            np.array([[float(cell)] for cell, _ in some]).reshape(-1, 1),
            np.array([label for _, label in some], dtype=np.int64),
        )
        found = distinct(rows)
        return set(zip(found.features[:, 0], found.labels, strict=True)), len(found)

    gone = data.draw(st.integers(0, len(pairs) - 1))
    with_it, count = kept(pairs)
    assert count == len(with_it) == len(set(pairs))
    if len(pairs) > 1:
        without, _ = kept(pairs[:gone] + pairs[gone + 1 :])
        assert len(with_it ^ without) <= 1


def test_the_noise_is_normal() -> None:
    numbers = NormalStream(KEY).normal(200_000)
    edges = np.concatenate([[-np.inf], np.linspace(-3, 3, 61), [np.inf]])
    expected = len(numbers) * np.diff(norm.cdf(edges))
    counted = np.histogram(numbers, edges)[0]
    assert ((counted - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(expected) - 1)


def test_the_noise_of_a_training_has_its_deviation() -> None:
    """Without rows a training is its noise alone: variance, by chi-square, at two-sided 0.1 %."""
    steps = logreg.Settings(clip=0.5, rate=2.0, steps=1, averaged=1)
    found = train_weights(
        np.empty((0, 400)),
        np.empty(0, dtype=np.int64),
        classes=5,
        public_rows=8,
        settings=steps,
        noise_multiplier=3.0,
        noise=NormalStream(KEY),
    )
    deviation = 3.0 * 0.5 * 2.0 / 8
    statistic = float(((found / deviation) ** 2).sum())
    low, high = chi2.ppf([0.0005, 0.9995], found.size)
    assert low < statistic < high


def test_streams_of_other_keys_and_labels_are_others() -> None:
    streams = [NormalStream(KEY), NormalStream(KEY, "a"), NormalStream(SecretBytes(b"l" * 32))]
    first = [stream.normal(4).tolist() for stream in streams]
    assert len({tuple(one) for one in first}) == 3
    assert NormalStream(KEY).normal(4).tolist() == first[0]
    assert streams[0].normal(4).tolist() != first[0]


def trainer(seed, eps=1.0, noise=1.0, clip=None):
    """The recipe's trainer, or a broken one: noise of a part, or gradients that are not clipped."""
    budget = Budget(eps, DELTA)
    going, cost = DP_LOGREG.settings(budget), DP_LOGREG.cost(budget)
    # Without clipping the noise stays what it was.
    unclipped = (
        going if clip is None else logreg.Settings(clip, going.rate, going.steps, going.averaged)
    )
    multiplier = cost.noise_multiplier * noise * going.clip / unclipped.clip

    def run(features, labels):
        return train_weights(
            features,
            labels,
            classes=2,
            public_rows=400,
            settings=unclipped,
            noise_multiplier=multiplier,
            noise=NormalStream(SecretBytes(bytes([seed]) * 32)),
        )

    return run


@pytest.mark.parametrize("eps", [1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_an_honest_trainer_passes_its_audit(seed, eps) -> None:
    found = audit_trainer(trainer(seed, eps), DELTA, np.random.default_rng(seed))
    assert found.least_eps <= eps


@pytest.mark.parametrize("eps", [1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "broken", [{"noise": 0.1}, {"noise": 1e-9}, {"clip": 1e6}], ids=["tenth", "none", "unclipped"]
)
def test_a_broken_trainer_is_caught(broken, seed, eps) -> None:
    found = audit_trainer(trainer(seed, eps, **broken), DELTA, np.random.default_rng(seed))
    assert found.least_eps > eps


def test_bounds_of_an_audit_are_those_of_the_paper() -> None:
    # All of 100 guesses right, without delta: the exact bound of a binomial at 95 %.
    assert least_eps(100, 100, 100, 0.0, 0.05) == pytest.approx(
        np.log(0.05**0.01 / (1 - 0.05**0.01)), abs=2e-3
    )
    assert least_eps(100, 100, 50, 0.0, 0.05) == 0.0
    assert least_eps(800, 500, 480, 1e-3, 0.05) < least_eps(800, 500, 480, 0.0, 0.05)
