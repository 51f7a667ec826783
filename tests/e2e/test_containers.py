"""An app of containers on a worker of processes: keys, secrets, kills, reload, and no leftovers."""

import functools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest

from qanat.rofl.images import pin_image
from qanat.rofl.project import Project
from services.worker.rules.containers import INSTANCE_LABEL, project_name
from shared.rules.app_ids import decode_app_id
from tests.e2e.test_rofl_commands import Commands
from tests.e2e.test_worker import Worker
from tests.support.networks import ROOT, ProcessNetwork, missing_docker, port_base, wait_for

pytestmark = pytest.mark.timeout(300)
PORT_BASE = port_base(15545)
CANARY = b"canary-471142"
IMAGE = "python:3.11-slim-bookworm"
COMPOSE = """
services:
  oracle:
    image: {image}
    command: [python, -u, /app/oracle.py]
    init: true
    restart: always
    depends_on: {{prices: {{condition: service_healthy}}}}
    environment: [TOKEN, "WHO=${{WHO:-nobody}}"]
    volumes:
      - ./app:/app:ro
      - /run/rofl-appd.sock:/run/rofl-appd.sock
      - /var/run/dstack.sock:/var/run/dstack.sock
      - kept:/kept
  prices:
    image: {image}
    command: python -m http.server 8000 --directory /app
    init: true
    user: "1234"
    volumes: ["./app:/app"]
    mem_limit: 64m
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as u; u.urlopen('http://localhost:8000/')"]
      interval: 1s
volumes: {{kept: }}
"""
ORACLE = """
import http.client, json, os, pathlib, socket, time, urllib.request

class Daemon(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

def ask(path, route, body):
    daemon = Daemon(path)
    daemon.request("POST", route, json.dumps(body), {"Content-Type": "application/json"})
    answer = daemon.getresponse()
    assert answer.status == 200, answer.read()
    return json.loads(answer.read())

kept = pathlib.Path("/kept/starts")
starts = int(kept.read_text()) + 1 if kept.exists() else 1
kept.write_text(str(starts))
asked = {"key_id": "the oracle's", "kind": "secp256k1"}
print("key", ask("/run/rofl-appd.sock", "/rofl/v1/keys/generate", asked)["key"])
print("app", ask("/var/run/dstack.sock", "/Info", {})["app_id"])
page = urllib.request.urlopen("http://prices:8000/oracle.py").status
print("secret", len(os.environ["TOKEN"]), os.environ["WHO"], "page", page)
limited = pathlib.Path("/proc/self/status").read_text().count("NoNewPrivs:\\t1")
print("began", starts, os.getpid(), limited)
while True:
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    reason = missing_docker()
    if reason is None and pin_image(IMAGE) == IMAGE:
        reason = f"no image {IMAGE} is on this machine"
    if reason is not None:
        pytest.skip(reason)
    file = ROOT / "networks" / "workers.toml"
    found = ProcessNetwork(tmp_path_factory.mktemp("containers") / "data", PORT_BASE, file)
    found.up()
    yield found
    found.cli("down", "--wipe")
    found.close()
    assert docker("volume", "ls", "--quiet", "--filter", f"label={INSTANCE_LABEL}") == []


def docker(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


class Deployed:
    """An app that is deployed, and what the engine has of it."""

    def __init__(self, network: ProcessNetwork, app: Commands) -> None:
        self.network, self.app = network, app
        self.operator = Worker(network, "worker-0")
        # One for all questions: loading certificates for each takes longer than the answer.
        self.client = httpx.Client(verify=False)  # noqa: S501 - plain HTTP, on loopback
        self.here = ("--data", str(network.data), "--network", str(network.network_file))

    @functools.cached_property
    def app_id(self) -> bytes:
        return decode_app_id(Project(self.app.directory, None).app_id)

    def told(self) -> str:
        """What its containers wrote since their enclave began."""
        url = f"http://127.0.0.1:{self.operator.plan.port}/v1/worker/fetch_logs"
        body = cbor2.dumps({"app_id": self.app_id})
        answer = self.client.post(url, content=body, headers=self.operator.headers)
        assert answer.status_code == 200
        return bytes(cbor2.loads(answer.content)).decode()

    def said(self) -> dict[str, list[str]]:
        """What the oracle said since it began last; by the first word."""
        lines = self.told().splitlines()
        words = [line.split()[2:] for line in lines if line.startswith("oracle | ")]
        return {first: rest for first, *rest in filter(None, words)}

    def until_begun(self, starts: int) -> dict[str, list[str]]:
        try:
            wait_for(lambda: self.said().get("began", [""])[0] == str(starts), 180, "it begins")
        except AssertionError as error:
            raise AssertionError(f"start {starts}: {self.told()}") from error
        return self.said()

    def ids(self, *options: str) -> list[str]:
        mine = f"label={INSTANCE_LABEL}={self.project()}"
        return docker("ps", "--quiet", "--no-trunc", "--filter", mine, *options)

    def project(self) -> str:
        (mark,) = self.network.data.glob("*/enclave/*/containers")
        return project_name(str(mark.parent.resolve() / "app"))

    def inspect(self, service: str) -> Any:
        return json.loads(" ".join(docker("inspect", f"{self.project()}-{service}")))[0]

    def leftovers(self) -> list[str]:
        mine = ("--filter", f"label={INSTANCE_LABEL}={self.project()}", "--quiet")
        return docker("ps", "--all", *mine) + docker("network", "ls", *mine)


@pytest.mark.long
def test_an_app_of_containers_has_its_keys_and_leaves_nothing(
    network: ProcessNetwork, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "oracle"
    app = Commands(network, folder)
    one = Deployed(network, app)
    request.addfinalizer(one.client.close)
    Commands(network, tmp_path).do("init", "oracle", "--kind", "container")
    (folder / "app" / "oracle.py").write_text(ORACLE)
    (folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE))
    app.json("create")
    assert "not pinned" in app.refused("build", *one.here)
    (folder / "compose.yaml").write_text(COMPOSE.format(image=pin_image(IMAGE)))
    app.json("build", *one.here)
    app.do("secret", "set", "TOKEN", "-", given=CANARY.decode())
    app.json("update")
    app.json("deploy", *one.here)
    first = one.until_begun(1)
    assert first["secret"] == ["13", "nobody", "page", "200"]
    assert first["began"][2] == "1"
    assert len(one.ids()) == 2

    limits = one.inspect("prices")["HostConfig"]
    assert (limits["Memory"], limits["PidsLimit"], limits["Privileged"]) == (64 << 20, 256, False)
    assert limits["LogConfig"]["Type"] == "none"
    assert limits["RestartPolicy"]["Name"] in ("", "no")

    # Its container, its enclave, its host and the whole launcher are killed: the key is the same.
    os.kill(one.inspect("oracle")["State"]["Pid"], signal.SIGKILL)
    assert one.until_begun(2)["key"] == first["key"]
    network.kill("worker-0", "enclave")
    assert one.until_begun(3)["key"] == first["key"]
    assert len(one.ids("--all")) == 2
    network.kill("worker-0", "host")
    assert one.until_begun(4)["key"] == first["key"]
    kill_everything(network)
    network.up()
    assert one.until_begun(5)["key"] == first["key"]
    assert len(one.ids("--all")) == 2

    # What it was told is on no disk of the network, nor in a log.
    assert f"TOKEN={CANARY.decode()}" in one.inspect("oracle")["Config"]["Env"]
    files = [path for path in network.data.rglob("*") if path.is_file()]
    assert not [path for path in files if CANARY in path.read_bytes()]

    # Stopped, started, rebuilt; and the network is stopped.
    (stopped,) = app.json("stop", *one.here)
    assert (stopped["worker"], stopped["state"]) == ("worker-0", "stopped")
    assert one.leftovers() == []
    (started,) = app.json("start", *one.here)
    assert started["state"] != "stopped"
    assert one.until_begun(6)["key"] == first["key"]
    (told,) = app.json("logs", *one.here)
    assert told["worker"] == "worker-0"
    text = (folder / "app" / "oracle.py").read_text()
    (folder / "app" / "oracle.py").write_text(text.replace("began", "rebuilt"))
    app.json("build", *one.here)
    app.json("update")
    app.json("deploy", *one.here)
    wait_for(lambda: one.said().get("rebuilt", [""])[0] == "7", 60, "the new version runs")
    network.down()
    assert one.leftovers() == []
    network.up()
    wait_for(lambda: len(one.ids()) == 2, 60, "its containers are back")
    project = one.project()
    assert app.json("undeploy", *one.here) == [{"worker": "worker-0", "removed": True}]
    mine = ("--filter", f"label={INSTANCE_LABEL}={project}", "--quiet")
    assert docker("ps", "--all", *mine) + docker("volume", "ls", *mine) == []
    assert docker("network", "ls", *mine) == []


def kill_everything(network: ProcessNetwork) -> None:
    pids = [pid for found in network.pids_by_part().values() for pid in found]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
