"""
What happens on the market, from commitments to pay, in one process.

Three jobs at different budgets draw the curve of accuracy against epsilon; the middle one is paid.
A fourth asks for more than is left, and is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.data_market.arrays import Contribution
from apps.data_market.demo.digits import JobFiles
from apps.data_market.errors import BadJob, BudgetSpent, ReleaseRefused
from apps.data_market.intake.commitment import Commitment, commit
from apps.data_market.intake.table import Schema, read_table
from apps.data_market.job import Order, Outcome, Progress, Training, run_job, train_and_attack
from apps.data_market.privacy.gaussian import Budget
from apps.data_market.privacy.ledger import PrivacyLedger
from apps.data_market.train.recipe import Recipe, public_count
from shared.crypto.entropy import Entropy
from shared.crypto.secret import SecretBytes

CAP_EPS = 4.0
"""What each contributor allows for all jobs together."""
OTHER_EPS = (0.5, 2.0)
"""Budgets of the jobs that only draw the curve."""


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """Everything that the report shows; no row is in it."""

    commitments: Mapping[str, Commitment]
    outcome: Outcome
    trainings: Sequence[Training]
    """By rising epsilon, the paid one among them."""
    ledgers: Mapping[str, PrivacyLedger]
    refused: tuple[float, str] | None
    """Epsilon that a last job asked for, and why it did not get it."""
    recipe: Recipe
    validation_rows: int


def tell_story(
    files: JobFiles,
    recipe: Recipe,
    eps: float,
    pot_wei: int,
    entropy: Entropy,
    progress: Progress = lambda _: None,
) -> Story:
    """
    Run the jobs of the story.

    Parameters
    ----------
    files : `JobFiles`
        What contributors and the model owner bring; contributors commit in this order.
    recipe : `Recipe`
        How models are made.
    eps, pot_wei : `float`, `int`
        Budget and pot of the job that is paid.
    entropy : `Entropy`
        Of salts and noise.
    progress : `Progress`
        Told what begins.

    Raises
    ------
    BadJob
        The paid job's budget is that of another one or passes the contributors' cap.
    """
    verify_story_eps(eps)
    progress(f"{len(files.contributors)} contributors commit to their rows")
    owners = read_table(files.validation, files.label)
    schema = Schema.of(owners)
    validation = schema.rows_of(owners)
    commitments, contributions = {}, []
    for name, raw in files.contributors.items():
        table = read_table(raw, files.label)
        commitments[name] = commit(table, SecretBytes(entropy.draw("data market: salt")))
        contributions.append(Contribution(name, schema.rows_of(table)))
    count = public_count(sum(len(one.rows) for one in contributions))
    cap = Budget(CAP_EPS, 1 / (2 * count))
    ledgers = {name: PrivacyLedger(cap) for name in files.contributors}

    def ordered(asked: float) -> Order:
        return Order(f"job at eps {asked:g}", recipe, asked, pot_wei)

    def key() -> SecretBytes:
        return SecretBytes(entropy.draw("data market: noise"))

    outcome = run_job(
        ordered(eps), contributions, validation, schema, key(), ledgers=ledgers, progress=progress
    )
    trainings = [outcome.training]
    for other in OTHER_EPS:
        try:
            trainings.append(
                train_and_attack(
                    ordered(other),
                    contributions,
                    validation,
                    schema,
                    key(),
                    ledgers=ledgers,
                    progress=progress,
                )
            )
        except (BudgetSpent, ReleaseRefused) as error:
            progress(f"the job at eps {other:g} has no model: {error.message}")
    refused = None
    progress(f"a job asks for eps {CAP_EPS:g}")
    try:
        train_and_attack(
            ordered(CAP_EPS), contributions, validation, schema, key(), ledgers=ledgers
        )
    except BudgetSpent as error:
        refused = (CAP_EPS, error.message)
    trainings.sort(key=lambda training: training.budget.eps)
    return Story(commitments, outcome, trainings, ledgers, refused, recipe, len(validation))


def verify_story_eps(eps: float) -> None:
    """Raise `BadJob` where the paid job's budget is another one's, or above the cap."""
    if not 0 < eps <= CAP_EPS or eps in OTHER_EPS:
        raise BadJob(f"the story's eps is above 0, at most {CAP_EPS:g} and none of {OTHER_EPS}")
