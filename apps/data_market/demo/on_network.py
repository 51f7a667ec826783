"""
The market on a running network: contracts, two workers, contributors with accounts of their own.

Everybody pays gas and signs for himself; the one who runs the demo gives each account what it needs
and is the model owner.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import orjson
from eth_account import Account
from eth_account.signers.local import LocalAccount

from apps.data_market.arrays import Contribution, LabelledRows
from apps.data_market.chain.contracts import Market, Policy, State
from apps.data_market.chain.uploads import PRECISION_UNITS, Params
from apps.data_market.client import Contributor, ModelOwner, Worker
from apps.data_market.demo.digits import JobFiles
from apps.data_market.demo.page import BudgetLine, Card, Page, hashes, parties
from apps.data_market.errors import BadJob, ContractRefused
from apps.data_market.intake.table import Schema, read_table
from apps.data_market.job import Progress
from apps.data_market.privacy.gaussian import spent_eps
from apps.data_market.train.recipe import recipe_of
from apps.data_market.value.valuation import Valuation, value_contributions
from apps.inference.verify.policy import Policy as Attested

GAS_MONEY_WEI = 10**18
DAY_S = 86_400
PURPOSES = bytes(32)
START_TIMEOUT_S = 600.0
NOTE = (
    "Ran on a network: each contributor sealed his rows to two attested workers, contracts paid, "
    "everybody withdrew. The TEE is a MOCK: who owns the machine can read all of it."
)


@dataclass(frozen=True, slots=True)
class Started:
    """Workers that run."""

    urls: Sequence[str]
    attested: Attested
    """Which code rows are sealed to."""


StartWorkers = Callable[[str], Started]
"""Starts the workers of a market at an address."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The jobs of a story; all draw from the same budgets."""

    paid: Params
    pot_wei: int
    """Of the job that the story is about; the others have a thousandth."""
    cap_eps: float
    """What each contributor allows for all jobs together."""
    others: Sequence[Params] = ()
    """They draw the curve of accuracy against epsilon."""
    refused: Params | None = None
    """It asks for more than is left."""


@dataclass(frozen=True, slots=True)
class NetworkOutcome:
    """What a story on the network came to, as the one who ran it may see it."""

    market: str
    job: bytes
    pot_wei: int
    paid_wei: Mapping[str, int]
    """What each contributor read of his own account in the vault and withdrew."""
    valuation: Valuation
    """As the one who has all files finds it; the workers paid by the same."""
    recipe_hash: bytes
    card: Card
    cards: Sequence[Card]
    """By rising epsilon, the paid one among them."""
    budgets: Sequence[BudgetLine]
    refused: tuple[float, str] | None
    validation_rows: int
    seconds: float

    def summary(self) -> dict[str, object]:
        """Everything in one document, as of a job that ran locally, and where it ran."""
        names = self.valuation.names
        return {
            "pot_wei": self.pot_wei,
            "paid_wei": dict(self.paid_wei),
            "accuracy": self.card["accuracy"],
            "eps": self.card["eps"],
            "delta": self.card["delta"],
            "attack_auc": self.card["attack_auc"],
            "rows_used": dict(zip(names, self.valuation.rows_used, strict=True)),
            "rows_dropped": dict(zip(names, self.valuation.rows_dropped, strict=True)),
            "value_hash": self.valuation.value_hash.hex(),
            "seconds": round(self.seconds, 3),
            "market": self.market,
            "job": self.job.hex(),
            "model_hash": self.card["model_hash"],
            "eps_left": min(one.left_eps for one in self.budgets),
        }

    def page(self) -> Page:
        """Give what its report shows."""
        told = [("market", self.market), ("job", self.job.hex())]
        return Page(
            note=NOTE,
            pot_wei=self.pot_wei,
            paid_wei=self.paid_wei,
            valuation=self.valuation,
            card=self.card,
            validation_rows=self.validation_rows,
            parties=parties(
                chain="the model",
                enclave="two of them here, mock TEE; rows stay on its disk under a key of the app",
            ),
            hashes=[*hashes(self.valuation, self.recipe_hash, self.card), *told],
            cards=self.cards,
            budgets=self.budgets,
            refused=self.refused,
        )


def run_on_network(
    url: str,
    funder: LocalAccount,
    app: bytes,
    start_workers: StartWorkers,
    files: JobFiles,
    asked: Asked,
    progress: Progress = lambda _: None,
) -> NetworkOutcome:
    """
    Run a story, from the contracts to what contributors withdraw.

    Parameters
    ----------
    url : `str`
        Of the gateway of a confidential ParaTime.
    funder : `LocalAccount`
        Pays for gas and the pots; the model owner.
    app : `bytes`
        Id of the app whose instances the workers run, 21 bytes.
    start_workers : callable
        See `StartWorkers`.
    files : `JobFiles`
        What contributors and the model owner bring.
    asked : `Asked`
        Which jobs.
    progress : callable
        Told what begins.

    Raises
    ------
    BadJob
        A job ends without pay, or pays otherwise than by the value of the rows.
    GatewayAway, WorkerAway, ContractRefused, BadTable, NothingOfValue
        See each.
    """
    began = time.monotonic()
    progress("valuing rows here as well, to compare with what the workers pay by")
    valuation, validation = _value(files)
    expected = valuation.pays(asked.pot_wei)
    progress(f"deploying the market on {url}")
    market = Market.deploy(url, funder, app)
    _verify_balance(market.balance_wei(), asked, len(files.contributors))
    progress("starting its instances on the workers (mock TEE)")
    with ExitStack() as stack:
        started = start_workers(market.address)
        reached = [
            stack.enter_context(Worker(one, market, started.attested)) for one in started.urls
        ]
        day = _Day(market, ModelOwner(market, files.validation, files.label), reached, progress)
        cap = Params(asked.paid.recipe, asked.cap_eps, asked.paid.delta, files.label)
        for name, csv in files.contributors.items():
            day.welcome(url, name, csv, files.label, cap)
        job, card = day.run(asked.paid, asked.pot_wei)
        progress("every contributor reads his own pay and withdraws it")
        paid = day.withdraw()
        if paid != expected:
            raise BadJob(f"the workers paid {paid}, and the rows are worth {expected}")
        small = small_pot_wei(asked.pot_wei, len(files.contributors))
        cards = [card, *(day.run(other, small)[1] for other in asked.others)]
        day.withdraw()
        refused = None if asked.refused is None else day.ask_for_too_much(asked.refused)
        budgets = day.budgets(cap)
    return NetworkOutcome(
        *(market.address, job, asked.pot_wei, paid, valuation),
        recipe_hash=recipe_of(asked.paid.recipe).hash,
        card=card,
        cards=sorted(cards, key=lambda one: float(str(one["eps"]))),
        budgets=budgets,
        refused=refused,
        validation_rows=len(validation),
        seconds=time.monotonic() - began,
    )


def _verify_balance(has_wei: int, asked: Asked, contributors: int) -> None:
    """Raise `BadJob` where the funder cannot pay for it all; before anybody waits for workers."""
    small_wei = small_pot_wei(asked.pot_wei, contributors)
    needed = asked.pot_wei + small_wei * len(asked.others) + GAS_MONEY_WEI * (contributors + 1)
    if has_wei < needed:
        raise BadJob(
            f"a pot of {asked.pot_wei} wei and gas for {contributors} contributors take {needed} "
            f"wei, and the account that pays has {has_wei}"
        )


def small_pot_wei(pot_wei: int, contributors: int) -> int:
    """Pot of a job that only draws the curve [wei]."""
    return max(pot_wei // 1000, contributors)


def _value(files: JobFiles) -> tuple[Valuation, LabelledRows]:
    owners = read_table(files.validation, files.label)
    schema = Schema.of(owners)
    validation = schema.rows_of(owners)
    contributions = [
        Contribution(name, schema.rows_of(read_table(csv, files.label)))
        for name, csv in files.contributors.items()
    ]
    return value_contributions(contributions, validation), validation


class _Day:
    """A market, its workers, and who came to it."""

    def __init__(
        self, market: Market, owner: ModelOwner, workers: Sequence[Worker], progress: Progress
    ) -> None:
        self._market, self._owner, self._workers = market, owner, workers
        self._progress = progress
        self._contributors: dict[str, Contributor] = {}

    def welcome(self, url: str, name: str, csv: bytes, label: str, cap: Params) -> None:
        """Have somebody commit to rows, and hand them over; `cap` is what he allows."""
        self._progress(f"{name} commits to rows and hands them to both workers, sealed")
        account = Account.create()
        self._market.send_wei(account.address, GAS_MONEY_WEI)
        one = Contributor(Market(url, account, self._market.address), csv, label)
        policy = Policy(
            precision_cap=cap.precision,
            min_pot_wei=1,
            expiry=self._market.now() + DAY_S,
            purposes=PURPOSES,
            recipes=(recipe_of(cap.recipe).hash,),
        )
        one.register(policy)
        one.upload(self._workers)
        self._contributors[name] = one

    def run(self, params: Params, pot_wei: int) -> tuple[bytes, Card]:
        """Run a job until it is paid; its id and card."""
        job = self._open(params, pot_wei)
        for one in self._contributors.values():
            one.accept(job)
        state = self._owner.wait(job, self._workers, START_TIMEOUT_S, self._progress)
        if state is not State.SETTLED:
            raise BadJob(f"the job is {state.name.lower()}: nobody is paid, the pot is its owner's")
        card: Card = orjson.loads(self._owner.fetch(job, self._workers[0])[1])
        return job, card

    def withdraw(self) -> dict[str, int]:
        """Have everybody take what he is owed."""
        return {name: one.withdraw() for name, one in self._contributors.items()}

    def ask_for_too_much(self, params: Params) -> tuple[float, str]:
        """Open a job that nobody has the budget for; its epsilon, and why it does not begin."""
        job = self._open(params, len(self._contributors))
        try:
            next(iter(self._contributors.values())).accept(job)
        except ContractRefused as error:
            return params.eps, error.message
        raise BadJob(f"a job at eps {params.eps:g} was accepted, and the budget is spent")

    def budgets(self, cap: Params) -> list[BudgetLine]:
        """Say what is left of each dataset's budget, by the chain."""
        allowed = cap.precision / PRECISION_UNITS
        found = []
        for name, one in self._contributors.items():
            left = self._market.budget_left(one.commitment) / PRECISION_UNITS
            spent = spent_eps(max(0.0, allowed - left), cap.delta)
            found.append(BudgetLine(name, cap.eps, spent, max(0.0, cap.eps - spent)))
        return found

    def _open(self, params: Params, pot_wei: int) -> bytes:
        self._progress(f"a model owner opens a job at eps {params.eps:g} with {pot_wei} wei")
        return self._owner.open(
            [one.commitment for one in self._contributors.values()],
            self._workers,
            recipe=params.recipe,
            eps=params.eps,
            delta=params.delta,
            pot_wei=pot_wei,
        )
