"""
What an operation costs in processor time, by kind of process: the profile behind a figure.

Where a machine's cores are busy, their time divided by that of one operation is all that any
network could do on them, so these figures say whether a row lacks work to be saved or only waits.
"""

import math
import time
from collections.abc import Mapping, Sequence

from tests.bench import machine
from tests.bench.rows import ROWS

CPU = "cpu "
"""Begins the name of such a figure, which goes on with the key of its row and a kind of process."""
SEPARATOR = ": "
GENERATOR = "load generator"
SHOWN = ("gateway", "compute", "compute enclave", "consensus")
"""Kinds of processes that have a column of their own; the others share one."""
HEADINGS = ("operation", GENERATOR, *SHOWN, "others", "all", "by the cores, at most", "hardhat")


class Spending:
    """The processor time of a network's processes and of this one, from the making of it on."""

    def __init__(self, parts: Mapping[str, Sequence[int]]) -> None:
        self._parts = parts
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        spent = {part: machine.cpu_seconds(pids) for part, pids in self._parts.items()}
        return spent | {GENERATOR: time.process_time()}

    def figures(self, key: str, operations: int) -> dict[str, float]:
        """Share it among so many operations [ms each]."""
        return {
            f"{CPU}{key}{SEPARATOR}{part}": 1000 * (after - self._before[part]) / operations
            for part, after in self._read().items()
        }


def cost_of(figures: Mapping[str, float], key: str) -> dict[str, float]:
    """Give the cost of a row's operation by kind of process [ms]; empty where none was taken."""
    begin = f"{CPU}{key}{SEPARATOR}"
    return {
        name.removeprefix(begin): cost for name, cost in figures.items() if name.startswith(begin)
    }


def of_the_network(figures: Mapping[str, float], key: str) -> float:
    """Give what a row's operation costs without the load generator [ms]."""
    return sum(cost for part, cost in cost_of(figures, key).items() if part != GENERATOR)


def under(figures: Mapping[str, float], key: str, other: str) -> dict[str, float]:
    """Give a row's costs as those of another row."""
    return {f"{CPU}{other}{SEPARATOR}{part}": cost for part, cost in cost_of(figures, key).items()}


def as_section(found: Mapping[str, Mapping[str, float]], cores: int) -> list[str]:
    """Show what operations cost, in the page; nothing where it was not measured."""
    lines = []
    for row in ROWS:
        ours = cost_of(found["qanat"], row.key)
        if not ours:
            continue
        total = math.fsum(ours.values())
        peer = math.fsum(cost_of(found.get("hardhat", {}), row.key).values())
        others = math.fsum(c for part, c in ours.items() if part not in (GENERATOR, *SHOWN))
        cells = [f"{ours.get(part, 0):.2f}" for part in (GENERATOR, *SHOWN)]
        cells += [f"{others:.2f}", f"{total:.2f}", f"{1000 * cores / total:,.0f} /s"]
        name = row.key.removesuffix(" p50") + (" transfer" if row.key.endswith("p50") else "")
        lines.append("| " + " | ".join([name, *cells, f"{peer:.2f}" if peer else ""]) + " |")
    if not lines:
        return []
    return [
        "",
        "### Where the processor time goes",
        "",
        "Milliseconds of CPU that one operation costs all processes of a kind together, and the",
        "load generator; `make profile` has the stages of one transfer and flame graphs.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *lines,
    ]
