"""
Runs the service: `python -m apps.inference --help`.

It needs an app daemon for its keys and quotes, and nothing else: no chain, no folder. What the
command line does not say is taken from the environment, where a worker puts an app's secrets.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices
from apps.inference.models.answered import CONTEXT_TOKENS
from apps.inference.models.pace import BUSY_SHARE
from apps.inference.serve.engine import Engine, Models
from apps.inference.serve.service import load_models, serving
from apps.listening import listen
from shared.errors import QanatError
from shared.kit.logs import configure_logs

KEY_BYTES = 32
GRACE_S = 1
"""
How long answers that were ended may take to reach their readers once the service is to end [s]; a
worker kills what is there after 2 s.
"""
log = structlog.get_logger(__name__)


def main() -> None:
    """Read the command line and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="inference", description=__doc__)
    common_options(parser, port=8595)
    parser.add_argument(
        "--key-hash",
        action="append",
        default=[],
        type=_read_hash,
        metavar="HEX",
        help="SHA-256 of an API key that may ask; without any, everybody may (KEY_HASHES)",
    )
    parser.add_argument(
        "--meter",
        default=os.environ.get("METER"),
        help="address of InferenceMeter there; answers are paid then (METER)",
    )
    options = parser.parse_args()
    configure_logs(service="inference")
    take_little()
    try:
        asyncio.run(run(options))
    except QanatError as error:
        sys.exit(f"error: {error.message}")


def common_options(parser: argparse.ArgumentParser, *, port: int) -> None:
    """Add what both services of this project have: daemon, port, chain and prices."""

    def add(name: str, kind: Callable[[str], object], default: object, text: str) -> None:
        variable = name.upper().replace("-", "_")
        # A text is read as the option's own value would be.
        known = os.environ.get(variable, default)
        parser.add_argument(f"--{name}", type=kind, default=known, help=f"{text} ({variable})")

    appd = os.environ.get("ROFL_APPD_SOCKET")
    parser.add_argument(
        "--appd", type=Path, default=appd, required=appd is None, help="socket of the app daemon"
    )
    add("port", int, port, "to serve on; 0 takes a free one")
    add("gateway", str, None, "URL of the ParaTime that credit is kept on")
    add("prompt-wei", int, 10**9, "price of a token read")
    add("completion-wei", int, 10**10, "of a token written")
    add("epoch-s", float, 60.0, "seconds between two roots")
    add("busy-share", _read_share, BUSY_SHARE, "of a core, for the model while others want it")


def take_little() -> None:
    """Leave the processor to others; of the whole process."""
    if hasattr(os, "SCHED_BATCH"):
        # A batch never takes the processor from what was just woken.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def run(options: argparse.Namespace) -> None:
    """Serve, with a meter where one is named; the last epoch is charged at the end."""
    named = [_read_hash(one) for one in os.environ.get("KEY_HASHES", "").split()]
    key_hashes = frozenset(options.key_hash or named)
    if options.meter is None:
        await serve(options, key_hashes, None)
        return
    # Only now: a service without a meter needs no client of a chain.
    from apps.appd import BlockingAppd
    from apps.inference.metering.chain import ChainMeter, service_account

    account = await service_account(options.appd)
    log.info("metered", account=account.address, meter=options.meter)
    prices = Prices(options.prompt_wei, options.completion_wei)
    daemon = BlockingAppd(options.appd)
    chain = await asyncio.to_thread(ChainMeter, options.gateway, account, options.meter, daemon)
    await asyncio.to_thread(chain.introduce)
    meter = Meter(chain, prices, CONTEXT_TOKENS)
    charging = asyncio.create_task(charge(meter, options.epoch_s))
    try:
        await serve(options, key_hashes, meter)
    finally:
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await meter.commit()


async def charge(meter: Meter, epoch_s: float) -> None:
    """Charge each epoch; what fails is sent again with the next."""
    while True:
        await asyncio.sleep(epoch_s)
        try:
            epoch = await meter.commit()
        except QanatError as error:
            log.warning("not_charged", reason=error.message)
        else:
            if epoch is not None:
                log.info("charged", epoch=epoch.number, receipts=len(epoch.leaves))


async def serve(
    options: argparse.Namespace,
    key_hashes: frozenset[bytes],
    meter: Meter | None,
    extend: Callable[[Models, Engine], Models] = lambda models, _: models,
) -> None:
    """Serve where the worker says, or on loopback, until told to end; logs no request."""
    engine = Engine()
    load = partial(load_models, options.busy_share)
    async with serving(
        options.appd, key_hashes, load=load, engine=engine, meter=meter, extend=extend
    ) as app:
        sockets = listen(options.port)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )

        def end() -> None:
            engine.end_answers()
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end)
        log.info("ready", port=sockets[0].getsockname()[1], tee="MOCK")
        # The public serve() would take the signals and raise them again once it has ended.
        await server._serve(sockets)  # noqa: SLF001


def _read_share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError("a share is more than 0, and at most 1")
    return share


def _read_hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != KEY_BYTES:
        raise ValueError("a SHA-256 has 32 bytes")
    return found


if __name__ == "__main__":
    main()
