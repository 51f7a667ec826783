"""
Show where one transaction's CPU and time go: `make profile`.

Starts a network of its own and sends ERC-20 transfers, one after the other. First it counts the
processor time of every kind of process, undisturbed; then it records one process of each service
by sampling, and writes a flame graph of each. Enclaves cannot be traced but by root, which is by
design; what cannot be recorded is said. A second network tells the spans of each round: the stages
of a transaction, plain and encrypted, by the clock.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.kit.tracing import FILE
from tests.bench import contestants, machine
from tests.bench.__main__ import PORT_BASE
from tests.bench.contestants import Qanat
from tests.bench.session import Session
from tests.bench.stages import as_stage_table, read_rounds, stage_times
from tests.support.networks import ROOT

KEPT = ROOT / ".qanat" / "profile"
RECORDED = ("gateway", "compute", "compute enclave", "consensus", "keymanager")
ENCRYPTED = "encrypted"
WARM = 30
"""Transfers before anything is counted: connections, caches."""
RATE = 200
"""Samples a second."""
SAMPLER_PATIENCE_S = 30


@dataclass(frozen=True)
class Cost:
    """What one transaction costs."""

    cpu_ms: dict[str, float]
    """Of all processes of a kind together."""
    processes: dict[str, int]
    p50_ms: float
    """From sending to the receipt."""

    @property
    def total_ms(self) -> float:
        return sum(self.cpu_ms.values())


def cost_of(
    before_s: Mapping[str, float],
    after_s: Mapping[str, float],
    processes: Mapping[str, Sequence[int]],
    times_ms: Sequence[float],
) -> Cost:
    """Reckon the cost of a transaction from the processor times around all of them."""
    spent = {part: 1000 * (after_s[part] - before_s[part]) / len(times_ms) for part in before_s}
    counts = {part: len(pids) for part, pids in processes.items()}
    return Cost(spent, counts, statistics.median(times_ms))


def as_table(cost: Cost) -> Table:
    """Show the cost, the dearest first."""
    table = Table(title=f"one transaction: p50 {cost.p50_ms:.1f} ms", title_justify="left")
    for heading in ("processes", "how many", "CPU ms, together", "CPU ms, each", "of all"):
        table.add_column(heading, justify="left" if heading == "processes" else "right")
    for part, spent in sorted(cost.cpu_ms.items(), key=lambda one: -one[1]):
        count = cost.processes[part]
        share = 100 * spent / (cost.total_ms or 1)
        table.add_row(part, str(count), f"{spent:.2f}", f"{spent / count:.2f}", f"{share:.0f} %")
    table.add_section()
    table.add_row("all", str(sum(cost.processes.values())), f"{cost.total_ms:.2f}", "", "")
    return table


async def send(session: Session, raws: Sequence[str]) -> list[tuple[int, int]]:
    """Send transfers one after the other; when each was sent, and had its receipt [Unix ns]."""
    client = await session.client()
    times = []
    for raw in raws:
        began_ns = time.time_ns()
        await client.receipt(await client.rpc("eth_sendRawTransaction", raw), 0.0)
        times.append((began_ns, time.time_ns()))
    client.close()
    return times


async def send_traced(session: Session, count: int, *, encrypted: bool) -> list[tuple[int, int]]:
    """Send transfers to a network that is warm and traced; see `send`."""
    [raws] = await session.transfers([session.owner], count, encrypted=encrypted)
    return await send(session, raws)


async def send_both(network: Qanat, count: int) -> dict[str, list[tuple[int, int]]]:
    """Send plain transfers and encrypted ones; those before anything is counted are `warm`."""
    session = Session(network)
    await session.deploy_first()
    return {
        kind: await send_traced(session, many, encrypted=kind == ENCRYPTED)
        for kind, many in (("warm", WARM), ("plain", count), (ENCRYPTED, count))
    }


def profile_stages(network: Qanat, count: int) -> dict[str, dict[str, list[float]]]:
    """Trace a network that was not started yet: how long each stage took, by kind [ms]."""
    os.environ["QANAT_TRACE"] = FILE
    try:
        network.start()
        sent = asyncio.run(send_both(network, count))
        network.halt()
        # The first of all deployed the token.
        rounds = read_rounds(network.data)[1:]
    finally:
        del os.environ["QANAT_TRACE"]
        network.stop()
    times, first = {}, 0
    for kind, of_kind in sent.items():
        here = rounds[first : first + len(of_kind)]
        first += len(of_kind)
        if kind != "warm":
            times[kind] = stage_times(here, of_kind)
    return times


def start_samplers(parts: Mapping[str, Sequence[int]]) -> dict[Path, subprocess.Popen[str]]:
    """Begin to record one process of each service, until it is told to stop."""
    sampler = Path(sysconfig.get_path("scripts")) / "py-spy"
    KEPT.mkdir(parents=True, exist_ok=True)
    found = {}
    for part in RECORDED:
        file = KEPT / f"{part.replace(' ', '-')}.svg"
        file.unlink(missing_ok=True)
        command = [sampler, "record", "--rate", str(RATE), "--pid", str(parts[part][0])]
        found[file] = subprocess.Popen(
            [*command, "--duration", "unlimited", "--output", file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    return found


def stop_samplers(samplers: Mapping[Path, subprocess.Popen[str]]) -> None:
    """End recording and say what there is now."""
    for file, process in samplers.items():
        # py-spy writes what it has on SIGINT.
        process.send_signal(2)
        _, told = process.communicate(timeout=SAMPLER_PATIENCE_S)
        if file.exists():
            print(f"{file.relative_to(ROOT)}")
        else:
            reason = told.strip().splitlines()[-1] if told.strip() else "nothing was sampled"
            print(f" * {file.stem} was not recorded: {reason}", file=sys.stderr)


async def profile(network: Qanat, count: int, *, encrypted: bool) -> Cost:
    session = Session(network)
    await session.deploy_first()
    signed = await session.transfers([session.owner], WARM + 2 * count, encrypted=encrypted)
    raws = signed[0]
    await send(session, raws[:WARM])
    parts = network.parts()
    before_s = {part: machine.cpu_seconds(pids) for part, pids in parts.items()}
    times = await send(session, raws[WARM : WARM + count])
    after_s = {part: machine.cpu_seconds(pids) for part, pids in parts.items()}
    samplers = start_samplers(parts)
    times_ms = [(ended - began) / 1e6 for began, ended in times]
    try:
        await send(session, raws[WARM + count :])
    finally:
        stop_samplers(samplers)
    return cost_of(before_s, after_s, parts, times_ms)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="transfers that are counted")
    parser.add_argument("--encrypted", action="store_true", help="count encrypted ones")
    parser.add_argument("--port-base", type=int, default=PORT_BASE)
    arguments = parser.parse_args()
    if contestants.is_port_taken(arguments.port_base):
        sys.exit(f"port {arguments.port_base} is taken: choose another --port-base")
    shutil.rmtree(KEPT, ignore_errors=True)
    network = Qanat(arguments.port_base)
    try:
        network.start()
        cost = asyncio.run(profile(network, arguments.count, encrypted=arguments.encrypted))
    finally:
        network.stop()
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(as_table(cost))
    stages = profile_stages(Qanat(arguments.port_base), arguments.count)
    console.print(as_stage_table(stages))


if __name__ == "__main__":
    main()
