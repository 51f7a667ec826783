"""The data market on workers: paid once, to the wei, whatever is killed; nobody sees a row."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from typer.testing import CliRunner

from apps.account import ChainAccount
from apps.data_market.chain.contracts import ERRORS, MARKET
from apps.data_market.errors import ContractRefused, WorkerAway
from apps.data_market.train.model import LinearModel
from apps.inference.errors import MeasurementRefused, MockRefused
from qanat.ai.market import (
    DP_LOGREG,
    Contributor,
    Market,
    ModelOwner,
    Policy,
    State,
    Worker,
)
from qanat.cli import app as command_line
from qanat.demo_market import MarketApp
from qanat.layout import DataLayout
from qanat.observe import find_running
from qanat.rofl.deploying import fetch_instances
from tests.support.eavesdropper import Eavesdropper, eavesdrop, missing_eavesdropper
from tests.support.networks import (
    FIRST_KEY,
    ROOT,
    ProcessNetwork,
    port_base,
    run_cli,
    two_workers,
    wait_for,
)
from tests.support.search import files_with, holds_any, memory_holds, needles_of

PORT_BASE = port_base(25545)
DEMO = ("demo", "data-market", "--port-base", str(port_base(14545)))
"""With a network of its own."""
POT_WEI = 10**18 + 7
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
    """Give a network with two workers that may be broken."""
    with two_workers(tmp_path_factory.mktemp("market"), PORT_BASE) as network:
        yield network


class Scene:
    """A market whose app runs on two workers; contributors and a model owner come to it."""

    def __init__(self, network: ProcessNetwork, folder: Path) -> None:
        self.network, self.folder = network, folder
        running = find_running(DataLayout(network.data), network.network_file, network.http_port)
        self.app = MarketApp.create(running, network.url, folder)
        self.funder: LocalAccount = Account.from_key(FIRST_KEY)
        self.market = Market.deploy(network.url, self.funder, self.app.app_id)
        self.attested = self.app.run(self.market.address, print)
        self._stack = contextlib.ExitStack()
        self.workers = [
            self._stack.enter_context(Worker(url, self.market, self.attested))
            for url in self.app.urls()
        ]

    def contributor(self, csv: bytes) -> Contributor:
        account = Account.create()
        self.market.send_wei(account.address, 10**18)
        market = Market(self.network.url, account, self.market.address)
        return Contributor(market, csv, LABEL)

    def policy(self) -> Policy:
        expiry = self.market.now() + 86_400
        return Policy(10**13, 1, expiry, bytes(32), (DP_LOGREG.hash,))

    def program_of(self, worker: str) -> int:
        """Process of the app's program, below its enclave."""
        found = fetch_instances(self.app.workers, self.app.app_id)[worker]
        assert found is not None
        assert found.app is not None
        return found.app.pid or 0

    def enclave_of(self, worker: str) -> int:
        listed = json.loads((self.network.data / "launcher.json").read_text())["processes"]
        found = (one for one in listed if (one["name"], one["part"]) == (worker, "enclave"))
        return int(next(found)["pid"])

    def fetch(self, owner: ModelOwner, job: bytes, worker: Worker) -> tuple[LinearModel, bytes]:
        """Fetch what is released, once the worker answers again."""
        found = []

        def answers() -> bool:
            with contextlib.suppress(WorkerAway):
                found.append(owner.fetch(job, worker))
            return bool(found)

        wait_for(answers, 60, f"{worker.url} releases the model")
        return found[0]

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


@pytest.fixture(scope="module")
def scene(own_network: ProcessNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    own_network.until_ready()
    scene = Scene(own_network, tmp_path_factory.mktemp("app"))
    yield scene
    scene.close()


@pytest.mark.long
def test_a_job_pays_once_whatever_is_killed_and_shows_no_row(
    scene: Scene, own_network: ProcessNetwork, ear: Eavesdropper
) -> None:
    canary = "7.31415926535897"
    workers = scene.workers
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
    killed = [scene.program_of("worker-0"), scene.enclave_of("worker-1")]
    for one in contributors:
        one.accept(job)
    wait_for(lambda: scene.market.job(job).state is State.RUNNING, 60, "a worker starts the job")
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for name in ("consensus-0", "gateway", "compute-0", "worker-0"):
        own_network.kill(name)
    own_network.until_ready()
    state = owner.wait(job, workers, 90, progress=print)
    assert state is State.SETTLED
    model, card = scene.fetch(owner, job, workers[0])
    other, other_card = scene.fetch(owner, job, workers[1])
    assert (other.encode(), other_card) == (model.encode(), card)
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


@pytest.mark.long
def test_a_worker_takes_only_what_was_committed_to(scene: Scene) -> None:
    worker = scene.workers[0]
    with pytest.raises(MockRefused):
        Worker(worker.url, scene.market)
    other = replace(scene.attested, measurements=frozenset({"00" * 48}))
    with pytest.raises(MeasurementRefused):
        Worker(worker.url, scene.market, other)
    anybody = ChainAccount(scene.network.url, scene.funder, ERRORS)
    stranger = anybody.contract(MARKET, scene.market.address).functions
    for step in (stranger.start(bytes(32)), stranger.report(bytes(32), b"\1" * 32)):
        with pytest.raises(ContractRefused, match="RoflOriginNotAuthorizedForApp"):
            anybody.tell(step)
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
    with Worker(worker.url, scene.market, scene.attested) as mistaken:
        mistaken.upload_key = bytes(range(32))
        with pytest.raises(WorkerAway, match="not sealed to the key of this app"):
            contributor.upload([mistaken])


@pytest.mark.long
@pytest.mark.timeout(300)
def test_commands_lead_from_rows_to_pay(scene: Scene, tmp_path: Path) -> None:
    market = ("--market", scene.market.address, "--gateway", scene.network.url, "--json")
    there = [part for one in scene.workers for part in ("--worker", one.url)]
    there += ["--allow-mock", "--measurement", *scene.attested.measurements, "--label", LABEL]

    def ai(*arguments: str) -> dict[str, Any]:
        # In this process: each would load for seconds what all of them need.
        done = CliRunner().invoke(command_line, ["ai", *arguments, *market])
        assert done.exit_code == 0, (done.exception, done.stderr)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    given = []
    for at in (1, 2):
        rows = tmp_path / f"{at}.csv"
        rows.write_bytes(rows_of(70 + at, 40))
        add = ("data", "add", str(rows), *there, "--account", f"test:{at}")
        given.append(ai(*add)["commitment"])
    # Done again, it is the same rows with the same salts, and nothing is registered twice.
    assert ai(*add)["commitment"] == given[-1]
    assert rows.with_name("2.csv.kept").stat().st_mode & 0o777 == 0o600
    before = ai("data", "left", given[0])["precision_left"]
    validation = tmp_path / "validation.csv"
    validation.write_bytes(rows_of(98, 60))
    order = ("--validation", str(validation), "--pot", str(POT_WEI))
    opened = ai("job", "open", *given, *order, *there)
    for at, commitment in enumerate(given, 1):
        ai("data", "accept", opened["job"], commitment, "--account", f"test:{at}")
    model = tmp_path / "model.json"
    there.remove("--label"), there.remove(LABEL)
    done = ai("job", "wait", opened["job"], opened["kept"], "--output", str(model), *there)
    assert done["state"] == "settled"
    assert LinearModel.decode(model.read_bytes()).hash.hex() == done["card"]["model_hash"]
    paid = [ai("pay", "mine", "--withdraw", "--account", f"test:{at}") for at in (1, 2)]
    assert sum(one["owed_wei"] for one in paid) == POT_WEI
    assert ai("pay", "mine", "--account", "test:1") == {"owed_wei": 0, "withdrawn": False}
    assert ai("data", "left", given[0])["precision_left"] < before


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_demo_pays_who_brings_files_on_a_network(
    own_network: ProcessNetwork, tmp_path: Path
) -> None:
    own_network.until_ready()
    (tmp_path / "rows").mkdir()
    for at, name in enumerate(NAMES):
        (tmp_path / "rows" / f"{name}.csv").write_bytes(rows_of(at, 40))
    (tmp_path / "validation.csv").write_bytes(rows_of(99, 60))
    here = ("--data", str(own_network.data), "--network", str(own_network.network_file))
    files = ("--contributors", str(tmp_path / "rows"), "--label", LABEL, "--pot", str(POT_WEI))
    files += ("--validation", str(tmp_path / "validation.csv"))
    demo = ("demo", "data-market", "--json", "--report", str(tmp_path / "page.html"))
    there = json.loads(run_cli(*demo, *files, "--gateway", own_network.url, *here, timeout_s=200))
    here_too = json.loads(run_cli(*demo[:3], *files))
    # Whoever has all files finds the same values as the workers, and all keys of the local job.
    assert there["paid_wei"] == here_too["paid_wei"]
    assert sum(there["paid_wei"].values()) == POT_WEI
    assert here_too.keys() <= there.keys()
    assert there["value_hash"] == here_too["value_hash"]
    page = (tmp_path / "page.html").read_text()
    assert there["market"] in page
    assert "contracts paid" in page


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_story_runs_on_a_network_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    told = run_cli(*DEMO, "--report", str(page), "--json", timeout_s=590)
    found = json.loads(told)
    assert len(found["paid_wei"]) == 12
    assert sum(found["paid_wei"].values()) == found["pot_wei"] == 10**18
    honest = [pay for name, pay in found["paid_wei"].items() if name not in ("ben", "cem")]
    assert found["paid_wei"]["ben"] < found["paid_wei"]["cem"] < min(honest)
    assert found["accuracy"] > 0.85
    assert 0.4 < found["attack_auc"] < 0.6
    # Of eps 4, the jobs at 0.5, 1 and 2 together took less than their sum.
    assert 0.5 < found["eps_left"] < 2.0
    text = page.read_text()
    assert text.count("class='dot'") == 3
    assert "A last job asked for eps 4 and was refused" in text
    assert found["job"] in text


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "said",
    [
        "starting a network of its own",
        "worker-0: starting",
        "cem commits to rows",
        "waiting for the computation",
        "withdraws it",
    ],
)
def test_ctrl_c_ends_the_demo_and_all_that_it_started(tmp_path: Path, said: str) -> None:
    """At this line of its progress; twice, as by somebody who cannot wait."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "qanat", *DEMO, "--report", str(tmp_path / "page")],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert demo.stderr is not None
    with demo:
        lines = iter(demo.stderr.readline, "")
        assert any(said in line for line in lines), f"the demo never says {said!r}"
        began_s = time.monotonic()
        os.killpg(demo.pid, signal.SIGINT)
        assert any("taking the network down" in line for line in lines)
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.stderr.read()
        status = demo.wait(60)
    assert status == 130, rest
    assert time.monotonic() - began_s < 30, "it ends when nodes do, which are killed after seconds"
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []
    wait_for(lambda: not processes_below(tmp_path), 10, "no process is left")


def processes_below(folder: Path) -> list[str]:
    """Command lines of what runs with anything below a folder, or with it for temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(folder).encode() in command + (process / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
