"""The table says what was measured, and no more."""

from tests.bench import report
from tests.bench.rows import ROWS, Row

RATIO = Row("rate", "rate", "/s", more_is_better=True, must=1.3, stretch=2.0, goal="hardhat")
TIME = Row("time", "time", "ms", must=8, stretch=5)


def test_figures_are_medians_and_losses_are_summed() -> None:
    runs = {"qanat": [{"time": 3.0, "lost": 1}, {"time": 9.0, "lost": 2}, {"time": 4.0, "lost": 0}]}
    assert report.medians(runs) == {"qanat": {"time": 4.0, "lost": 3}}


def test_a_multiple_of_an_absent_peer_is_no_verdict() -> None:
    assert report.verdict(RATIO, 100.0, {"qanat": {}}) == "?"


def test_a_multiple_is_taken_of_the_peers_figure() -> None:
    found = {"qanat": {}, "hardhat": {"rate": 100.0}}
    verdicts = [report.verdict(RATIO, value, found) for value in (129.0, 130.0, 200.0)]
    assert verdicts == ["MISSES", "ok", "stretch"]


def test_less_is_better_where_more_is_not() -> None:
    assert [report.verdict(TIME, value, {}) for value in (8.1, 8.0, 5.0)] == [
        *("MISSES", "ok", "stretch")
    ]


def test_a_row_without_a_figure_is_left_out() -> None:
    assert report.cells(TIME, {"qanat": {}}) is None


def test_rows_have_names_of_their_own() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
