"""The noise is what dp-accounting asks for, and what trainings spend together is counted."""

import math

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st

from apps.data_market.errors import BadJob, BadLedger, BudgetSpent
from apps.data_market.privacy.gaussian import Budget, GaussianSteps, noise_multiplier, spent_eps
from apps.data_market.privacy.ledger import PrivacyLedger

DELTA = 1 / 2560


def event(sigma, steps):
    return dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(sigma), steps)


@pytest.mark.parametrize("eps", [0.5, 1.0, 4.0])  # 20 steps: each look takes dp-accounting 0.1 s
def test_sigma_is_that_of_dp_accounting(eps) -> None:
    found = noise_multiplier(Budget(eps, DELTA), 20)
    theirs = dp_accounting.calibrate_dp_mechanism(
        PLDAccountant,
        lambda sigma: event(sigma, 20),
        eps,
        DELTA,
        dp_accounting.ExplicitBracketInterval(found - 0.01, found + 0.01),
        tol=2e-4,
    )
    assert found == pytest.approx(theirs, abs=1e-3)


def test_jobs_together_spend_what_dp_accounting_says() -> None:
    accountant = PLDAccountant()
    accountant.compose(event(12.0, 20))
    accountant.compose(event(30.0, 50))
    both = GaussianSteps(12.0, 20).precision + GaussianSteps(30.0, 50).precision
    assert spent_eps(both, DELTA) == pytest.approx(accountant.get_epsilon(DELTA), abs=1e-3)


@given(st.floats(0.01, 32), st.integers(1, 100))
def test_noise_for_a_budget_spends_that_budget(eps, steps) -> None:
    cost = GaussianSteps(noise_multiplier(Budget(eps, DELTA), steps), steps)
    assert spent_eps(cost.precision, DELTA) == pytest.approx(eps, rel=1e-6)


@pytest.mark.parametrize(
    ("eps", "delta"),
    [(0, 0.1), (-1, 0.1), (math.nan, 0.1), (math.inf, 0.1), (1, 0), (1, 1), (1, math.nan)],
)
def test_impossible_budgets_are_refused(eps, delta) -> None:
    with pytest.raises(BadJob):
        Budget(eps, delta)


def cost(eps):
    return GaussianSteps(noise_multiplier(Budget(eps, DELTA), 20), 20)


def test_a_budget_is_spent_whole_and_no_further() -> None:
    ledger = PrivacyLedger(Budget(2.0, DELTA))
    ledger.reserve("all", cost(2.0))
    with pytest.raises(BudgetSpent):
        ledger.reserve("more", cost(0.1))
    assert ledger.eps == pytest.approx(2.0)
    assert "more" not in ledger.reserved


def test_jobs_compose_to_less_than_their_sum() -> None:
    ledger = PrivacyLedger(Budget(2.0, DELTA))
    for job in ("a", "b", "c"):
        ledger.reserve(job, cost(1.0))
    assert 1.0 < ledger.eps < 2.0
    assert ledger.eps_left == pytest.approx(2.0 - ledger.eps)


def test_what_started_is_never_given_back() -> None:
    ledger = PrivacyLedger(Budget(1.0, DELTA))
    ledger.reserve("job", cost(1.0))
    ledger.start("job")
    with pytest.raises(BadJob):
        ledger.release("job")
    assert ledger.eps == pytest.approx(1.0)


def test_what_never_started_is_given_back() -> None:
    ledger = PrivacyLedger(Budget(1.0, DELTA))
    ledger.reserve("job", cost(1.0))
    ledger.release("job")
    assert ledger.eps == 0
    ledger.reserve("other", cost(1.0))


def test_the_same_again_changes_nothing() -> None:
    ledger = PrivacyLedger(Budget(1.0, DELTA))
    for _ in range(2):
        ledger.reserve("job", cost(1.0))
    ledger.start("job")
    ledger.start("job")
    ledger.reserve("job", cost(1.0))
    assert ledger.encode() == PrivacyLedger.decode(ledger.encode()).encode()
    with pytest.raises(BadJob):
        ledger.reserve("job", cost(0.5))


def test_nothing_starts_without_a_reservation() -> None:
    with pytest.raises(BadJob):
        PrivacyLedger(Budget(1.0, DELTA)).start("job")


@pytest.mark.parametrize("bad", [(0.0, 20), (-1.0, 20), (math.nan, 20), (math.inf, 20), (5.0, 0)])
def test_a_cost_of_nothing_is_refused(bad) -> None:
    with pytest.raises(BadJob):
        PrivacyLedger(Budget(1.0, DELTA)).reserve("job", GaussianSteps(*bad))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"cap":{"eps":1}}',
        b'{"cap":{"eps":"x","delta":1}}',
        b"[" * 100000,
        b'{"cap":{"delta":0.1,"eps":1},"reserved":{"a":[1]},"spent":{}}',
    ],
)
def test_what_is_no_ledger_is_refused(raw) -> None:
    with pytest.raises(BadLedger):
        PrivacyLedger.decode(raw)
