"""The table, the JSON that is kept, and the page in the docs."""

import json
import statistics
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.measures import Figures
from tests.bench.rows import ROWS, Row, meets

Facts = dict[str, Any]
"""What the figures hang on beside the code."""
Medians = dict[str, dict[str, float]]
"""By contestant, by row."""


def medians(runs: dict[str, list[Figures]]) -> Medians:
    """Median of every figure over the runs; of what was lost, the sum."""
    found: Medians = {}
    for name, figures in runs.items():
        keys = {key for one in figures for key in one}
        found[name] = {}
        for key in keys:
            values = [one[key] for one in figures if key in one]
            found[name][key] = sum(values) if key == "lost" else statistics.median(values)
    return found


def cells(row: Row, found: Medians) -> list[str] | None:
    """Give what stands in a row: figures, ratios and the verdict; None where there is nothing."""
    ours = found["qanat"].get(row.key)
    if ours is None:
        return None
    line = [row.label, f"{ours:,.1f} {row.unit}"]
    for peer in ("hardhat", "anvil"):
        theirs = found.get(peer, {}).get(row.peers_key)
        line.append("" if theirs is None else f"{theirs:,.1f}")
        line.append(f"{ours / theirs:.2f}x" if theirs else "")
    sign = (">=" if row.more_is_better else "<=") if row.must is not None else ""
    unit = f"x {row.goal}" if row.goal else ""
    for limit in (row.must, row.stretch):
        line.append("" if limit is None else f"{sign} {limit:g}{unit}")
    line.append(verdict(row, ours, found))
    return line


def verdict(row: Row, ours: float, found: Medians) -> str:
    if row.must is None or row.stretch is None:
        return ""
    if meets(row, ours, row.stretch, found):
        return "stretch"
    reached = meets(row, ours, row.must, found)
    return {True: "ok", False: "MISSES", None: "?"}[reached]


HEADINGS = ("what", "qanat", "hardhat", "ratio", "anvil", "ratio", "must", "stretch", "")


def as_table(found: Medians, facts: Facts) -> Table:
    title = ", ".join(f"{key} {value}" for key, value in facts.items())
    table = Table(*HEADINGS, title=title, box=None)
    for row in ROWS:
        line = cells(row, found)
        if line is not None:
            table.add_row(*line)
    return table


def as_page(found: Medians, facts: Facts, command: str) -> str:
    """Give the page `docs/benchmarks.md`."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`, which writes this page; nothing here is typed by hand. All networks",
        "ran on the same machine in the same run, in turn; a figure is the median over the",
        "repetitions. The load generator runs beside them and costs CPU of its own. A ratio is",
        "ours to theirs; an encrypted row is compared with the peer's plain one, for peers do not",
        "encrypt.",
        "",
        f"Command: `{command}`",
        "",
        *(f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items()),
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
    ]
    for row in ROWS:
        line = cells(row, found)
        if line is not None:
            lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines) + "\n"


CURVES_TITLE = "## As work grows"


def with_curves(page: str, sections: list[list[str]], facts: Facts) -> str:
    """Put curves below the table of the page, in place of those that stood there."""
    head = page.partition(CURVES_TITLE)[0].rstrip("\n")
    lines = [
        "",
        CURVES_TITLE,
        "",
        "Made by `make bench ARGS='--curves --page'`. Every size is a fresh network. The CPU is",
        "that of all processes of the network together.",
        "",
        *(f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items()),
        *(line for section in sections for line in section),
    ]
    return head + "\n" + "\n".join(lines) + "\n"


def save(folder: Path, runs: dict[str, list[Figures]], facts: Facts) -> Path:
    """Keep every figure of every run; the file's name is the commit and the time."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = str(facts["date"]).replace(" ", "-").replace(":", "")
    path = folder / f"{facts['commit']}-{moment}.json"
    path.write_text(json.dumps({"facts": facts, "runs": runs}, indent=1) + "\n")
    return path
