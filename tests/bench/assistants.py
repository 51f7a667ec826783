"""Do blocks keep their time while a language model answers on the same machine?"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.bench.measures import Figures, ms_since
from tests.bench.session import Session
from tests.support.networks import ROOT

SLICES = 6
"""Quiet and busy ones take turns, so that what changes in between is in both."""
START_TIMEOUT_S = 60
POLL_S = 0.05


async def with_model(session: Session, scale: float) -> Figures:
    """
    One transfer after the other, with four clients of the inference service and without.

    A slice is long beside the tenths of a second in which the model sees that others are at work.
    """
    each = max(int(100 * scale), 30)
    quiet: list[float] = []
    busy: list[float] = []
    rates: list[float] = []
    async with serving() as url:
        for at in range(SLICES):
            if at % 2:
                async with asking(url) as rate:
                    busy += await transfers(session, each)
                rates += rate
            else:
                quiet += await transfers(session, each)
    found = [statistics.median(one) for one in (quiet, busy)]
    return {
        "quiet p50": found[0],
        "model p50": found[1],
        "model share": 100 * found[1] / found[0],
        "model tokens": statistics.median(rates),
    }


async def transfers(session: Session, count: int) -> list[float]:
    """Give how long each of so many transfers takes from sending to its receipt [ms]."""
    (raws,) = await session.transfers([session.owner], count, encrypted=False)
    client, times = await session.client(), []
    for raw in raws:
        began = time.perf_counter()
        await client.receipt(await client.rpc("eth_sendRawTransaction", raw), 0.0)
        times.append(ms_since(began))
    client.close()
    return times


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[list[float]]:
    """
    Have four clients ask without end; the model computes before this begins.

    Gives a list that has, after the end, how many pieces of answers came in a second.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.asking", url),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    rates: list[float] = []
    try:
        said = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        assert said == b"begun\n", "the clients got no answer"
        began = time.perf_counter()
        yield rates
        process.stdin.close()
        came = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        assert came, "a client got no answer"
        rates.append(int(came) / (time.perf_counter() - began))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Run an app daemon and the inference service; gives its URL."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        socket, log = folder / "appd.sock", folder / "log"
        daemon = ("qanat", "rofl", "appd", "--socket", str(socket))
        await stack.enter_async_context(_running(folder / "daemon", *daemon))
        await _until(socket.exists)
        service = ("apps.inference", "--appd", str(socket), "--port", "0")
        await stack.enter_async_context(_running(log, *service))
        await _until(lambda: _port(log))
        yield f"http://127.0.0.1:{_port(log)}"


@asynccontextmanager
async def _running(log: Path, *command: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def _port(log: Path) -> int | None:
    events = (line for line in log.read_text().splitlines() if '"ready"' in line)
    return next((int(json.loads(line)["port"]) for line in events), None)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while not condition():
            await asyncio.sleep(POLL_S)
