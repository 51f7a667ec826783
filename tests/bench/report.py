"""The table, and the JSON that is kept."""

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


def told(facts: Facts) -> list[str]:
    """Say what the figures hang on, without the command."""
    return [f"{key.replace('_', ' ')} {value}" for key, value in facts.items() if key != "command"]


def as_table(found: Medians, facts: Facts) -> Table:
    title = ", ".join(told(facts))
    table = Table(*HEADINGS, title=title, box=None)
    for row in ROWS:
        line = cells(row, found)
        if line is not None:
            table.add_row(*line)
    return table


def save(folder: Path, runs: dict[str, list[Figures]], facts: Facts) -> Path:
    """Keep every figure of every run; the file's name is the commit and the time."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = str(facts["date"]).replace(" ", "-").replace(":", "")
    path = folder / f"{facts['commit']}-{moment}.json"
    path.write_text(json.dumps({"facts": facts, "runs": runs}, indent=1) + "\n")
    return path
