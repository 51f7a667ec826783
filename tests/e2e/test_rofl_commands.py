"""`qanat rofl`: an app's life on the chain, by its owner's commands."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.networks import ROOT, RunningNetwork


@dataclass(frozen=True)
class Watching:
    """A command that stays."""

    output: Path

    def told(self) -> str:
        return self.output.read_text()


class Commands:
    """Runs commands in an app's directory."""

    def __init__(self, network: RunningNetwork, directory: Path) -> None:
        self.network, self.directory = network, directory

        self.environment = {
            "PYTHONPATH": str(ROOT),
            "QANAT_GATEWAY": network.url,
            "PATH": os.defpath,
        }

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "qanat", "rofl", *arguments],
            cwd=self.directory,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Watching]:
        """Run a command until the block ends, by Ctrl-C."""
        output = self.directory.parent / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "qanat", "rofl", *arguments],
                cwd=self.directory,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                yield Watching(output)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
        assert "Traceback" not in output.read_text()

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def do(self, *arguments: str, given: str = "") -> str:
        done = self.run(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.mark.long
def test_an_app_lives_on_the_chain(network: RunningNetwork, tmp_path: Path) -> None:
    app = Commands(network, tmp_path)
    assert "rofl init" in app.refused("create")
    begun = app.json("init")
    assert begun["manifest"] == "rofl.yaml"
    assert begun["files"] == ["main.py"]
    assert "--reset" in app.refused("init")
    made = app.json("create", "--account", "test:3")
    app_id = made["app_id"]
    assert "remove that one first" in app.refused("create")
    manifest = yaml.safe_load((tmp_path / "rofl.yaml").read_text())
    assert manifest["deployments"]["default"]["app_id"] == app_id

    app.do("secret", "set", "TOKEN", "-", given="s3cret-of-an-app")
    (tmp_path / ".env").write_text("A=1\nB='two'\n")
    assert app.json("secret", "import", ".env") == {"sealed": ["A", "B"]}
    assert "--force" in app.refused("secret", "import", ".env")
    assert app.json("secret", "rm", "A") == {"removed": ["A"]}
    assert app.json("secret", "get", "TOKEN")["bytes"] > len("s3cret-of-an-app")
    assert "s3cret" not in (tmp_path / "rofl.yaml").read_text()
    assert app.json("show")["secrets"] == {}
    app.json("update")

    shown = app.json("show", app_id)
    assert set(shown["secrets"]) == {"TOKEN", "B"}
    assert (shown["stake"], shown["instances"]) == ("100", [])
    assert shown["metadata"]["net.oasis.rofl.name"] == tmp_path.name
    assert app_id in {one["app_id"] for one in app.json("list")}

    assert "another admin" in app.refused("update", "--account", "test:4")
    assert "no account" in app.refused("update", "--account", "alice")
    assert app.run("remove", given="n\n").returncode == 1
    app.json("remove", "--yes")
    assert "unknown application" in app.refused("show", app_id)
    assert (
        "app_id"
        not in yaml.safe_load((tmp_path / "rofl.yaml").read_text())["deployments"]["default"]
    )


def test_a_gateway_that_is_away_is_named(network: RunningNetwork, tmp_path: Path) -> None:
    app = Commands(network, tmp_path)
    assert "127.0.0.1:9" in app.refused("list", "--gateway", "http://127.0.0.1:9")
