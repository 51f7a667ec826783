"""Steps of a worker's jobs: each may be done again, and nothing leaves before its pot is paid."""

import dataclasses

import pytest
from nacl.public import PrivateKey

from apps.boxes import seal_to
from apps.data_market.chain.contracts import Dataset, Job, Started, State, Terms, mask_of
from apps.data_market.chain.uploads import (
    DatasetUpload,
    OrderUpload,
    Params,
    Place,
    Release,
    open_sealed,
)
from apps.data_market.errors import BadJob, BadUpload, ContractRefused, NotReleased
from apps.data_market.intake.commitment import commit
from apps.data_market.intake.table import read_table
from apps.data_market.train.recipe import DP_LOGREG, public_count
from apps.data_market.worker.jobs import JobRunner
from apps.data_market.worker.keys import WorkerKeys
from apps.sealed_files import SealedFiles
from shared.crypto.hashes import kmac256
from shared.crypto.secret import SecretBytes
from shared.encoding.record import encode_record

CHAIN_ID, MARKET = 0x5AFD, "0x" + "3a" * 20
PLACE = Place(CHAIN_ID, bytes.fromhex(MARKET[2:]))
PARAMS = Params("dp-logreg/1", 2.0, 1e-3, "kind")
REPLY = PrivateKey(b"\7" * 32)
JOB = b"j" * 32
POT_WEI = 1001


def rows(seed, count, kinds=(0, 1)):
    """Two kinds that one feature tells apart."""
    lines = ["a,b,kind"]
    for at in range(count):
        kind = kinds[at % 2]
        lines.append(f"{kind * 4 + ((at * 7 + seed) % 10) / 10},{(at + seed) % 3},{'xy'[at % 2]}")
    return "\n".join(lines).encode()


VALIDATION = rows(5, 30)


class Chain:
    """What two workers share: one job, and the rules by which reports are settled."""

    def __init__(self):
        self.chain_id, self.address, self.time = CHAIN_ID, MARKET, 1000
        self.datasets, self.jobs, self.reports, self.paid = {}, {}, [], None
        self.real, self.started = {}, []

    def now(self):
        return self.time

    def dataset(self, commitment):
        if commitment not in self.datasets:
            raise ContractRefused("UnknownDataset")
        return self.datasets[commitment]

    def job(self, id_):
        return self.jobs.get(id_, Job(State.NONE, "0x", 0, Terms(*[b""] * 4, 0, 0, ())))

    def move(self, id_, state):
        self.jobs[id_] = dataclasses.replace(self.jobs[id_], state=state)

    def start(self, id_, datasets):
        job = self.real.get(id_) or self.jobs[id_]
        assert len(job.terms.datasets) == datasets
        if job.state not in (State.COMMITTED, State.RUNNING):
            raise ContractRefused("WrongState")
        self.started.append(id_)
        self.move(id_, State.RUNNING)
        blocks = (self.datasets[one].block_number for one in job.terms.datasets)
        return Started(job.terms, job.pot_wei, tuple(blocks))

    def report(self, id_, result):
        self.reports.append(result)
        if any(one != result for one in self.reports):
            self.move(id_, State.DISPUTED)

    def settle(self, id_, result):
        if id_ in self.real and self.real[id_].state is not State.SETTLED:
            raise ContractRefused("WrongState")
        if self.reports.count(result) < 2:
            raise ContractRefused("BadResult")
        self.paid = [
            masked ^ mask_of(result.blind, at) for at, masked in enumerate(result.masked_wei)
        ]
        self.move(id_, State.SETTLED)

    def expire(self, id_, datasets):
        self.move(id_, State.EXPIRED)


def keys(app=b"app"):
    return WorkerKeys.derive(lambda name, kind: kmac256(app * 16, name.encode(), kind.encode()))


UPLOAD_KEY = bytes(keys().upload.public_key)


@pytest.fixture
def chain():
    return Chain()


@pytest.fixture
def make(chain, tmp_path):
    def make(worker=0, app=b"app", folder=None):
        held = keys(app)
        files = SealedFiles(tmp_path / str(worker if folder is None else folder), held.storage)
        return JobRunner(chain, held, files, lambda *_: None)

    return make


def dataset_of(chain, csv, block=1):
    found = commit(read_table(csv, "kind"), SecretBytes(b"s" * 32))
    chain.datasets[found.root] = Dataset("0x", found.schema_hash, public_count(found.rows), block)
    return DatasetUpload(PLACE, found.root, b"s" * 32, "kind", csv)


def order_of(chain, datasets, *, params=PARAMS, **changed):
    committed = commit(read_table(VALIDATION, "kind"), SecretBytes(b"o" * 32))
    terms = Terms(
        recipe=DP_LOGREG.hash,
        params_hash=params.hash,
        validation=committed.root,
        schema_hash=committed.schema_hash,
        precision=params.precision,
        deadline=5000,
        datasets=tuple(sorted(one.commitment for one in datasets)),
    )
    terms = dataclasses.replace(terms, **changed)
    chain.jobs[JOB] = Job(State.COMMITTED, "0x", POT_WEI, terms)
    return OrderUpload(PLACE, JOB, params.encode(), b"o" * 32, VALIDATION, bytes(REPLY.public_key))


def hand(runner, document):
    take = runner.take_order if isinstance(document, OrderUpload) else runner.take_dataset
    return take(seal_to(UPLOAD_KEY, document))


@pytest.fixture
def inputs(chain):
    datasets = [dataset_of(chain, rows(seed, 40), block=seed) for seed in (1, 2)]
    return [*datasets, order_of(chain, datasets)]


def test_two_workers_pay_the_pot_and_release_the_model(chain, make, inputs):
    first, second = make(0), make(1)
    for runner in (first, second):
        for document in inputs:
            hand(runner, document)
    assert first.advance(JOB) is State.COMMITTED
    first.advance(JOB)
    assert first.standing(JOB).waits_for == "the other worker"
    with pytest.raises(NotReleased):
        first.release(JOB)
    second.advance(JOB)
    assert chain.jobs[JOB].state is State.SETTLED
    assert sum(chain.paid) == POT_WEI
    released = [open_sealed(REPLY, Release, one.release(JOB)) for one in (first, second)]
    assert released[0] == released[1]
    first.advance(JOB)
    assert first.open_jobs() == []


def test_a_worker_that_was_killed_reports_the_same(chain, make, inputs):
    runner = make(0)
    for document in inputs:
        hand(runner, document)
    runner.advance(JOB)
    runner.advance(JOB)
    again = make(0)
    assert again.open_jobs() == [JOB]
    again.advance(JOB)
    assert len(chain.reports) == 2
    assert len(set(chain.reports)) == 1


def test_workers_of_two_apps_differ_and_nobody_is_paid(chain, make, inputs):
    first = make(0)
    for document in inputs:
        hand(first, document)
    other = make(1, app=b"another")
    for document in inputs:
        key = bytes(keys(app=b"another").upload.public_key)
        take = other.take_order if isinstance(document, OrderUpload) else other.take_dataset
        take(seal_to(key, document))
    for runner in (first, first, other):
        runner.advance(JOB)
    assert chain.jobs[JOB].state is State.DISPUTED
    assert chain.paid is None


def test_a_job_waits_for_its_rows(chain, make, inputs):
    runner = make()
    hand(runner, inputs[0])
    hand(runner, inputs[2])
    runner.advance(JOB)
    assert chain.jobs[JOB].state is State.COMMITTED
    assert runner.standing(JOB).waits_for == "rows of 1 datasets"
    hand(runner, inputs[1])
    runner.advance(JOB)
    assert chain.jobs[JOB].state is State.RUNNING


def test_a_job_past_its_deadline_expires(chain, make, inputs):
    runner = make()
    hand(runner, inputs[2])
    chain.time = 5000
    runner.advance(JOB)
    assert chain.jobs[JOB].state is State.EXPIRED


def test_worthless_rows_are_not_reported_and_only_the_errors_name_is_told(chain, make):
    worthless = dataset_of(chain, rows(1, 40, kinds=(1, 0)))
    runner = make()
    hand(runner, worthless)
    hand(runner, order_of(chain, [worthless]))
    runner.advance(JOB)
    runner.advance(JOB)
    assert chain.reports == []
    assert runner.standing(JOB).refused == "NothingOfValue"
    make().advance(JOB)
    assert chain.reports == []


def test_a_gateway_that_lies_about_a_job_gets_nothing_of_the_rows(chain, make, inputs):
    """What it says is running was never opened, so no budget is spent and nothing computed."""
    runner = make()
    for document in inputs:
        hand(runner, document)
    lie = dataclasses.replace(chain.jobs[JOB], state=State.RUNNING)
    chain.real[JOB] = dataclasses.replace(lie, state=State.OPEN)
    chain.jobs[JOB] = lie
    with pytest.raises(ContractRefused, match="WrongState"):
        runner.advance(JOB)
    assert (chain.started, chain.reports) == ([], [])
    assert runner.standing(JOB).waits_for == "the computation"


def test_a_gateway_that_lies_about_terms_is_not_believed(chain, make, inputs):
    """At another epsilon than is paid for by budgets, the order is none of this job."""
    dear = Params("dp-logreg/1", 8.0, 1e-3, "kind")
    order = order_of(chain, inputs[:2], params=dear)
    lie = chain.jobs[JOB]
    order_of(chain, inputs[:2])
    chain.real[JOB] = dataclasses.replace(chain.jobs[JOB], state=State.RUNNING)
    chain.jobs[JOB] = dataclasses.replace(lie, state=State.RUNNING)
    runner = make()
    for document in (*inputs[:2], order):
        hand(runner, document)
    runner.advance(JOB)
    assert runner.standing(JOB).refused == "BadJob"
    assert chain.reports == []


def test_a_gateway_that_lies_about_pay_gets_no_model(chain, make, inputs):
    runner = make()
    for document in inputs:
        hand(runner, document)
    runner.advance(JOB)
    runner.advance(JOB)
    chain.real[JOB] = chain.jobs[JOB]
    chain.move(JOB, State.SETTLED)
    with pytest.raises(ContractRefused, match="WrongState"):
        runner.release(JOB)


def test_rows_kept_for_another_market_are_not_used(chain, make, inputs):
    """Who leads the app could name another market to it, where budgets are fresh."""
    runner = make()
    for document in inputs:
        hand(runner, document)
    chain.address = "0x" + "4b" * 20
    moved = make()
    place = Place(CHAIN_ID, bytes.fromhex(chain.address[2:]))
    moved._files.put(
        f"order-{JOB.hex()}", encode_record(dataclasses.replace(inputs[2], place=place))
    )
    moved.advance(JOB)
    moved.advance(JOB)
    assert moved.standing(JOB).refused == "BadUpload"
    assert chain.reports == []


def test_rows_that_were_not_committed_to_are_refused(chain, make, inputs):
    runner = make()
    changed = dataclasses.replace(inputs[0], csv=rows(3, 40))
    with pytest.raises(BadUpload, match="committed"):
        hand(runner, changed)
    with pytest.raises(ContractRefused, match="UnknownDataset"):
        hand(runner, dataclasses.replace(inputs[0], commitment=bytes(32)))
    with pytest.raises(BadUpload, match="another market"):
        hand(runner, dataclasses.replace(inputs[0], place=Place(1, PLACE.market)))
    chain.datasets[inputs[0].commitment] = dataclasses.replace(
        chain.datasets[inputs[0].commitment], rows=72
    )
    with pytest.raises(BadUpload, match="72 rows"):
        hand(runner, inputs[0])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"params_hash": bytes(32)}, "parameters"),
        ({"recipe": bytes(32)}, "recipe"),
        ({"precision": 1}, "budget"),
        ({"validation": bytes(32)}, "validation"),
        ({"schema_hash": bytes(32)}, "validation"),
    ],
)
def test_an_order_that_is_not_about_the_terms_is_refused(chain, make, inputs, changed, says):
    order = order_of(chain, inputs[:2], **changed)
    with pytest.raises(BadJob, match=says):
        hand(make(), order)


def test_an_order_for_no_job_is_refused(chain, make, inputs):
    del chain.jobs[JOB]
    with pytest.raises(BadJob, match="none on the chain"):
        hand(make(), inputs[2])
    with pytest.raises(BadJob, match="no order"):
        make().standing(JOB)
