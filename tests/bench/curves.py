"""
What a transaction costs as a network grows: each curve starts a fresh network at every size.

Beside the time of a transfer stands the CPU that all processes spend on one, which other programs
on the machine change little, and how it grows: the exponent e of cost ~ size^e between the first
size and the last. Of what costs no more than O(log n), it is nearly 0.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from websockets.asyncio.client import connect

from tests.bench import machine, measures, spending, workload
from tests.bench.contestants import DEFAULT, Qanat, with_nodes
from tests.bench.measures import Figures
from tests.bench.session import Session

CHUNK = 200
"""Fresh slots of one transaction, below 5 million gas."""
COUNTED = 40
"""Transfers whose CPU is counted."""
QUIET_PERCENT = 5
"""CPU of a network that has nothing left to do, of one core [%]."""
QUIET_PATIENCE_S = 120

Grow = Callable[[Session, AsyncExitStack, int], Awaitable[None]]


async def _stay(session: Session, stack: AsyncExitStack, size: int) -> None:
    """Grow nothing: the network file did."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One way to grow."""

    what: str
    sizes: tuple[int, ...]
    network: Callable[[Path, int], str] = lambda _folder, _size: DEFAULT
    """Text of the network file for a size; other files go into the folder."""
    grow: Grow = _stay
    """Makes a running network larger; what must stay open goes onto the stack."""


def _with_accounts(folder: Path, size: int) -> str:
    alloc = {f"0x{number:040x}": {"balance": "0x1"} for number in range(1 << 32, (1 << 32) + size)}
    (folder / "accounts.json").write_text(json.dumps({"alloc": alloc}))
    return DEFAULT.replace("evm_chain_id", 'genesis = "accounts.json"\nevm_chain_id', 1)


def _with_nodes(_folder: Path, size: int) -> str:
    return with_nodes(size)


def _with_paratimes(_folder: Path, size: int) -> str:
    """Copy the ParaTime beside itself, on the same nodes, each with a gateway of its own."""
    begin, end = DEFAULT.index("[[paratime]]"), DEFAULT.index("[accounts]")
    first = DEFAULT[begin:end]
    copies = [
        first.replace('"sapphire"', f'"sapphire-{number}"')
        .replace("8" + 63 * "0", f"8{number:063x}")
        .replace('"gateway"', f'"gateway-{number}"')
        .replace("8545", str(9545 + 10 * number))
        .replace("8546", str(9546 + 10 * number))
        for number in range(1, size)
    ]
    return DEFAULT[:end] + "".join(copies) + DEFAULT[end:]


async def _fill_slots(session: Session, _stack: AsyncExitStack, size: int) -> None:
    # One after the other: full blocks would raise the price of gas.
    data = workload.work_data("store(uint256)", CHUNK)
    for _ in range(math.ceil(size / CHUNK)):
        await session.execute(session.owner, session.work, data, 6_000_000)


async def _mine(session: Session, _stack: AsyncExitStack, size: int) -> None:
    await measures.mine(session, size)


async def _subscribe(session: Session, stack: AsyncExitStack, size: int) -> None:
    asked = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    )
    for _ in range(size):
        url = f"ws://127.0.0.1:{session.contestant.http_port + 1}"
        socket = await stack.enter_async_context(connect(url))
        await socket.send(asked)
        stack.push_async_callback(_cancel, asyncio.create_task(_read(socket)))


async def _read(socket: object) -> None:
    async for _ in socket:  # type: ignore[attr-defined]
        pass


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


CURVES: dict[str, Curve] = {
    "accounts": Curve("accounts in the state", (1_000, 10_000, 100_000), _with_accounts),
    "slots": Curve("storage slots", (10_000, 100_000, 1_000_000), grow=_fill_slots),
    "blocks": Curve("blocks", (1_000, 10_000, 100_000), grow=_mine),
    "subscribers": Curve("subscribers to new heads", (10, 100, 1_000), grow=_subscribe),
    "nodes": Curve("compute nodes", (4, 8, 16), _with_nodes),
    "paratimes": Curve("ParaTimes on the same nodes", (1, 3, 6), _with_paratimes),
}


def draw(curve: Curve, port: int, scale: float, say: Callable[[str], None]) -> list[Figures]:
    """Measure every size; `scale` makes sizes that the network is grown to smaller."""
    found = []
    for size in curve.sizes:
        grown = size if curve.grow is _stay else max(int(size * scale), 1)
        say(f"{grown:,} {curve.what}")
        network = Qanat(port, lambda folder, grown=grown: curve.network(folder, grown))
        try:
            network.start()
            figures = asyncio.run(_measure(network, curve, grown))
        finally:
            network.stop()
        found.append({"size": grown} | figures)
    return found


async def _measure(network: Qanat, curve: Curve, size: int) -> Figures:
    session = Session(network)
    await session.deploy_first()
    await session.prepare()
    async with AsyncExitStack() as stack:
        await curve.grow(session, stack, size)
        pids = [pid for listed in network.parts().values() for pid in listed]
        await _until_quiet(pids)
        slow = await measures.latency(session, COUNTED / 100, encrypted=False)
        load = await measures.closed_loop(session, 0.3, encrypted=False)
        return {
            "p50": slow["plain p50"],
            "cpu": spending.of_the_network(slow, "plain p50"),
            "closed": load["closed plain"],
            "memory": machine.resident_mib(pids),
            "disk": network.disk_mib(),
        }


async def _until_quiet(pids: Sequence[int]) -> None:
    """Let a network write and prune what growing left to be done."""
    for _ in range(QUIET_PATIENCE_S):
        if await asyncio.to_thread(machine.idle_cpu_percent, pids, 1.0) < QUIET_PERCENT:
            return


def exponent(points: Sequence[Figures], key: str) -> float:
    """Growth of a figure between the first size and the last: e of figure ~ size^e."""
    first, last = points[0], points[-1]
    return math.log(last[key] / first[key]) / math.log(last["size"] / first["size"])


HEADINGS = (
    "size",
    "send to receipt, p50, ms",
    "CPU a transfer, ms",
    "20 accounts closed, a second",
    "memory, MiB",
    "disk, MiB",
)
KEYS = ("p50", "cpu", "closed", "memory", "disk")


def cells(point: Figures) -> list[str]:
    """Give the figures of one size."""
    return [f"{int(point['size']):,}", *(f"{point[key]:,.1f}" for key in KEYS)]


def growth(points: Sequence[Figures]) -> list[str]:
    """Give the exponents of one curve."""
    return ["grows as size^", *(f"{exponent(points, key):+.2f}" for key in KEYS)]


def as_table(curve: Curve, points: Sequence[Figures]) -> Table:
    """Show one curve in a terminal."""
    table = Table(*HEADINGS, title=curve.what, box=None)
    for point in points:
        table.add_row(*cells(point))
    table.add_row(*growth(points))
    return table


def as_section(curve: Curve, points: Sequence[Figures]) -> list[str]:
    """Show one curve in the page."""
    rows = [*map(cells, points), growth(points)]
    return [
        "",
        f"### {curve.what[0].upper()}{curve.what[1:]}",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
