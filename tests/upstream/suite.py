"""Run upstream's `contracts` suite whole against a network, with its score by file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qanat.network import load_network, plan_nodes
from tests.bench.suite import Suite
from tests.support.networks import ROOT, ProcessNetwork
from tests.upstream import localnet

TIMEOUT_S = 900
CHAIN_ID = 0x5AFD
SHOWN_CHARACTERS = 500
_SCRIPT = '#!/bin/sh\nexec "{python}" "{program}" "$@"\n'


class SuiteBroke(Exception):
    """Hardhat ended before it told what passed."""


@dataclass(slots=True)
class Score:
    """What became of each test, by its full title."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Title to what was wrong."""
    skipped: list[str] = field(default_factory=list)


def run_suite(
    suite: Suite, network: ProcessNetwork, folder: Path, files: Sequence[str] = ()
) -> Score:
    """
    Run files of the suite, or all of them.

    Parameters
    ----------
    suite : `Suite`
        Compiled.
    network : `ProcessNetwork`
        Runs, and is used up: tests move epochs and spend the accounts of the test mnemonic.
    folder : `Path`
        Of what this run needs.
    files : `Sequence[str]`
        Names in `contracts/test`.

    Raises
    ------
    SuiteBroke
        See the class.
    """
    report = folder / "report.json"
    wanted = files or sorted(path.name for path in (suite.folder / "test").glob("*.ts"))
    command = ["npx", "hardhat", "test", "--no-compile", *(f"test/{name}" for name in wanted)]
    with _docker_of(network, folder) as environment:
        done = subprocess.run(
            command,
            cwd=suite.folder,
            env=environment | {"SUITE_REPORT": str(report)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if not report.exists():
        raise SuiteBroke(done.stderr[-4000:])
    return read_score(json.loads(report.read_text()))


def read_score(told: dict[str, Any]) -> Score:
    """Read Mocha's JSON."""
    return Score(
        passed=[one["fullTitle"] for one in told["passes"]],
        failed={
            one["fullTitle"]: str(one["err"].get("message", ""))[:500] for one in told["failures"]
        },
        skipped=[one["fullTitle"] for one in told["pending"]],
    )


@contextmanager
def _docker_of(network: ProcessNetwork, folder: Path) -> Iterator[dict[str, str]]:
    """Give an environment in which `docker` is about this network."""
    tools = folder / "bin"
    tools.mkdir()
    docker = tools / "docker"
    docker.write_text(_SCRIPT.format(python=sys.executable, program=localnet.__file__))
    docker.chmod(0o755)
    plans = plan_nodes(load_network(network.network_file), network.http_port)
    consensus = next(plan for plan in plans if plan.service == "consensus")
    yield os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        "CI": "true",
        "SUITE_URL": f"http://127.0.0.1:{network.http_port}",
        "SUITE_CHAIN_ID": str(CHAIN_ID),
        localnet.CONSENSUS: f"http://{consensus.host}:{consensus.port}",
        localnet.OPTIONS: json.dumps(network.cli_options()),
    }
