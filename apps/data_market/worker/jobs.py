"""
Jobs of one worker, each step of which may be done again.

Where a job stands is what the chain says; here are the sealed inputs and, once it is computed, the
sealed result. Everything that a job draws follows from the app's key and its id, so a worker that
was killed computes the same again, and a second worker the same as the first. A model goes out
after its pot was paid, not before.

Who answers questions about the chain may lie, so that nothing secret follows from them alone: rows
are used by the terms that a transaction of this instance gives, once it has spent their budgets,
and a model goes out once another has paid for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import orjson

from apps.boxes import seal_to
from apps.data_market.arrays import Contribution
from apps.data_market.chain.contracts import (
    FINAL,
    Dataset,
    Job,
    Result,
    Started,
    State,
    Terms,
    mask_of,
)
from apps.data_market.chain.uploads import (
    DatasetUpload,
    OrderUpload,
    Place,
    Release,
    open_sealed,
    read_params,
)
from apps.data_market.errors import BadJob, BadUpload, ContractRefused, NotReleased
from apps.data_market.intake.commitment import commit
from apps.data_market.intake.table import Schema, read_table
from apps.data_market.job import run_job
from apps.data_market.train.recipe import public_count, recipe_of
from apps.data_market.worker.keys import WorkerKeys
from apps.sealed_files import SealedFiles
from shared.crypto.secret import SecretBytes
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes32, Uint256, decode_record, encode_record
from shared.errors import Rejected

MAX_ORDERS = 1024
"""That a worker keeps."""
MAX_DATASETS = 4096
Progress = Callable[[str, str], None]
"""Told the job and what begins."""


class Chain(Protocol):
    """What a worker does on the chain; `chain.instance.InstanceMarket` is it."""

    chain_id: int
    address: str

    def now(self) -> int: ...  # noqa: D102
    def dataset(self, commitment: bytes) -> Dataset: ...  # noqa: D102
    def job(self, id_: bytes) -> Job: ...  # noqa: D102
    def start(self, id_: bytes, datasets: int) -> Started: ...  # noqa: D102
    def report(self, id_: bytes, result: Result) -> None: ...  # noqa: D102
    def settle(self, id_: bytes, result: Result) -> None: ...  # noqa: D102
    def expire(self, id_: bytes, datasets: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Found:
    """What a job came to here."""

    masked_wei: Annotated[tuple[Uint256, ...], AtMost(64)]
    blind: Bytes32
    values_hash: Bytes32
    model_hash: Bytes32
    release: Release

    @property
    def result(self) -> Result:
        """What is reported of it."""
        return Result(
            self.masked_wei, self.blind, self.model_hash, self.release.card_hash, self.values_hash
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands, as everybody may know."""

    state: State
    waits_for: str | None
    refused: str | None
    """Name of the error for which this worker does not report."""


class JobRunner:
    """Takes uploads, and brings jobs to their end."""

    def __init__(
        self, chain: Chain, keys: WorkerKeys, files: SealedFiles, progress: Progress
    ) -> None:
        self._chain, self._keys, self._files, self._progress = chain, keys, files, progress
        self._place = Place(chain.chain_id, bytes.fromhex(chain.address[2:]))
        self._reported: set[bytes] = set()
        self._final: set[bytes] = set()

    # -- uploads ------------------------------------------------------------------------------

    def take_dataset(self, untrusted: bytes) -> bytes:
        """
        Take a contributor's rows; gives their commitment.

        Raises
        ------
        BadUpload
            Not sealed to this app, for another market, or other rows than were committed to.
        BadTable, TooLarge
            No table.
        ContractRefused
            Nobody committed to them on the chain.
        """
        upload = open_sealed(self._keys.upload, DatasetUpload, untrusted)
        self._verify_place(upload.place)
        name = _dataset_file(upload.commitment)
        if name in self._files:
            return upload.commitment
        registered = self._chain.dataset(upload.commitment)
        table = read_table(upload.csv, upload.label)
        found = commit(table, SecretBytes(upload.secret))
        if (found.root, found.schema_hash) != (upload.commitment, registered.schema_hash):
            raise BadUpload("these are not the rows that were committed to")
        if public_count(found.rows) != registered.rows:
            raise BadUpload(f"{registered.rows} rows were registered, not about so many")
        self._keep("dataset-", name, upload, MAX_DATASETS)
        return upload.commitment

    def take_order(self, untrusted: bytes) -> bytes:
        """
        Take what a model owner asks for; gives the job's id.

        Raises
        ------
        BadUpload, BadJob, BadTable, TooLarge, UnknownRecipe
            Not sealed to this app, or not what the job's terms are about.
        """
        upload = open_sealed(self._keys.upload, OrderUpload, untrusted)
        self._verify_place(upload.place)
        name = _order_file(upload.job)
        if name in self._files:
            return upload.job
        job = self._chain.job(upload.job)
        if job.state in FINAL or job.state is State.NONE:
            raise BadJob(f"the job is {job.state.name.lower()} on the chain")
        _verify_terms(upload, job.terms)
        self._keep("order-", name, upload, MAX_ORDERS)
        return upload.job

    # -- jobs ---------------------------------------------------------------------------------

    def open_jobs(self) -> list[bytes]:
        """Ids of jobs that are not known to have ended."""
        ids = (bytes.fromhex(name.removeprefix("order-")) for name in self._files.names("order-"))
        return [id_ for id_ in ids if id_ not in self._final]

    def advance(self, id_: bytes) -> State:
        """Bring a job one step further, where it is our turn; its state before that step."""
        job = self._chain.job(id_)
        if job.state in FINAL:
            self._final.add(id_)
        elif self._chain.now() >= job.terms.deadline:
            self._chain.expire(id_, len(job.terms.datasets))
        elif job.state is State.COMMITTED and not self._missing(job.terms):
            self._tell(id_, "starting: every budget is spent from here on")
            self._chain.start(id_, len(job.terms.datasets))
        elif job.state is State.RUNNING and self._refusal(id_) is None:
            self._finish(id_, len(job.terms.datasets))
        return job.state

    def standing(self, id_: bytes) -> Standing:
        """Say where a job stands. Raises `BadJob` for one that was not ordered here."""
        if _order_file(id_) not in self._files:
            raise BadJob("no order for this job was handed to this worker")
        job = self._chain.job(id_)
        return Standing(job.state, self._waits_for(id_, job), self._refusal(id_))

    def release(self, id_: bytes) -> bytes:
        """Give model and card of a settled job, sealed to its owner. Raises `NotReleased`."""
        raw, found = self._files.get(_order_file(id_)), self._found(id_)
        if raw is None or found is None or self._chain.job(id_).state is not State.SETTLED:
            raise NotReleased("the job is not settled, or not by this worker")
        if _paid_file(id_) not in self._files:
            # The other worker settled it, or somebody says so: done again, it changes nothing.
            self._settle(id_, found)
        return seal_to(decode_record(OrderUpload, raw).reply_key, found.release)

    def _finish(self, id_: bytes, datasets: int) -> None:
        found = self._found(id_)
        if found is None:
            started = self._chain.start(id_, datasets)
            try:
                found = self._compute(id_, started)
            except Rejected as error:
                # What the reason says may be about rows: its name is all that leaves.
                self._files.put(_refusal_file(id_), type(error).__name__.encode())
                self._tell(id_, f"not reported: {type(error).__name__}")
                return
            self._files.put(_found_file(id_), encode_record(found))
        if id_ not in self._reported:
            self._chain.report(id_, found.result)
            self._reported.add(id_)
            self._tell(id_, "reported")
        try:
            self._settle(id_, found)
        except ContractRefused as refused:
            # The other worker has not reported yet; what differed is a dispute, and seen as one.
            if refused.name not in ("BadResult", "WrongState"):
                raise

    def _settle(self, id_: bytes, found: Found) -> None:
        self._chain.settle(id_, found.result)
        self._files.put(_paid_file(id_), b"")
        self._tell(id_, "settled")

    def _compute(self, id_: bytes, started: Started) -> Found:
        raw, terms = self._files.get(_order_file(id_)), started.terms
        if raw is None:
            raise BadJob("the job's order is not here")
        order = decode_record(OrderUpload, raw)
        self._verify_place(order.place)
        _verify_terms(order, terms)
        params = read_params(order.params)
        owners = read_table(order.csv, params.label)
        schema = Schema.of(owners)
        # Of two equal rows the earlier commitment's counts, and of one block's the lesser's.
        datasets = sorted(zip(started.committed_at, terms.datasets, strict=True))
        outcome = run_job(
            params.order(id_, started.pot_wei),
            [self._contribution(one, schema) for _, one in datasets],
            schema.rows_of(owners),
            schema,
            self._keys.noise_of(id_),
            progress=lambda what: self._tell(id_, what),
        )
        card = orjson.dumps(outcome.training.card(), option=orjson.OPT_SORT_KEYS)
        blind = self._keys.blind_of(id_)
        return Found(
            tuple(
                outcome.paid_wei[one.hex()] ^ mask_of(blind, at)
                for at, one in enumerate(terms.datasets)
            ),
            blind,
            outcome.valuation.value_hash,
            outcome.training.model.hash,
            Release(id_, outcome.training.model.encode(), card),
        )

    def _contribution(self, commitment: bytes, schema: Schema) -> Contribution:
        raw = self._files.get(_dataset_file(commitment))
        if raw is None:
            raise BadJob("a dataset's rows are not here")
        upload = decode_record(DatasetUpload, raw)
        # Kept for another market, whose budgets these are not.
        self._verify_place(upload.place)
        table = read_table(upload.csv, upload.label)
        return Contribution(commitment.hex(), schema.rows_of(table))

    def _waits_for(self, id_: bytes, job: Job) -> str | None:
        if job.state is State.OPEN:
            return "owners of datasets to accept"
        if job.state is State.COMMITTED:
            missing = self._missing(job.terms)
            return f"rows of {missing} datasets" if missing else "the start"
        if job.state is State.RUNNING:
            return "the other worker" if _found_file(id_) in self._files else "the computation"
        return None

    def _keep(self, prefix: str, name: str, upload: object, most: int) -> None:
        """Keep an upload, or raise `BadUpload` where so many of its kind are kept already."""
        if sum(1 for _ in self._files.names(prefix)) >= most:
            raise BadUpload(f"this worker keeps {most} {prefix.removesuffix('-')}s already")
        self._files.put(name, encode_record(upload))

    def _missing(self, terms: Terms) -> int:
        return sum(1 for one in terms.datasets if _dataset_file(one) not in self._files)

    def _found(self, id_: bytes) -> Found | None:
        raw = self._files.get(_found_file(id_))
        return None if raw is None else decode_record(Found, raw)

    def _refusal(self, id_: bytes) -> str | None:
        raw = self._files.get(_refusal_file(id_))
        return None if raw is None else raw.decode()

    def _verify_place(self, place: Place) -> None:
        if place != self._place:
            raise BadUpload("the upload is for another market")

    def _tell(self, id_: bytes, what: str) -> None:
        self._progress(id_.hex(), what)


def _verify_terms(upload: OrderUpload, terms: Terms) -> None:
    """Verify that an order is what the job's terms are about. Raises `BadJob` and others."""
    params = read_params(upload.params)
    if params.hash != terms.params_hash or recipe_of(params.recipe).hash != terms.recipe:
        raise BadJob("recipe and parameters are not those of the job's terms")
    if params.precision != terms.precision:
        raise BadJob("the job's terms charge another budget than its parameters cost")
    committed = commit(read_table(upload.csv, params.label), SecretBytes(upload.secret))
    if (committed.root, committed.schema_hash) != (terms.validation, terms.schema_hash):
        raise BadJob("the validation rows are not those of the job's terms")


def _dataset_file(commitment: bytes) -> str:
    return f"dataset-{commitment.hex()}"


def _order_file(id_: bytes) -> str:
    return f"order-{id_.hex()}"


def _found_file(id_: bytes) -> str:
    return f"found-{id_.hex()}"


def _paid_file(id_: bytes) -> str:
    return f"paid-{id_.hex()}"


def _refusal_file(id_: bytes) -> str:
    return f"refused-{id_.hex()}"
