"""The data market on a network: paid once, to the wei, whatever is killed; nobody sees a row."""

import contextlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from apps.appd import BlockingAppd
from apps.data_market.errors import ContractRefused, WorkerAway
from apps.data_market.worker.keys import WorkerKeys
from apps.inference.errors import MeasurementRefused, MockRefused
from qanat.ai.market import (
    DP_LOGREG,
    Attested,
    Contributor,
    Market,
    ModelOwner,
    Policy,
    State,
    Worker,
)
from qanat.demo_workers import running_appd, running_worker
from tests.support.eavesdropper import Eavesdropper, eavesdrop, missing_eavesdropper
from tests.support.networks import FIRST_KEY, ProcessNetwork, run_cli, wait_for
from tests.support.search import files_with, holds_any, memory_holds, needles_of

PORT_BASE = 25545
POT_WEI = 10**18 + 7
ALLOWED = Attested(allow_mock=True)
NAMES = ("ana", "ben", "cem")
LABEL = "kind"


def rows_of(seed: int, count: int, canary: str = "") -> bytes:
    """Two kinds that are easily told apart; a canary is a number that nobody else has."""
    chance = random.Random(seed)
    lines = ["width,height,depth,kind"]
    for at in range(count):
        kind = at % 2
        numbers = [f"{chance.gauss(3 * kind, 1):.6f}" for _ in range(3)]
        if at == 0 and canary:
            numbers[2] = canary
        lines.append(",".join([*numbers, "ab"[kind]]))
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def own_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    """Give a network that may be broken."""
    network = ProcessNetwork(tmp_path_factory.mktemp("market") / "data", PORT_BASE)
    network.up()
    yield network
    network.down()
    network.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workers"
    made.mkdir()
    return made


class Scene:
    """A market with two workers, three contributors and a model owner."""

    def __init__(self, network: ProcessNetwork, folder: Path, socket: Path) -> None:
        self.network, self.folder, self.socket = network, folder, socket
        derive = BlockingAppd(socket).derive
        first, second = (WorkerKeys.derive(derive, one).account.address for one in (0, 1))
        self.funder: LocalAccount = Account.from_key(FIRST_KEY)
        self.market = Market.deploy(network.url, self.funder, (first, second))
        for address in (first, second):
            self.market.send_wei(address, 10**18)
        self.processes: dict[int, Any] = {}
        self._stack = contextlib.ExitStack()

    def start_worker(self, number: int) -> Worker:
        running = running_worker(
            self.folder, self.socket, self.network.url, self.market.address, number
        )
        worker = self._stack.enter_context(running)
        self.processes[number] = worker.process
        return self._stack.enter_context(Worker(worker.url(), self.market, ALLOWED))

    def contributor(self, csv: bytes) -> Contributor:
        account = Account.create()
        self.market.send_wei(account.address, 10**18)
        market = Market(self.network.url, account, self.market.address)
        return Contributor(market, csv, LABEL)

    def policy(self) -> Policy:
        expiry = self.market.now() + 86_400
        return Policy(10**13, 1, expiry, bytes(32), (DP_LOGREG.hash,))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def ear() -> Iterator[Eavesdropper]:
    """Record all packets of the test."""
    reason = missing_eavesdropper()
    if reason is not None:
        pytest.skip(reason)
    with eavesdrop() as ear:
        yield ear


@pytest.fixture
def scene(own_network: ProcessNetwork, folder: Path) -> Iterator[Scene]:
    own_network.until_ready()
    with running_appd(folder, "e2e") as socket:
        scene = Scene(own_network, folder, socket)
        yield scene
        scene.close()


def test_a_job_pays_once_whatever_is_killed_and_shows_no_row(
    scene: Scene, own_network: ProcessNetwork, ear: Eavesdropper
) -> None:
    canary = "7.31415926535897"
    workers = [scene.start_worker(0), scene.start_worker(1)]
    contributors = [scene.contributor(rows_of(at, 40, canary)) for at in range(len(NAMES))]
    for one in contributors:
        one.register(scene.policy())
        one.upload(workers)
    owner = ModelOwner(scene.market, rows_of(99, 60), LABEL)
    job = owner.open(
        [one.commitment for one in contributors],
        workers,
        recipe="dp-logreg/1",
        eps=1.0,
        pot_wei=POT_WEI,
    )
    before = [scene.market.budget_left(one.commitment) for one in contributors]
    for one in contributors:
        one.accept(job)
    wait_for(lambda: scene.market.job(job).state is State.RUNNING, 60, "a worker starts the job")
    for number in (0, 1):
        scene.processes[number].kill()
    for name in ("consensus-0", "gateway", "compute-0"):
        own_network.kill(name)
    own_network.until_ready()
    workers = [scene.start_worker(0), scene.start_worker(1)]
    state = owner.wait(job, workers, 90, progress=lambda _: None)
    assert state is State.SETTLED
    model, card = owner.fetch(job, workers[1])
    assert json.loads(card)["model_hash"] == model.hash.hex()
    assert json.loads(card)["accuracy"] > 0.8

    paid = [one.withdraw() for one in contributors]
    assert sum(paid) == POT_WEI
    assert all(paid)
    assert [one.pay_wei() for one in contributors] == [0, 0, 0]
    assert owner.market.my_pay_wei() == 0
    precision = scene.market.job(job).terms.precision
    after = [scene.market.budget_left(one.commitment) for one in contributors]
    assert [had - has for had, has in zip(before, after, strict=True)] == [precision] * 3

    needles = needles_of(canary.encode())
    assert not files_with(scene.folder, needles)
    assert not files_with(own_network.data, needles)
    assert not holds_any(own_network.log_text().encode() + model.encode() + card, needles)
    for process in own_network.processes():
        assert not memory_holds(process["pid"], needles), process["name"]
    assert not holds_any(ear.heard(), needles)
    # The same searches find it where it stands in plain.
    (scene.folder / "control").write_bytes(contributors[0].csv)
    assert files_with(scene.folder, needles)
    own_network.post(contributors[0].csv)
    assert memory_holds(os.getpid(), needles)
    wait_for(lambda: holds_any(ear.heard(), needles), 10, "the eavesdropper hears what is sent")


def test_a_worker_takes_only_what_was_committed_to(scene: Scene) -> None:
    worker = scene.start_worker(0)
    with pytest.raises(MockRefused):
        Worker(worker.url, scene.market)
    with pytest.raises(MeasurementRefused):
        Worker(worker.url, scene.market, Attested(True, measurements=frozenset({"00" * 48})))
    contributor = scene.contributor(rows_of(1, 40))
    with pytest.raises(WorkerAway, match="UnknownDataset"):
        contributor.commitment = bytes(32)
        contributor.upload([worker])
    contributor.register(scene.policy())
    contributor.csv = rows_of(2, 40)
    with pytest.raises(WorkerAway, match="not the rows that were committed to"):
        contributor.upload([worker])
    contributor.csv = rows_of(1, 40)
    contributor.upload([worker])
    contributor.upload([worker])
    with pytest.raises(ContractRefused, match="AlreadyCommitted"):
        contributor.register(scene.policy())
    with pytest.raises(WorkerAway, match="not sealed to the key of this app"):
        worker.upload_key = bytes(range(32))
        contributor.upload([worker])


def test_the_demo_pays_twelve_contributors_on_a_network(own_network: ProcessNetwork) -> None:
    own_network.until_ready()
    told = run_cli("demo", "data-market", "--gateway", own_network.url, "--json")
    found = json.loads(told)
    assert len(found["paid_wei"]) == 12
    assert sum(found["paid_wei"].values()) == found["pot_wei"] == 10**18
    honest = [pay for name, pay in found["paid_wei"].items() if name not in ("ben", "cem")]
    assert found["paid_wei"]["ben"] < found["paid_wei"]["cem"] < min(honest)
    assert found["accuracy"] > 0.85
    assert 0.4 < found["attack_auc"] < 0.6
