"""
Upstream's `contracts` test suite, as a user of Sapphire runs it: by Hardhat, over HTTP.

Sources are not ours: they come from a checkout of sapphire-paratime. What is timed is the tests
alone, as Mocha counts them, with everything compiled before.
"""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestants import CannotRun
from tests.bench.measures import Figures
from tests.bench.session import Session
from tests.support.networks import ROOT
from tests.support.node_clients import install_node_packages, missing_node

PROJECT = Path(__file__).parent / "suite"
BUILT = ROOT / ".qanat" / "bench" / "suite"
UPSTREAM = ROOT.parent / "shared" / "sapphire-paratime"
EVERYWHERE = ("cbor.spec.ts", "datetime.ts", "siweparser.ts")
"""Files of the suite that need neither Sapphire's precompiles nor its encryption."""
COMPILE_TIMEOUT_S = 1_800
TEST_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Suite:
    """The suite, compiled in a folder of its own."""

    folder: Path

    async def measure(self, session: Session, scale: float) -> Figures:
        """Run what every network can, and all of it where calls may be encrypted."""
        seconds, passed = await asyncio.to_thread(self._run, session, EVERYWHERE)
        found: Figures = {"suite": seconds, "suite passed": passed}
        if session.contestant.encrypts:
            every = sorted(path.name for path in (self.folder / "test").glob("*.ts"))
            seconds, passed = await asyncio.to_thread(self._run, session, every)
            found |= {"suite all": seconds, "suite all passed": passed}
        await session.recover()
        return found

    def _run(self, session: Session, files: Sequence[str]) -> tuple[float, int]:
        """Give the time of the tests [s] and how many passed."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        environment = _environment() | {
            "SUITE_URL": f"http://127.0.0.1:{session.contestant.http_port}",
            "SUITE_CHAIN_ID": str(session.contestant.chain_id),
            "SUITE_REPORT": str(report),
        }
        command = ["npx", "hardhat", "test", "--no-compile", *(f"test/{name}" for name in files)]
        # A test that fails is a figure, not an error.
        _run(command, self.folder, environment, TEST_TIMEOUT_S)
        return read_report(report)


def prepare(upstream: Path) -> Suite:
    """Compile what has changed of a checkout's suite, or raise `CannotRun`."""
    sources = upstream / "contracts"
    if not (sources / "test").is_dir():
        raise CannotRun(f"no checkout of sapphire-paratime at {upstream}; --upstream names one")
    reason = missing_node()
    if reason is not None:
        raise CannotRun(reason)
    modules = PROJECT / "node_modules"
    if not (modules / ".package-lock.json").exists():
        install_node_packages(PROJECT)
    BUILT.mkdir(parents=True, exist_ok=True)
    for name in ("contracts", "test"):
        shutil.rmtree(BUILT / name, ignore_errors=True)
        shutil.copytree(sources / name, BUILT / name)
    for name in ("package.json", "hardhat.config.js"):
        shutil.copy2(PROJECT / name, BUILT / name)
    link = BUILT / "node_modules"
    if not link.is_symlink():
        link.symlink_to(modules)
    done = _run(["npx", "hardhat", "compile"], BUILT, _environment(), COMPILE_TIMEOUT_S)
    if done.returncode != 0:
        raise CannotRun(f"the suite does not compile: {done.stderr[-2000:]}")
    return Suite(BUILT)


def read_report(path: Path) -> tuple[float, int]:
    """Read what Mocha told: the time of the tests [s] and how many passed."""
    try:
        stats = json.loads(path.read_text())["stats"]
        seconds, passed = stats["duration"] / 1000, stats["passes"]
    except (OSError, ValueError, KeyError) as error:
        raise CannotRun("the suite ended without a report") from error
    if passed == 0:
        raise CannotRun("no test passed")
    return seconds, passed


def _environment() -> dict[str, str]:
    return os.environ | {"HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "CI": "true"}


def _run(
    command: Sequence[str], folder: Path, environment: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{shlex.join(command)} took more than {timeout_s} s") from error
