"""Apps of a network that other code made: their admin accepts the code of now, and they go on."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qanat.network.workers import add_workers
from tests.support.networks import ROOT, port_base, wait_for

PORT_BASE = port_base(29545)
CODE = ("apps", "networks", "qanat", "runtimes", "services", "shared", "pyproject.toml")
CHANGED = "services/worker/enclave/app.py"
MAIN = """
import hashlib, os, time, httpx

transport = httpx.HTTPTransport(uds=os.environ["ROFL_APPD_SOCKET"])
with httpx.Client(transport=transport, base_url="http://localhost") as client:
    asked = {"key_id": "of a test", "kind": "raw-256"}
    key = client.post("/rofl/v1/keys/generate", json=asked).json()["key"]
print("key", hashlib.sha256(key.encode()).hexdigest(), os.environ["GREETING"], flush=True)
while True:
    time.sleep(3600)
"""


class Code:
    """A checkout's commands about one network."""

    def __init__(self, root: Path, data: Path, network_file: Path) -> None:
        self._root, self.data = root, data
        self._here = ["--data", str(data), "--network", str(network_file)]

    def run(self, *arguments: str, cwd: Path | None = None, given: str = "") -> Any:
        return subprocess.run(
            [sys.executable, "-m", "qanat", *arguments],
            cwd=cwd or self._root,
            env=os.environ | {"PYTHONPATH": str(self._root), "QANAT_GATEWAY": gateway()},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def do(self, *arguments: str, cwd: Path | None = None, given: str = "") -> str:
        done = self.run(*arguments, cwd=cwd, given=given)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def here(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.do(*arguments, *self._here, cwd=cwd)

    def up(self) -> None:
        self.here("up", "--port-base", str(PORT_BASE))

    def told(self, app: Path) -> str:
        """What the program says of itself, once it does."""
        found: list[str] = []

        def says() -> bool:
            text = self.here("rofl", "logs", cwd=app)
            found[:] = re.findall(r"key [0-9a-f]{64} .*", text)
            return bool(found)

        wait_for(says, 60, "the program has its key and its secret")
        return found[-1]

    def instance(self, app: Path) -> Any:
        (found,) = json.loads(self.here("rofl", "instances", "--json", cwd=app))
        return found


def gateway() -> str:
    return f"http://127.0.0.1:{PORT_BASE}"


@pytest.fixture(scope="module")
def other_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This code, of which one measured file of the worker is another."""
    copy = tmp_path_factory.mktemp("other") / "code"
    for name in CODE:
        source, target = ROOT / name, copy / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    changed = copy / CHANGED
    changed.write_text(changed.read_text() + "\n# As an earlier version had it.\n")
    return copy


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "carried"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def dump(
    other_code: Path, app: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, Any]:
    """A network of that code with an app on its worker: its dump, and how the app was."""
    folder = tmp_path_factory.mktemp("before")
    file = add_workers(ROOT / "networks" / "default.toml", 1, folder / "network.toml")
    code = Code(other_code, folder / "data", file)
    code.up()
    try:
        code.do("rofl", "init", cwd=app)
        (app / "main.py").write_text(MAIN)
        code.do("rofl", "create", cwd=app)
        code.do("rofl", "secret", "set", "GREETING", "-", cwd=app, given="hello")
        code.here("rofl", "build", cwd=app)
        code.do("rofl", "update", cwd=app)
        code.here("rofl", "deploy", cwd=app)
        told, instance = code.told(app), code.instance(app)
    finally:
        code.here("down")
    code.here("dump", str(folder / "network.dump"))
    return folder / "network.dump", told, instance


@pytest.fixture(scope="module")
def loaded(
    dump: tuple[Path, str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Code, str]]:
    data = tmp_path_factory.mktemp("after") / "data"
    code = Code(ROOT, data, data / "network.toml")
    done = code.run("load", str(dump[0]), "--data", str(data))
    assert done.returncode == 0, done.stderr
    code.up()
    yield code, done.stderr
    code.here("down")


@pytest.mark.long
def test_an_app_of_other_code_runs_again_once_its_admin_accepts_the_code_of_now(
    dump: tuple[Path, str, Any], loaded: tuple[Code, str], app: Path
) -> None:
    _, told, before = dump
    code, said = loaded
    assert "carried" in said
    assert "qanat rofl accept" in said
    wait_for(lambda: "unknown enclave" in code.instance(app)["reason"], 60, "it is not let in")
    stranger = code.run("rofl", "accept", "--account", "test:1", *code._here)
    assert stranger.returncode == 1
    assert "another admin" in stranger.stderr

    (accepted,) = json.loads(code.here("rofl", "accept", "--json"))
    assert accepted["app_id"] == before["app_id"]
    assert accepted["is_new"]
    assert accepted["bundles"] == [before["bundle"]]
    wait_for(lambda: code.instance(app)["state"] == "running", 60, "it runs again")
    now = code.instance(app)
    assert now["bundle"] == before["bundle"]
    assert [now["mr_enclave"]] == accepted["mr_enclaves"]
    assert now["mr_enclave"] != before["mr_enclave"]
    # The keys are the app's and not its enclave's, and so is what was sealed to them.
    assert code.told(app) == told
    assert not json.loads(code.here("rofl", "accept", before["app_id"], "--json"))[0]["is_new"]
