"""`qanat.ai.data`, `jobs` and `pay`: the names by which programs use the data market."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.data_market.chain.contracts import Policy, State
from apps.data_market.chain.uploads import PRECISION_UNITS, OrderUpload, Params, Release
from apps.data_market.errors import BadTable, UnknownRecipe
from apps.data_market.train.model import FORMAT
from apps.data_market.train.recipe import DP_LOGREG
from qanat.ai import data, jobs, pay
from qanat.ai.market import Market, Worker

ROWS = b"width,kind\n1,a\n2,b\n3,a\n"
NOW_S, JOB = 1_000, bytes([9]) * 32
MODEL = json.dumps(
    {
        "classes": ["a", "b"],
        "deviation": [1.0],
        "features": ["width"],
        "format": FORMAT,
        "mean": [0.5],
        "recipe": "dp-logreg/1",
        "weights": [[1, -1], [0, 0]],
    },
    separators=(",", ":"),
).encode()


@dataclass
class FakeMarket:
    """What the chain would keep, in this process."""

    address: str = "0x" + "11" * 20
    chain_id: int = 23_293
    registered: dict[bytes, tuple[int, Policy]] = field(default_factory=dict)
    opened: list[tuple[Any, int]] = field(default_factory=list)
    accepted: list[tuple[bytes, int]] = field(default_factory=list)
    owed_wei: int = 7

    def now(self) -> int:
        return NOW_S

    def register(self, commitment: bytes, schema: bytes, rows: int, policy: Policy) -> None:
        assert len(schema) == 32
        self.registered[commitment] = (rows, policy)

    def dataset(self, commitment: bytes) -> Any:
        return SimpleNamespace(rows=self.registered[commitment][0])

    def budget_left(self, commitment: bytes) -> int:
        return self.registered[commitment][1].precision_cap

    def open(self, salt: bytes, terms: Any, pot_wei: int) -> bytes:
        assert len(salt) == 32
        self.opened.append((terms, pot_wei))
        return JOB

    def job(self, id_: bytes) -> Any:
        assert id_ == JOB
        return SimpleNamespace(state=State.SETTLED, terms=self.opened[-1][0])

    def accept(self, id_: bytes, place: int) -> None:
        self.accepted.append((id_, place))

    def my_pay_wei(self) -> int:
        return self.owed_wei

    def withdraw(self, amount_wei: int) -> None:
        self.owed_wei -= amount_wei


@dataclass
class FakeWorker:
    """Keeps what it is handed."""

    handed: list[tuple[str, Any]] = field(default_factory=list)
    release_of: Release | None = None
    fetched: int = 0

    def hand(self, path: str, document: object) -> None:
        self.handed.append((path, document))

    def release(self, job: bytes, key: object) -> Release:
        assert (job, self.release_of is None) == (JOB, False)
        self.fetched += 1
        return cast("Release", self.release_of)


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


def given(market: FakeMarket) -> Any:
    return data.commit(cast("Market", market), ROWS, "kind")


def test_a_commitment_is_offline_until_its_policy_is_registered(market: FakeMarket) -> None:
    rows = given(market)
    assert len(rows.commitment) == 32
    assert market.registered == {}
    data.policy(rows, eps_cap=2.0, min_pot_wei=5, days=2)
    ((registered, policy),) = market.registered.values()
    assert registered == 3
    assert policy.precision_cap == Params("dp-logreg/1", 2.0, 1e-5, "kind").precision
    assert (policy.min_pot_wei, policy.expiry) == (5, NOW_S + 2 * 86_400)
    assert policy.recipes == (DP_LOGREG.hash,)
    left = data.left(cast("Market", market), rows.commitment)
    assert left == policy.precision_cap / PRECISION_UNITS
    with pytest.raises(BadTable):
        data.commit(cast("Market", market), ROWS, "nothing")
    with pytest.raises(UnknownRecipe):
        data.policy(rows, recipe="forest/1")


def test_rows_are_handed_to_each_worker_and_take_part(market: FakeMarket) -> None:
    rows, workers = given(market), [FakeWorker(), FakeWorker()]
    data.policy(rows)
    data.upload(rows, cast("list[Worker]", workers))
    for worker in workers:
        ((path, upload),) = worker.handed
        assert (path, upload.csv, upload.commitment) == ("/v1/datasets", ROWS, rows.commitment)
    job = open_job(market, workers, rows.commitment)
    data.accept(rows, job.id)
    assert market.accepted == [(JOB, 0)]


def test_a_job_is_opened_waited_for_and_its_model_fetched_once(market: FakeMarket) -> None:
    rows, worker = given(market), FakeWorker()
    data.policy(rows)
    job = open_job(market, [worker], rows.commitment)
    ((path, order),) = worker.handed
    assert (path, type(order), order.csv) == ("/v1/orders", OrderUpload, ROWS)
    ((terms, pot_wei),) = market.opened
    assert (terms.datasets, pot_wei) == ((rows.commitment,), 11)
    assert terms.deadline == NOW_S + 3600
    assert job.wait() is State.SETTLED
    worker.release_of = Release(JOB, MODEL, json.dumps({"accuracy": 0.5}).encode())
    assert job.model().encode() == MODEL
    assert job.card == {"accuracy": 0.5}
    assert worker.fetched == 1


def open_job(market: FakeMarket, workers: Any, commitment: bytes) -> jobs.OpenJob:
    return jobs.open(
        cast("Market", market), workers, [commitment], val=ROWS, label="kind", pot_wei=11
    )


def test_pay_is_seen_and_taken_whole(market: FakeMarket) -> None:
    asked = cast("Market", market)
    assert pay.mine(asked) == 7
    assert pay.withdraw(asked) == 7
    assert pay.mine(asked) == pay.withdraw(asked) == 0
