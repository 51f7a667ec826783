"""
Networks as a user starts them: by `qanat up`, or by Docker Compose.

Tests see a network as a black box: JSON-RPC, the command line, processes, files, containers.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "contracts" / "artifacts"
START_TIMEOUT_S = 90
MAX_TOLD_CHARACTERS = 4_000
"""Of each answer by which a network says how it stands; of its logs four times as many."""
PORTS_A_NETWORK = 400
FIRST_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
SECOND_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


class RpcFailure(Exception):
    """A JSON-RPC error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


@dataclass(frozen=True)
class Artifact:
    """A compiled contract."""

    abi: list[dict[str, Any]]
    bytecode: str
    path: Path


def load_artifact(name: str) -> Artifact:
    path = ARTIFACTS / f"{name}.json"
    raw = json.loads(path.read_text())
    return Artifact(raw["abi"], raw["bytecode"], path)


class RunningNetwork:
    """What the two launchers have in common."""

    kind: str
    http_port: int

    def __init__(self, http_port: int) -> None:
        self.http_port = http_port
        self._client = httpx.Client(base_url=self.url, timeout=30)

    def close(self) -> None:
        """Close this client's connections; the network is not touched."""
        self._client.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.http_port + 1}"

    def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._client.post("/", json=body).json()
        if "error" in answer:
            raise RpcFailure(answer["error"])
        return answer["result"]

    def post(self, content: bytes) -> httpx.Response:
        return self._client.post("/", content=content, headers={"content-type": "application/json"})

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def account_of_itself(self) -> str:
        """How the network stands, for who reads that a test of it failed."""
        told = []
        for path in ("/status", "/v1/finality", "/v1/pool", "/v1/rounds?limit=5"):
            try:
                told.append(f"{path}: {self.get(path).text[:MAX_TOLD_CHARACTERS]}")
            except httpx.HTTPError as error:
                told.append(f"{path}: {error!r}")
        told.append(self.log_text()[-4 * MAX_TOLD_CHARACTERS :])
        return "\n".join(told)

    def log_text(self) -> str:
        """Logs of all nodes."""
        raise NotImplementedError

    def cli(self, *arguments: str) -> str:
        """Run a command of `qanat` against this network; its standard output."""
        return run_cli(*arguments, *self.cli_options())

    def cli_options(self) -> list[str]:
        raise NotImplementedError

    def processes(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.cli("ps", "--json"))
        return listed

    def process(self, name: str, part: str = "host") -> dict[str, Any]:
        return next(p for p in self.processes() if p["name"] == name and p["part"] == part)

    def until_restarted(self, name: str, before: int, part: str = "host") -> None:
        """Wait for another process in the place of one; for a moment none may be listed."""

        def is_restarted() -> bool:
            pids = [p["pid"] for p in self.processes() if (p["name"], p["part"]) == (name, part)]
            return any(pid not in (before, None) for pid in pids)

        wait_for(is_restarted, 60, f"{name} restarts")

    def roots(self) -> dict[str, tuple[int | None, str | None]]:
        return {r["name"]: (r["round"], r["root"]) for r in json.loads(self.cli("roots", "--json"))}

    def until_ready(self, timeout_s: float = 60) -> None:
        wait_for(lambda: self.get("/health").status_code == 200, timeout_s, "the gateway is ready")

    def until_level(self, timeout_s: float = 60) -> None:
        """Wait until every compute node answers with the same round and root."""

        def is_level() -> bool:
            roots = set(self.roots().values())
            return len(roots) == 1 and None not in next(iter(roots))

        wait_for(is_level, timeout_s, "all compute nodes are level")


class ProcessNetwork(RunningNetwork):
    """A network that `qanat up` started."""

    kind = "processes"

    def __init__(self, data: Path, port_base: int, network_file: Path | None = None) -> None:
        super().__init__(port_base)
        self.data = data
        self.network_file = network_file or ROOT / "networks" / "default.toml"

    def cli_options(self) -> list[str]:
        return ["--data", str(self.data), "--network", str(self.network_file)]

    def up(self, *options: str) -> str:
        return self.cli("up", "--port-base", str(self.http_port), *options)

    def down(self) -> None:
        self.cli("down")

    def pids_by_part(self) -> dict[str, list[int]]:
        """The processes of all nodes by service, what forks them, and the launcher."""
        state = json.loads((self.data / "launcher.json").read_text())
        found = {"launcher": [state["pid"]], "fork server": state["fork_servers"]}
        for process in state["processes"]:
            part = " enclave" if process["part"] == "enclave" else ""
            found.setdefault(process["service"] + part, []).append(process["pid"])
        return found

    def kill(self, name: str, part: str = "host", number: int = signal.SIGKILL) -> int:
        pid: int = self.process(name, part)["pid"]
        os.kill(pid, number)
        return pid

    def log_text(self) -> str:
        # The older file of a log before the log itself.
        paths = sorted(self.data.glob("logs/*.log*"), reverse=True)
        return "".join(path.read_text(errors="replace") for path in paths)


@contextmanager
def two_workers(folder: Path, port_base: int) -> Iterator[ProcessNetwork]:
    """Start a network with two workers by processes."""
    file = folder / "workers.toml"
    text = (ROOT / "networks" / file.name).read_text()
    file.write_text(text.replace('nodes = ["worker-0"]', 'nodes = ["worker-0", "worker-1"]'))
    with running(ProcessNetwork(folder / "data", port_base, file)) as network:
        yield network


class ComposeNetwork(RunningNetwork):
    """The network of docker-compose.yml, or of the Compose file of another network file."""

    kind = "compose"

    def __init__(
        self,
        network_file: Path | None = None,
        compose_file: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(8545)
        self._settings = {} if settings is None else settings
        self._network = [] if network_file is None else ["--network", str(network_file)]
        # The image is built from the project's directory, wherever the file lies.
        self._file = (
            []
            if compose_file is None
            else ["--file", str(compose_file), "--project-directory", str(ROOT)]
        )

    def cli_options(self) -> list[str]:
        return ["--data", "/nonexistent/qanat", *self._network]

    def compose(self, *arguments: str, timeout: float = 600) -> str:
        done = subprocess.run(
            ["docker", "compose", *self._file, *arguments],
            cwd=ROOT,
            env={**os.environ, **self._settings},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, *options: str) -> str:
        return self.compose("up", "-d", "--wait", *options)

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans")

    def is_up(self) -> bool:
        return self.compose("ps", "--quiet").strip() != ""

    def kill(self, name: str, part: str = "host", number: int = signal.SIGKILL) -> int:
        pid: int = self.process(name, part)["pid"]
        os.kill(pid, number)
        return pid

    def log_text(self) -> str:
        return self.compose("logs", "--no-color")

    def volumes(self) -> list[Path]:
        """Where the engine keeps the network's volumes on this machine."""
        listed = self.compose("config", "--volumes").split()
        command = ["docker", "volume", "inspect", "--format", "{{.Mountpoint}}"]
        names = [f"qanat_{name}" for name in listed]
        done = subprocess.run([*command, *names], capture_output=True, text=True, check=True)
        return [Path(line) for line in done.stdout.split()]


N = TypeVar("N", ProcessNetwork, ComposeNetwork)


@contextmanager
def running(network: N) -> Iterator[N]:
    """Start a network, and stop it whatever happens."""
    try:
        network.up()
        yield network
    finally:
        network.down()
        network.close()


@contextmanager
def compose_network(
    network_file: Path, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[ComposeNetwork]:
    """
    Start a network file's network by containers; skips without Docker.

    It takes the ports of the default network meanwhile, and runs the same image, or one on top of
    it. Settings are variables of the shell for this network alone.
    """
    reason = missing_docker()
    if reason is not None:
        pytest.skip(reason)
    file = folder / f"{network_file.stem}.yml"
    default, network = ComposeNetwork(), ComposeNetwork(network_file, file, settings)
    run_cli("compose", "--network", str(network_file), "--output", str(file))
    network.compose("build", timeout=900)
    was_up = default.is_up()
    if was_up:
        default.compose("stop")
    network.down()
    try:
        network.up()
        yield network
    finally:
        network.down()
        network.close()
        if was_up:
            default.up()
        default.close()


def port_base(usual: int) -> int:
    """
    Give the first port of a network of this process of tests: two of them run side by side.

    A network takes fewer than `PORTS_A_NETWORK` ports, and files have a thousand between them.
    Programs' own connections come from 32768 on; 8545 and 28545 are networks without an option.
    """
    assert usual % 1000 == 545 and usual < 32_000 and usual != 28545, f"{usual} may be taken"
    process = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    assert process in ("gw0", "gw1"), "e2e tests have ports for two processes"
    return usual + PORTS_A_NETWORK * int(process[2:])


REPLAY_AT = ("--port-base", str(port_base(23545)))
"""For `qanat replay`: where its own network's ports begin."""


def run_cli(*arguments: str, timeout_s: float = 120) -> str:
    """Run a command of `qanat`, which must succeed; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "qanat", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until a condition holds; fail with its name when the time is up."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (httpx.TransportError, AssertionError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


def missing_docker() -> str | None:
    """Why containers cannot be used here, or None."""
    if shutil.which("docker") is None:
        return "docker is not installed (Debian: apt-get install docker.io, and Compose v2)"
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0:
            return f"`{' '.join(command)}` fails: start a Docker engine with Compose v2"
    return None
