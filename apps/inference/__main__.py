"""
Runs the service: `python -m apps.inference --help`.

It needs an app daemon for its keys and quotes, and nothing else: no chain, no folder.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog
import uvicorn

from apps.inference.serve.service import serving
from shared.errors import QanatError
from shared.kit.logs import configure_logs
from shared.kit.sockets import open_sockets

KEY_BYTES = 32
log = structlog.get_logger(__name__)


def main() -> None:
    """Read the command line and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="inference", description=__doc__)
    parser.add_argument("--appd", type=Path, required=True, help="socket of the app daemon")
    parser.add_argument("--port", type=int, default=8595, help="loopback port; 0 takes a free one")
    parser.add_argument(
        "--key-hash",
        action="append",
        default=[],
        type=_read_hash,
        metavar="HEX",
        help="SHA-256 of an API key that may ask; without any, everybody may",
    )
    options = parser.parse_args()
    configure_logs(service="inference")
    if hasattr(os, "SCHED_BATCH"):
        # Of the whole process: a batch never takes the processor from what was just woken.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        asyncio.run(serve(options.appd, options.port, frozenset(options.key_hash)))
    except QanatError as error:
        sys.exit(f"error: {error.message}")


async def serve(appd: Path, port: int, key_hashes: frozenset[bytes]) -> None:
    """Serve on loopback until SIGINT or SIGTERM; nothing of a request is logged."""
    async with serving(appd, key_hashes) as app:
        sockets = open_sockets("127.0.0.1", port)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(
                number, setattr, server, "should_exit", True
            )
        log.info("ready", port=sockets[0].getsockname()[1], tee="MOCK")
        # The public serve() would take the signals and raise them again once it has ended.
        await server._serve(sockets)  # noqa: SLF001


def _read_hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != KEY_BYTES:
        raise ValueError("a SHA-256 has 32 bytes")
    return found


if __name__ == "__main__":
    main()
