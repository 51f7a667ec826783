"""What a report page shows, wherever the jobs ran; no row is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.data_market.demo.story import Story
from apps.data_market.job import Outcome
from apps.data_market.value.valuation import Valuation

LOCAL_NOTE = (
    "Computed locally, outside an enclave: this machine saw every row, and nobody was paid on a "
    "chain. On a network the same job runs in enclaves of its workers, and pays."
)
Card = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """The budget of one dataset, composed, at the jobs' delta."""

    name: str
    allowed_eps: float
    spent_eps: float
    left_eps: float


@dataclass(frozen=True, slots=True)
class Party:
    """What one party sees, and what it does not."""

    who: str
    sees: str
    does_not_see: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on it."""

    note: str
    pot_wei: int
    paid_wei: Mapping[str, int]
    valuation: Valuation
    card: Card
    """Of the paid model."""
    validation_rows: int
    parties: Sequence[Party]
    hashes: Sequence[tuple[str, str]]
    """What the job can be checked by."""
    cards: Sequence[Card]
    """By rising epsilon, the paid one among them."""
    budgets: Sequence[BudgetLine] = field(default=())
    refused: tuple[float, str] | None = None
    """Epsilon that a last job asked for, and why it did not get it."""


def page_of_story(story: Story) -> Page:
    """Give the page of a story that ran in this process."""
    cards = [one.card() for one in story.trainings]
    budgets = [
        BudgetLine(name, ledger.cap.eps, ledger.eps, ledger.eps_left)
        for name, ledger in story.ledgers.items()
    ]
    return page_of_outcome(story.outcome, story.validation_rows, cards, budgets, story.refused)


def page_of_outcome(
    outcome: Outcome,
    validation_rows: int,
    cards: Sequence[Card] = (),
    budgets: Sequence[BudgetLine] = (),
    refused: tuple[float, str] | None = None,
) -> Page:
    """Give the page of a job that ran in this process, with what others of its story left."""
    card = outcome.training.card()
    return Page(
        note=LOCAL_NOTE,
        pot_wei=outcome.order.pot_wei,
        paid_wei=outcome.paid_wei,
        valuation=outcome.valuation,
        card=card,
        validation_rows=validation_rows,
        parties=parties(
            chain="the model; here there is none",
            enclave="here it is an ordinary process on this machine, which kept nothing",
        ),
        hashes=hashes(outcome.valuation, outcome.order.recipe.hash, card),
        cards=cards or [card],
        budgets=budgets,
        refused=refused,
    )


def parties(*, chain: str, enclave: str) -> list[Party]:
    """Say what each party sees; `chain` and `enclave` what is not seen there."""
    return [
        Party(
            "a contributor",
            "his own rows; the recipe and its budget; his own pay; what is left of his budget",
            "another's rows or pay; the value of any row; the model",
        ),
        Party(
            "the model owner",
            "his validation rows; the model and its card; the pot",
            "a row; who was paid what",
        ),
        Party("the chain", "commitments; budgets; hashes", f"a row; a pay; {chain}"),
        Party("the enclave of a worker", "all of it while the job runs", enclave),
    ]


def hashes(valuation: Valuation, recipe_hash: bytes, card: Card) -> list[tuple[str, str]]:
    """Say what a job can be checked by."""
    return [
        ("values, equal on every worker", valuation.value_hash.hex()),
        (f"recipe {card['recipe']}", recipe_hash.hex()),
        ("model", str(card["model_hash"])),
    ]
