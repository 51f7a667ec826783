"""Upstream's suite as a row: where it cannot run, that is said; what Mocha told is read."""

import json
from pathlib import Path

import pytest

from tests.bench import suite
from tests.bench.__main__ import suite_measure
from tests.bench.contestants import CannotRun


def test_without_a_checkout_the_row_is_left_out_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite_measure(tmp_path) == {}
    assert f"no checkout of sapphire-paratime at {tmp_path}" in capsys.readouterr().err


def test_the_time_is_that_of_the_tests(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"stats": {"duration": 1500, "passes": 7, "failures": 1}}))
    assert suite.read_report(report) == (1.5, 7)


@pytest.mark.parametrize("text", ["", "{}", '{"stats": {}}', '{"stats": {"tests": 0}}'])
def test_a_run_that_told_nothing_is_no_figure(tmp_path: Path, text: str) -> None:
    report = tmp_path / "report.json"
    with pytest.raises(CannotRun):
        suite.read_report(report)
    report.write_text(text)
    with pytest.raises(CannotRun):
        suite.read_report(report)


def test_a_run_without_a_test_that_passes_is_no_figure(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"stats": {"duration": 0, "passes": 0}}))
    with pytest.raises(CannotRun, match="no test passed"):
        suite.read_report(report)
