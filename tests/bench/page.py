"""
The page `docs/benchmarks.md`, from figures that were kept.

The figures of the page lie beside it, so whoever doubts a median sees every run; a test makes the
page again and compares.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import spending
from tests.bench.curves import CURVES, as_section
from tests.bench.reasons import Reason, reason_of
from tests.bench.report import HEADINGS, Facts, Medians, cells, medians, told, verdict
from tests.bench.rows import ROWS
from tests.support.networks import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "docs" / "benchmarks.json"

Kept = dict[str, Any]
"""Facts and runs, as `report.save` writes them."""

CURVE = "curve "
"""Begins the name of what is a curve, where others have the name of a network."""
HEAD = """\
# Benchmarks

Made by `make bench`, which writes this page and, beside it, [every figure of every
run](benchmarks.json); nothing here is typed by hand but the reasons, which are in
`tests/bench/reasons.py`. All networks ran on the same machine in the same run, each repetition
afresh; each measure was taken of one after the other, while the others idled. A figure is the
median over the repetitions, and of what was lost the sum. The
load generator runs beside them and costs CPU of its own. A ratio is ours to theirs; an encrypted
row is compared with the peer's plain one, for peers do not encrypt. *must* and *stretch* are the
goals that this project has set itself; nothing asserts them. A virtual machine is faster at one
moment than at the next: the last rows time a fixed piece of work before each of the others, and say
how many times as long a process takes for the same after a pause: who shares the machine uses its
caches meanwhile, which slows down what wakes for a moment, as every process of this network does,
and not one that is always at work.

To make it again, on a machine that does nothing else:

```sh
make bench ARGS="--page"
make bench ARGS="--curves --page"
```
"""
CURVES_HEAD = """
## As work grows

Every size is a fresh network. The CPU is that of all processes of the network together. What costs
no more than O(log n) a transaction grows as size to the power of nearly nothing.
"""


def is_curves(kept: Kept) -> bool:
    """Say whether these figures are curves, rather than networks side by side."""
    return any(name.startswith(CURVE) for name in kept["runs"])


def replace(before: Sequence[Kept], new: Kept) -> list[Kept]:
    """Put new figures in the place of those of their kind: networks, or curves by name."""
    parts = [new]
    for kept in before:
        if is_curves(kept) != is_curves(new):
            parts.append(kept)
        elif is_curves(new):
            left = {name: of for name, of in kept["runs"].items() if name not in new["runs"]}
            if left:
                parts.append(kept | {"runs": left})
    return sorted(parts, key=is_curves)


def load(files: Sequence[Path]) -> list[Kept]:
    """Read files that were kept, or the page's own figures, tables before curves."""
    parts: list[Kept] = []
    for file in files:
        found = json.loads(file.read_text())
        parts += found if isinstance(found, list) else [found]
    return sorted(parts, key=is_curves)


def write(parts: Sequence[Kept], page: Path = PAGE, figures: Path = FIGURES) -> None:
    """Write the page and its figures."""
    figures.write_text(json.dumps(parts, indent=1) + "\n")
    page.write_text(as_page(parts))


def read_figures(figures: Path = FIGURES) -> list[Kept]:
    """Read the figures of the page; none where there is no page yet."""
    return json.loads(figures.read_text()) if figures.exists() else []


def as_page(parts: Sequence[Kept]) -> str:
    """Give the text of the page."""
    lines = HEAD.splitlines()
    curves = [kept for kept in parts if is_curves(kept)]
    for kept in parts:
        if not is_curves(kept):
            lines += _as_side_by_side(kept)
    if curves:
        lines += CURVES_HEAD.splitlines()
    for kept in curves:
        lines += _as_curves(kept)
    return "\n".join(lines) + "\n"


def _as_facts(facts: Facts) -> list[str]:
    command = facts.get("command")
    return [*([f"`{command}`", ""] if command else []), ", ".join(told(facts)) + "."]


def _as_side_by_side(kept: Kept) -> list[str]:
    found = medians(kept["runs"])
    rows = [line for row in ROWS if (line := cells(row, found)) is not None]
    lines = ["", f"## {', '.join(name.capitalize() for name in found)}", ""]
    lines += _as_facts(kept["facts"])
    lines += ["", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(line) + " |" for line in rows]
    lines += spending.as_section(found, int(kept["facts"]["cores"]))
    missed = _missed(found)
    if missed:
        lines += ["", "### What misses, why, and what would reach it"]
    for reason, labels in missed.items():
        lines += ["", f"**{'; '.join(labels)}.**"]
        if reason is None:
            lines += ["Nobody has found out yet."]
        else:
            lines += [reason.why, f"*Design:* {reason.design}"]
    return lines


def _missed(found: Medians) -> dict[Reason | None, list[str]]:
    """Rows that miss what they must reach, by their reason."""
    missed: dict[Reason | None, list[str]] = {}
    whole = ""
    for row in ROWS:
        # A label that is indented goes on where the one before it left off.
        is_part = row.label.startswith(" ")
        label = f"{whole}: {row.label.strip()}" if is_part else row.label
        whole = whole if is_part else row.label.removesuffix(", p50").removesuffix(", plain")
        ours = found["qanat"].get(row.key)
        if ours is not None and verdict(row, ours, found) == "MISSES":
            missed.setdefault(reason_of(row.key), []).append(f"{label} {ours:,.1f} {row.unit}")
    return missed


def _as_curves(kept: Kept) -> list[str]:
    lines = ["", *_as_facts(kept["facts"])]
    for name, points in kept["runs"].items():
        lines += as_section(CURVES[name.removeprefix(CURVE)], points)
    return lines
