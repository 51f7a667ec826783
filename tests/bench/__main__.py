"""
Measure Qanat, and beside it Hardhat and Anvil, in one run on the same machine.

Each repetition starts every network afresh and takes each measure of one after the other, while
the others idle: a machine may be twice as fast a minute later. The table shows medians.
"""

import argparse
import asyncio
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import contestants, curves, machine, measures, page, report, spending, suite
from tests.bench.aging import aged
from tests.bench.assistants import with_model
from tests.bench.client import RpcError
from tests.bench.contestants import CannotRun, Contestant, Qanat
from tests.bench.curves import CURVES
from tests.bench.measures import Figures, Measure
from tests.bench.session import Session
from tests.support.networks import ROOT

PORT_BASE = 28545
PEERS_AFTER = 500
"""Ports of peers, from that of Qanat on."""
KEPT = ROOT / ".qanat" / "bench"

MEASURES: dict[str, Measure] = {
    "latency": partial(measures.latency, encrypted=False),
    "closed": partial(measures.closed_loop, encrypted=False),
    "flight": partial(measures.in_flight, encrypted=False),
    "batches": measures.batches,
    "burst": measures.burst,
    "calls": partial(measures.calls, encrypted=False),
    "numbers": measures.block_numbers,
    "hashing": measures.hashing,
    "storage": measures.storage,
    "logs": measures.logs,
    "snapshots": measures.snapshots,
}
ENCRYPTED: dict[str, Measure] = {
    "latency-encrypted": partial(measures.latency, encrypted=True),
    "closed-encrypted": partial(measures.closed_loop, encrypted=True),
    "flight-encrypted": partial(measures.in_flight, encrypted=True),
    "calls-encrypted": partial(measures.calls, encrypted=True),
}
OURS: dict[str, Measure] = {
    "weight": measures.weight,
    "model": with_model,
    "long-snapshots": measures.snapshots_of_a_long_chain,
}
LAST: dict[str, Measure] = {"footprint": measures.footprint}
SUITE = "suite"
MORE = (SUITE, "resume", "single")
"""Upstream's suite, where it is there, and measures of whole networks, that `run_more` takes."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is measured of each network, and how much of it."""

    wanted: set[str]
    """Names of measures; empty for all."""
    scale: float
    age: int
    """Blocks after which some is measured again; 0 for never."""
    last: dict[str, Measure]
    """Measures after all others, since they leave much behind."""


@dataclass(frozen=True, slots=True)
class Started:
    """A network that runs, and what was measured of it."""

    session: Session
    figures: Figures
    speeds_ms: list[float] = field(default_factory=list)
    """Of a fixed piece of work, before each measure."""
    cold_factors: list[float] = field(default_factory=list)
    """Of a process that wakes, before each measure; see `machine.cold_factor`."""

    @property
    def contestant(self) -> Contestant:
        return self.session.contestant

    def look_at_machine(self) -> None:
        """Note how fast the machine is now."""
        self.speeds_ms.append(machine.fixed_work_ms())
        self.cold_factors.append(machine.cold_factor())

    async def take(self, name: str, measure: Measure, scale: float) -> None:
        """Take a measure; what cannot be measured is said."""
        self.look_at_machine()
        try:
            found = await measure(self.session, scale)
        except (RpcError, CannotRun) as error:
            # A row that a network cannot fill stays empty; the reason is said, not hidden.
            say_aside(f"{self.contestant.name}: {name}: {error}")
            await self.session.recover()
            return
        self.figures["lost"] += found.pop("lost", 0)
        self.figures.update(found)


async def start(contestant: Contestant) -> Started:
    """Start a network, up to its first mined transaction."""
    began = time.perf_counter()
    await asyncio.to_thread(contestant.start)
    session = Session(contestant)
    await session.deploy_first()
    figures: Figures = {"start": time.perf_counter() - began, "lost": 0}
    await session.prepare()
    started = Started(session, figures)
    started.look_at_machine()
    return started


def order_of(load: Load) -> dict[str, tuple[Measure, bool]]:
    """Give the measures in their order, and of each whether only Qanat has it."""
    found: dict[str, tuple[Measure, bool]] = {}
    for name, take in MEASURES.items():
        found[name] = take, False
        encrypted = f"{name}-encrypted"
        if encrypted in ENCRYPTED:
            # Beside the plain one, with which peers are compared.
            found[encrypted] = ENCRYPTED[encrypted], True
    found |= {name: (take, True) for name, take in OURS.items()}
    found |= {name: (take, False) for name, take in (LAST | load.last).items()}
    return {name: one for name, one in found.items() if not load.wanted or name in load.wanted}


async def measure(running: list[Started], load: Load, say: Say) -> None:
    """Take every measure of each network in turn, while the others idle."""
    for name, (take, is_ours) in order_of(load).items():
        for one in running:
            if not is_ours or one.contestant.encrypts:
                say(f"{name}: {one.contestant.name}")
                await one.take(name, take, load.scale)
    for one in running:
        if load.age and one.contestant.encrypts:
            say(f"{one.contestant.name}: {load.age} blocks, then again")
            await one.take("aged", partial(aged, blocks=load.age), load.scale)
        speeds = one.speeds_ms
        one.figures.update({"machine": statistics.median(speeds), "machine slowest": max(speeds)})
        one.figures["machine cold"] = statistics.median(one.cold_factors)


def say_aside(text: str) -> None:
    print(f" * {text}", file=sys.stderr)


def seconds_of(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def run_all(chosen: list[Contestant], load: Load, say: Say) -> dict[str, Figures]:
    """Start all networks, measure them in turn, and stop them."""
    running: list[Started] = []
    try:
        for contestant in chosen:
            say(f"start: {contestant.name}")
            try:
                running.append(asyncio.run(start(contestant)))
            except CannotRun as error:
                say_aside(str(error))
        asyncio.run(measure(running, load, say))
        for contestant in chosen:
            if not isinstance(contestant, Qanat):
                contestant.stop()
        for one in running:
            if isinstance(one.contestant, Qanat):
                one.figures.update(run_more(one.contestant, load, say))
    finally:
        for contestant in chosen:
            contestant.stop()
    return {one.contestant.name: one.figures for one in running}


def run_more(network: Qanat, load: Load, say: Say) -> Figures:
    """Measure how the network goes on where it stopped, and one of its own with one worker."""
    figures: Figures = {}
    if not load.wanted or "resume" in load.wanted:
        say("start on the same chain: qanat")
        figures["halt"] = seconds_of(network.halt)
        figures["resume"] = seconds_of(network.resume)
    if not load.wanted or "single" in load.wanted:
        say("with one worker: qanat")
        network.stop()
        figures |= run_single(network.http_port, load.scale)
    return figures


def run_single(port: int, scale: float) -> Figures:
    """
    Measure a network with one worker.

    That is what the default network would take on a machine with a core for every process.
    """
    network = Qanat(port, lambda _folder: contestants.with_one_worker())
    try:
        network.start()
        found = asyncio.run(latency_alone(network, scale))
    finally:
        network.stop()
    costs = spending.under(found, "plain p50", "single p50")
    return costs | {"single p50": found["plain p50"]}


async def latency_alone(contestant: Contestant, scale: float) -> Figures:
    """Take the latency of plain transfers and nothing else."""
    session = Session(contestant)
    await session.deploy_first()
    await session.prepare()
    return await measures.latency(session, scale, encrypted=False)


def chosen_contestants(names: list[str], port: int) -> list[Contestant]:
    """Give Qanat and those of the wanted peers that can run here."""
    found: list[Contestant] = [Qanat(port)]
    peers = {"hardhat": contestants.hardhat, "anvil": contestants.anvil}
    wanted = [name for name in names if name in peers]
    if wanted:
        try:
            contestants.install_peers()
            found += [peers[name](port + PEERS_AFTER + at) for at, name in enumerate(wanted)]
        except CannotRun as error:
            say_aside(f"without {' and '.join(wanted)}: {error}")
    return found


def suite_measure(upstream: Path) -> dict[str, Measure]:
    """Give upstream's suite as a measure, or nothing where it cannot run here."""
    try:
        return {SUITE: suite.prepare(upstream).measure}
    except CannotRun as error:
        say_aside(f"without {SUITE}: {error}")
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the load [factor]")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each network")
    parser.add_argument("--only", nargs="*", default=[], help="measures by name, see --list")
    parser.add_argument("--peers", nargs="*", default=["hardhat", "anvil"])
    parser.add_argument("--age", type=int, default=0, help="also measure after so many blocks")
    parser.add_argument(
        "--curves",
        nargs="*",
        choices=sorted(CURVES),
        help="instead: what a transaction costs as the network grows; all curves, or these",
    )
    parser.add_argument(
        "--upstream",
        type=Path,
        default=suite.UPSTREAM,
        help="checkout of sapphire-paratime, whose `contracts` suite is run",
    )
    parser.add_argument("--port-base", type=int, default=PORT_BASE)
    parser.add_argument(
        "--page", action="store_true", help=f"put the figures into {page.PAGE.relative_to(ROOT)}"
    )
    parser.add_argument(
        "--page-of",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="measure nothing: make that page of figures that were kept",
    )
    parser.add_argument("--list", action="store_true", help="name the measures and stop")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join([*(MEASURES | ENCRYPTED | OURS | LAST), *MORE]))
        return
    if arguments.page_of:
        page.write(page.load(arguments.page_of))
        return
    if contestants.is_port_taken(arguments.port_base):
        sys.exit(f"port {arguments.port_base} is taken: choose another --port-base")
    console = Console(width=None if sys.stdout.isatty() else 160)
    facts = machine.facts()
    # A curve has one network for each size.
    facts["repetitions"] = arguments.repeat if arguments.curves is None else 1
    facts["command"] = shlex.join(["make", "bench", f"ARGS={shlex.join(sys.argv[1:])}"])
    if arguments.curves is not None:
        draw_curves(arguments.curves or list(CURVES), arguments, console, facts)
        return
    last = suite_measure(arguments.upstream) if SUITE in (arguments.only or [SUITE]) else {}
    runs: dict[str, list[Figures]] = {}
    with console.status("measuring") as status:
        for repetition in range(arguments.repeat):
            say = partial(_show, status, repetition + 1, arguments.repeat)
            load = Load(set(arguments.only), arguments.scale, arguments.age, last)
            chosen = chosen_contestants(arguments.peers, arguments.port_base)
            for name, figures in run_all(chosen, load, say).items():
                runs.setdefault(name, []).append(figures)
    found = report.medians(runs)
    console.print(report.as_table(found, facts))
    keep(runs, facts, console, is_page_wanted=arguments.page)


def keep(
    runs: dict[str, list[Figures]], facts: report.Facts, console: Console, *, is_page_wanted: bool
) -> None:
    """Keep every figure of every run, and put them into the page where that is wanted."""
    kept = report.save(KEPT, runs, facts)
    console.print(f"Every figure: {kept.relative_to(ROOT)}")
    if is_page_wanted:
        page.write(page.replace(page.read_figures(), page.load([kept])[0]))


def draw_curves(
    names: list[str], arguments: argparse.Namespace, console: Console, facts: report.Facts
) -> None:
    """Measure, show and keep curves."""
    drawn: dict[str, list[Figures]] = {}
    with console.status("measuring") as status:
        for name in names:
            say = partial(_show, status, names.index(name) + 1, len(names))
            drawn[name] = curves.draw(CURVES[name], arguments.port_base, arguments.scale, say)
            console.print(curves.as_table(CURVES[name], drawn[name]))
    runs = {f"{page.CURVE}{name}": points for name, points in drawn.items()}
    keep(runs, facts, console, is_page_wanted=arguments.page)


def _show(status: object, repetition: int, of: int, text: str) -> None:
    status.update(f"{repetition} of {of}: {text}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
