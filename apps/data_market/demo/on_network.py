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

from apps.data_market.chain.contracts import Market, Policy, State
from apps.data_market.chain.uploads import Params
from apps.data_market.client import Contributor, ModelOwner, Worker
from apps.data_market.demo.digits import JobFiles
from apps.data_market.errors import BadJob
from apps.data_market.job import Progress
from apps.data_market.train.recipe import recipe_of
from apps.inference.verify.policy import Policy as Attested

GAS_MONEY_WEI = 10**18
DAY_S = 86_400
PURPOSES = bytes(32)
START_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Started:
    """Workers that run."""

    urls: Sequence[str]
    attested: Attested
    """Which code rows are sealed to."""


StartWorkers = Callable[[str], Started]
"""Starts the workers of a market at an address."""


@dataclass(frozen=True, slots=True)
class NetworkOutcome:
    """What a job on the network came to, as the one who ran the demo may see it."""

    market: str
    job: bytes
    pot_wei: int
    paid_wei: Mapping[str, int]
    """What each contributor read of his own account in the vault and withdrew."""
    card: Mapping[str, object]
    budget_left: float
    """Least of all datasets: sum of 1/sigma^2 that further jobs may spend."""
    seconds: float

    def summary(self) -> dict[str, object]:
        """Everything in one document."""
        return {
            "market": self.market,
            "job": self.job.hex(),
            "pot_wei": self.pot_wei,
            "paid_wei": dict(self.paid_wei),
            "accuracy": self.card["accuracy"],
            "eps": self.card["eps"],
            "delta": self.card["delta"],
            "attack_auc": self.card["attack_auc"],
            "model_hash": self.card["model_hash"],
            "budget_left": self.budget_left,
            "seconds": round(self.seconds, 3),
        }


def run_on_network(
    url: str,
    funder: LocalAccount,
    app: bytes,
    start_workers: StartWorkers,
    files: JobFiles,
    asked: Params,
    pot_wei: int,
    progress: Progress = lambda _: None,
) -> NetworkOutcome:
    """
    Run one job, from the contracts to what contributors withdraw.

    Parameters
    ----------
    url : `str`
        Of the gateway of a confidential ParaTime.
    funder : `LocalAccount`
        Pays for gas and the pot; the model owner.
    app : `bytes`
        Id of the app whose instances the workers run, 21 bytes.
    start_workers : callable
        See `StartWorkers`.
    files : `JobFiles`
        What contributors and the model owner bring.
    asked : `Params`
        How the model is made.
    pot_wei : `int`
        What is paid to contributors.
    progress : callable
        Told what begins.

    Raises
    ------
    BadJob
        The job ends without pay, or the vault does not owe what the pot was.
    GatewayAway, WorkerAway, ContractRefused, BadTable
        See each.
    """
    began = time.monotonic()
    progress(f"deploying the market on {url}")
    market = Market.deploy(url, funder, app)
    progress("starting its instances on the workers (mock TEE)")
    with ExitStack() as stack:
        started = start_workers(market.address)
        reached = [
            stack.enter_context(Worker(one, market, started.attested)) for one in started.urls
        ]
        policy = Policy(
            precision_cap=4 * asked.precision,
            min_pot_wei=1,
            expiry=market.now() + DAY_S,
            purposes=PURPOSES,
            recipes=(recipe_of(asked.recipe).hash,),
        )
        contributors = {}
        for name, csv in files.contributors.items():
            progress(f"{name} commits to rows and hands them to both workers, sealed")
            account = Account.create()
            market.send_wei(account.address, GAS_MONEY_WEI)
            one = Contributor(Market(url, account, market.address), csv, files.label)
            one.register(policy)
            one.upload(reached)
            contributors[name] = one
        progress(f"a model owner opens a job with {pot_wei} wei")
        owner = ModelOwner(market, files.validation, files.label)
        job = owner.open(
            [one.commitment for one in contributors.values()],
            reached,
            recipe=asked.recipe,
            eps=asked.eps,
            delta=asked.delta,
            pot_wei=pot_wei,
        )
        for one in contributors.values():
            one.accept(job)
        state = owner.wait(job, reached, START_TIMEOUT_S, progress)
        if state is not State.SETTLED:
            raise BadJob(f"the job is {state.name.lower()}: nobody is paid, the pot is its owner's")
        _, card = owner.fetch(job, reached[0])
        progress("every contributor reads his own pay and withdraws it")
        paid = {name: one.withdraw() for name, one in contributors.items()}
    if sum(paid.values()) != pot_wei:
        raise BadJob(f"{sum(paid.values())} wei were paid, the pot had {pot_wei}")
    left = min(market.budget_left(one.commitment) for one in contributors.values())
    return NetworkOutcome(
        *(market.address, job, pot_wei, paid, orjson.loads(card)),
        budget_left=left / 10**12,
        seconds=time.monotonic() - began,
    )
