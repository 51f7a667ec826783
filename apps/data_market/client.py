"""
The market from outside: contributors, model owners, and the workers they seal things to.

A contributor commits to rows on the chain, hands them sealed to both workers, and accepts jobs; a
model owner opens a job with its pot and gets model and card. Neither sees the other's rows.
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from nacl.public import PrivateKey

from apps.boxes import seal_to
from apps.data_market.chain.attestation import NONCE_BYTES, verify_worker
from apps.data_market.chain.contracts import FINAL, Market, Policy, State, Terms
from apps.data_market.chain.uploads import (
    DatasetUpload,
    OrderUpload,
    Params,
    Place,
    Release,
    open_sealed,
)
from apps.data_market.errors import BadJob, GatewayAway, NotReleased, WorkerAway
from apps.data_market.intake.commitment import Commitment, commit
from apps.data_market.intake.table import read_table
from apps.data_market.job import Progress
from apps.data_market.train.model import LinearModel
from apps.data_market.train.recipe import public_count, recipe_of
from apps.inference.verify.policy import Policy as Attested
from apps.service_http import ServiceHttp
from shared.crypto.address import MalformedAddress
from shared.crypto.secret import SecretBytes
from shared.rules.app_ids import decode_app_id

POLL_S = 0.25


class Worker:
    """One worker, over HTTP."""

    def __init__(self, url: str, market: Market, policy: Attested | None = None) -> None:
        """
        Reach a worker and verify it by a fresh challenge.

        Parameters
        ----------
        url : `str`
        market : `Market`
        policy : `Policy`, optional
            What code and which root count; by default no mock is accepted.

        Raises
        ------
        Rejected
            What the verifier refuses, by its name for it.
        WorkerAway
            It does not answer, or it works for another market, or in another app than the market's.
        """
        self.url, self._http = url, ServiceHttp(url, WorkerAway)
        try:
            self.upload_key = self._verified_key(market, policy or Attested())
        except BaseException:
            self._http.close()
            raise

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def hand(self, path: str, document: object) -> None:
        """Seal a document and hand it over. Raises `WorkerAway` with what it says against it."""
        self._http.ask("POST", path, seal_to(self.upload_key, document))

    def standing(self, job: bytes) -> dict[str, str | None]:
        """Ask where a job stands: `state`, `waits_for`, `refused`."""
        found: dict[str, str | None] = json.loads(self._http.ask("GET", f"/v1/jobs/{job.hex()}"))
        return found

    def release(self, job: bytes, key: PrivateKey) -> Release:
        """Fetch what a settled job gives its owner."""
        sealed = self._http.ask("GET", f"/v1/jobs/{job.hex()}/release")
        return open_sealed(key, Release, sealed)

    def _verified_key(self, market: Market, policy: Attested) -> bytes:
        try:
            about = json.loads(self._http.ask("GET", "/v1/market"))
            place, app = (about["chain_id"], about["market"]), decode_app_id(about["app"])
            key = bytes.fromhex(about["upload_key"])
        except (KeyError, TypeError, ValueError, MalformedAddress) as error:
            raise WorkerAway(f"{self.url} does not answer as workers do") from error
        if place != (market.chain_id, market.address):
            raise WorkerAway(f"{self.url} works for another market")
        if app != market.app():
            raise WorkerAway(f"{self.url} is in another app than this market's")
        nonce = secrets.token_bytes(NONCE_BYTES)
        evidence = self._http.ask("GET", f"/v1/market/evidence?nonce={nonce.hex()}")
        verify_worker(nonce, about, evidence, policy, int(time.time()))
        return key


@dataclass(slots=True, eq=False)
class Contributor:
    """Somebody with rows."""

    market: Market
    csv: bytes = field(repr=False)
    label: str
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Salts of the rows follow from it; without it the rows cannot be shown to anybody."""
    commitment: bytes = b""

    def commit(self) -> bytes:
        """Give the commitment to the rows, 32 bytes; it is on no chain yet. Raises `BadTable`."""
        self.commitment = self._committed().root
        return self.commitment

    def register(self, policy: Policy) -> None:
        """Commit to the rows on the chain."""
        found = self._committed()
        self.market.register(found.root, found.schema_hash, public_count(found.rows), policy)
        self.commitment = found.root

    def upload(self, workers: Sequence[Worker]) -> None:
        """Hand the rows to every worker, sealed."""
        document = DatasetUpload(
            _place(self.market), self.commitment, self.secret, self.label, self.csv
        )
        for worker in workers:
            worker.hand("/v1/datasets", document)

    def accept(self, job: bytes) -> None:
        """Take part in a job, which reserves its budget. Raises `BadJob` where it is not in it."""
        datasets = self.market.job(job).terms.datasets
        if self.commitment not in datasets:
            raise BadJob("the job is not about this dataset")
        self.market.accept(job, datasets.index(self.commitment))

    def pay_wei(self) -> int:
        """What the market owes; nobody else can ask."""
        return self.market.my_pay_wei()

    def withdraw(self) -> int:
        """Take all that is owed [wei]."""
        owed = self.pay_wei()
        if owed:
            self.market.withdraw(owed)
        return owed

    def _committed(self) -> Commitment:
        return commit(read_table(self.csv, self.label), SecretBytes(self.secret))


@dataclass(slots=True, eq=False)
class ModelOwner:
    """Somebody who wants a model, and has validation rows and a pot."""

    market: Market
    csv: bytes = field(repr=False)
    label: str
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    key: PrivateKey = field(default_factory=PrivateKey.generate, repr=False)
    """The model comes sealed to it."""

    def open(
        self,
        datasets: Sequence[bytes],
        workers: Sequence[Worker],
        *,
        recipe: str,
        eps: float,
        pot_wei: int,
        delta: float | None = None,
        within_s: int = 3600,
    ) -> bytes:
        """
        Open a job and hand its order to the workers; gives its id.

        Parameters
        ----------
        datasets : `Sequence[bytes]`
            Commitments.
        workers : `Sequence[Worker]`
            Both of the market.
        recipe, eps, pot_wei : `str`, `float`, `int`
            How the model is made, at what budget, and what is paid [wei].
        delta : `float`, optional
            1/(2n) by default, with n the sum of the registered numbers of rows.
        within_s : `int`
            The pot comes back where the job is not settled by then [s].

        Raises
        ------
        BadTable, BadJob, UnknownRecipe, ContractRefused, WorkerAway
            See each.
        """
        if delta is None:
            delta = 1 / (2 * sum(self.market.dataset(one).rows for one in datasets))
        params = Params(recipe, float(eps), float(delta), self.label)
        committed = commit(read_table(self.csv, self.label), SecretBytes(self.secret))
        terms = Terms(
            recipe=recipe_of(recipe).hash,
            params_hash=params.hash,
            validation=committed.root,
            schema_hash=committed.schema_hash,
            precision=params.precision,
            deadline=self.market.now() + within_s,
            datasets=tuple(sorted(datasets)),
        )
        job = self.market.open(secrets.token_bytes(32), terms, pot_wei)
        order = OrderUpload(
            *(_place(self.market), job, params.encode(), self.secret, self.csv),
            bytes(self.key.public_key),
        )
        for worker in workers:
            worker.hand("/v1/orders", order)
        return job

    def wait(
        self, job: bytes, workers: Sequence[Worker], timeout_s: float, progress: Progress
    ) -> State:
        """
        Wait for a job to end; what does not answer meanwhile is asked again.

        Parameters
        ----------
        timeout_s : `float`
            How long a job may stand where it stands [s]. Its deadline on the chain ends it anyway.

        Raises
        ------
        BadJob
            A worker will not report, or the time is up; says what was waited for.
        """
        deadline, told, stood = time.monotonic() + timeout_s, "", ""
        while time.monotonic() < deadline:
            try:
                state = self.market.job(job).state
                if state in FINAL:
                    return state
                standing = workers[0].standing(job)
                if standing["refused"]:
                    raise BadJob(f"the worker does not report: {standing['refused']}")
                now = str(standing["state"])
                if standing["waits_for"]:
                    now += f": waiting for {standing['waits_for']}"
                if now != stood:
                    deadline, stood = time.monotonic() + timeout_s, now
            except (GatewayAway, WorkerAway) as error:
                now = error.message
            if now != told:
                progress(now)
                told = now
            time.sleep(POLL_S)
        raise BadJob(f"nothing has changed for {timeout_s:g} s: {told}")

    def fetch(self, job: bytes, worker: Worker) -> tuple[LinearModel, bytes]:
        """Fetch the model and its card (JSON). Raises `NotReleased`, `BadModel`, `WorkerAway`."""
        release = worker.release(job, self.key)
        if release.job != job:
            raise NotReleased("the worker gives another job's model")
        return LinearModel.decode(release.model), release.card


def _place(market: Market) -> Place:
    return Place(market.chain_id, bytes.fromhex(market.address[2:]))
