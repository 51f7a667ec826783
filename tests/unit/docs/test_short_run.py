"""A developer's run may leave out what is long; CI's leaves out nothing, and both say it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.metrics_page import ROOT

TESTS = """
import pytest

@pytest.mark.long
def test_that_takes_minutes(): pass

@pytest.mark.long
def test_that_nobody_selected(): pass

def test_that_takes_no_time(): pass
"""


def environment(**changes: str) -> dict[str, str]:
    names = ("CI", "ALL", "QANAT_SHORT_TESTS", "MAKEFLAGS", "PYTEST_ADDOPTS")
    return {k: v for k, v in os.environ.items() if k not in names} | changes


def commands_of_make(**changes: str) -> str:
    """What `make test` would run."""
    command = ["make", "--dry-run", "--no-print-directory", "test"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**changes), capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("changes", [{"CI": "true"}, {"ALL": "1"}])
def test_ci_leaves_nothing_out(changes: dict[str, str]) -> None:
    assert "QANAT_SHORT_TESTS" not in commands_of_make(**changes)


def test_a_developer_leaves_out_what_is_long_and_is_told() -> None:
    commands = commands_of_make()
    assert commands.count("QANAT_SHORT_TESTS=1") == 3
    assert "ALL=1 runs the long tests as well" in commands


def test_ci_says_that_it_is_ci() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    assert "export CI=true" in lines
    assert "make test" in lines


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(("short", "passed"), [("0", "2 passed"), ("1", "1 passed")])
def test_the_summary_says_how_many_were_left_out(
    tmp_path: Path, processes: str, short: str, passed: str
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS)
    options = ["-n", processes, "-k", "takes", "-c", str(ROOT / "pyproject.toml"), "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        env=environment(QANAT_SHORT_TESTS=short),
        capture_output=True,
        text=True,
        check=False,
    )
    assert passed in done.stdout, done.stdout + done.stderr
    assert ("Left out: 1 long tests" in done.stdout) == (short == "1")
