"""The page shows what was kept, names each miss, and is what its figures give."""

import json

import pytest

from qanat.network import load_network
from tests.bench import page
from tests.bench.contestants import with_one_worker
from tests.bench.reasons import REASONS
from tests.bench.rows import ROWS

FACTS = {"processor": "abacus", "cores": 2, "commit": "abc", "date": "today", "command": "make it"}
POINT = {"size": 10, "p50": 8.0, "cpu": 20.0, "closed": 400.0, "memory": 300.0, "disk": 10.0}
POINTS = [POINT, POINT | {"size": 1_000, "cpu": 40.0}]


def networks(**ours: float) -> page.Kept:
    return {"facts": FACTS, "runs": {"qanat": [ours], "hardhat": [{"closed plain": 100.0}]}}


def curves(*names: str) -> page.Kept:
    return {"facts": FACTS, "runs": {page.CURVE + name: POINTS for name in names}}


def test_the_page_says_on_what_and_how_it_was_made():
    text = page.as_page([networks(memory=300.0)])
    assert "`make it`" in text
    assert "processor abacus, cores 2, commit abc, date today." in text
    assert "| resident, all processes (PSS) | 300.0 MiB |" in text


def test_a_miss_is_named_with_its_reason_and_its_design():
    text = page.as_page([networks(**{"plain p50": 13.4, "encrypted p50": 12.0, "memory": 300.0})])
    [misses] = text.split("### What misses, why, and what would reach it")[1:]
    label = "ERC-20 send to receipt"
    assert f"**{label}, plain, p50 13.4 ms; {label}: encrypted, p50 12.0 ms.**" in misses
    assert REASONS[0].why in misses
    assert REASONS[0].design in misses
    assert "resident" not in misses


def test_a_miss_of_a_multiple_is_one_of_the_peer_that_ran_beside():
    assert "What misses" not in page.as_page([networks(**{"closed plain": 100.0})])
    assert "What misses" in page.as_page([networks(**{"closed plain": 99.0})])


def test_a_miss_without_a_reason_says_so():
    assert "Nobody has found out yet." in page.as_page([networks(lost=1)])


def test_reasons_are_of_rows_that_must_reach_something_and_of_each_once():
    keys = [key for reason in REASONS for key in reason.keys]
    assert sorted(set(keys)) == sorted(keys)
    assert set(keys) <= {row.key for row in ROWS if row.must is not None}


def test_what_operations_cost_is_shown_by_kind_of_process():
    costs = {"gateway": 0.25, "compute": 0.25, "launcher": 0.125, "load generator": 0.375}
    ours = {f"cpu calls plain: {part}": cost for part, cost in costs.items()}
    kept = networks(**ours)
    kept["runs"]["hardhat"] = [
        {"cpu calls plain: hardhat": 0.5, "cpu calls plain: load generator": 0.25}
    ]
    [section] = page.as_page([kept]).split("### Where the processor time goes")[1:]
    shown = "| calls plain | 0.38 | 0.25 | 0.25 | 0.00 | 0.00 | 0.12 | 1.00 | 2,000 /s | 0.75 |"
    assert shown in section
    assert "closed" not in section


def test_what_operations_cost_is_left_out_where_it_was_not_measured():
    assert "processor time" not in page.as_page([networks(memory=300.0)])


def test_curves_stand_below_the_tables_under_one_heading():
    text = page.as_page(sorted([curves("slots"), networks(memory=1.0)], key=page.is_curves))
    assert text.count("## As work grows") == 1
    assert text.index("resident") < text.index("## As work grows") < text.index("### Storage slots")
    assert "| 1,000 | 8.0 | 40.0 | 400.0 | 300.0 | 10.0 |" in text


def test_new_figures_take_the_place_of_those_of_their_kind():
    old, new = networks(memory=1.0), networks(memory=2.0)
    drawn = curves("slots", "nodes")
    assert page.replace([old, drawn], new) == [new, drawn]
    again = curves("slots")
    assert page.replace([old, drawn], again) == [old, again, curves("nodes")]
    assert page.replace([drawn], curves("slots", "nodes")) == [curves("slots", "nodes")]


def test_kept_files_are_read_and_written_as_one(tmp_path):
    for name, kept in (("a", curves("slots")), ("b", networks(memory=1.0))):
        (tmp_path / name).write_text(json.dumps(kept))
    parts = page.load([tmp_path / "a", tmp_path / "b"])
    page.write(parts, tmp_path / "page.md", tmp_path / "figures.json")
    assert page.read_figures(tmp_path / "figures.json") == parts
    assert page.load([tmp_path / "figures.json"]) == parts
    assert (tmp_path / "page.md").read_text() == page.as_page(parts)
    assert page.read_figures(tmp_path / "none") == []


def test_the_page_in_the_docs_is_what_its_figures_give():
    """Where it is not: `python -m tests.bench --page-of docs/benchmarks.json`."""
    parts = page.read_figures()
    assert parts
    assert page.PAGE.read_text() == page.as_page(parts)


@pytest.mark.parametrize("key", ["processor", "cores", "commit", "date"])
def test_the_page_in_the_docs_says_where_and_how(key):
    assert all(kept["facts"].get(key) for kept in page.read_figures())


def test_one_worker_is_a_network(tmp_path):
    file = tmp_path / "network.toml"
    file.write_text(with_one_worker())
    [paratime] = load_network(file).paratime
    assert list(paratime.nodes) == ["compute-0"]
    assert (paratime.committee.workers, paratime.committee.backup_workers) == (1, 1)
