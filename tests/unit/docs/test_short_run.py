"""A developer's run may leave out what is long; CI's leaves out nothing, and both say it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import short_run
from tests.support.metrics_page import ROOT

HERE = Path(__file__).resolve()

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


@pytest.mark.long
@pytest.mark.parametrize("plugins", [[], ["-p", "xdist.plugin", "-n", "1"]])
@pytest.mark.parametrize(("short", "passed"), [("0", "2 passed"), ("1", "1 passed")])
def test_the_summary_says_how_many_were_left_out(
    tmp_path: Path, plugins: list[str], short: str, passed: str
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = long\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-k", "takes", str(tmp_path)],
        cwd=ROOT,
        # Plugins that nothing here needs take most of the time.
        env=environment(QANAT_SHORT_TESTS=short, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert passed in done.stdout, done.stdout + done.stderr
    assert ("Left out: 1 long tests" in done.stdout) == (short == "1")


def test_every_property_asks_how_many_examples_it_is_tried_with() -> None:
    own = re.compile(r"max_examples=(?!examples\(|SCHEDULES)")
    assert [
        p for p in (ROOT / "tests").rglob("*.py") if p != HERE and own.search(p.read_text())
    ] == []


@pytest.mark.parametrize(("short", "tried"), [(False, [5, 25, 100, 600]), (True, [5, 10, 10, 60])])
def test_a_short_run_tries_a_tenth_and_ten_at_least(
    monkeypatch: pytest.MonkeyPatch, short: bool, tried: list[int]
) -> None:
    monkeypatch.setattr(short_run, "IS_SHORT", short)
    assert [short_run.examples(number) for number in (5, 25, 100, 600)] == tried


def test_what_did_not_change_is_skipped_in_a_short_run_alone(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "unchanged.sh"
    shutil.copy(ROOT / "scripts" / "unchanged.sh", script)
    source = tmp_path / "source"
    source.write_text("1")

    def run(short: str = "1", command: str = "echo it ran") -> str:
        done = subprocess.run(
            [script, "stage", "source", "--", *command.split()],
            env=environment(QANAT_SHORT_TESTS=short),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    # Without an environment it remembers nothing, and fails no stage.
    assert run() == run() == "it ran\n"
    (tmp_path / ".venv").mkdir()
    assert run() == "it ran\n"
    assert "nothing changed" in run()
    assert run(short="0") == "it ran\n"
    assert run(command="echo another command") == "another command\n"
    assert run() == "it ran\n"
    source.write_text("2")
    with pytest.raises(subprocess.CalledProcessError):
        run(command="false")
    assert run() == "it ran\n"
