"""
Is a network slower after many blocks? Measured beside a fresh one, for machines change too.

Both are started together: of two that are alike, the one that was started a minute earlier was
slower by 4 % (24 turns), so what was started at another time proves nothing.
"""

import asyncio
import statistics
import time

from tests.bench import machine
from tests.bench.contestants import CannotRun, Qanat
from tests.bench.measures import Figures, closed_loop, latency, mine
from tests.bench.session import Session

TURNS = 16
"""Of each network: one after the other, and who begins changes."""
BESIDE = 1_000
"""Between the ports of networks."""
LOOK_S = 0.5
QUIET_PERCENT = 10
"""Of a core; a network that uses less of it is at rest."""
QUIET_TIMEOUT_S = 120


async def aged(session: Session, scale: float, blocks: int) -> Figures:
    """Latency and throughput after so many blocks, in turn with those of a fresh network."""
    first_port = session.contestant.http_port
    networks = [Qanat(first_port + BESIDE * number) for number in (1, 2)]
    try:
        await asyncio.gather(*(asyncio.to_thread(network.start) for network in networks))
        old, fresh = map(Session, networks)
        for one in (old, fresh):
            await one.deploy_first()
            await one.prepare()
        await mine(old, blocks)
        await until_quiet(old)
        return await in_turn(old, fresh, scale)
    finally:
        for network in networks:
            await asyncio.to_thread(network.stop)


async def until_quiet(session: Session) -> None:
    """Wait until nobody works any more: some nodes hear of many blocks later than others."""
    pids = [pid for listed in session.contestant.parts().values() for pid in listed]
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    while time.monotonic() < deadline:
        if await asyncio.to_thread(machine.idle_cpu_percent, pids, LOOK_S) < QUIET_PERCENT:
            return
    raise CannotRun(f"the network was not at rest within {QUIET_TIMEOUT_S} s")


async def in_turn(old: Session, fresh: Session, scale: float) -> Figures:
    """Measure two networks, each while the other one idles."""
    found: dict[Session, list[Figures]] = {old: [], fresh: []}
    for turn in range(TURNS):
        for session in (old, fresh) if turn % 2 else (fresh, old):
            figures = await latency(session, scale / 2, encrypted=False)
            found[session].append(figures | await closed_loop(session, scale, encrypted=False))
    closed, fresh_closed = (_median(found[one], "closed plain") for one in (old, fresh))
    return {
        "aged plain p50": _median(found[old], "plain p50"),
        "aged fresh p50": _median(found[fresh], "plain p50"),
        "aged closed plain": closed,
        "aged fresh closed": fresh_closed,
        "aged share": 100 * closed / fresh_closed,
    }


def _median(runs: list[Figures], key: str) -> float:
    return statistics.median(one[key] for one in runs)
