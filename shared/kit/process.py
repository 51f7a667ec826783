"""How a host process lives: it runs its tasks until one fails or a signal asks it to stop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import QanatError

log = structlog.get_logger()

EXIT_BAD_START = 2
"""Exit status when the process may not or cannot start: bad settings, a port that is taken."""


def run_process(main: Callable[[], Awaitable[None]]) -> None:
    """Run a service to its end; SIGINT and SIGTERM cancel it. Exits the interpreter on failure."""
    try:
        asyncio.run(_until_signalled(main))
    except QanatError as error:
        log.error("process_failed", module=error.module, code=error.code, reason=error.message)
        sys.exit(EXIT_BAD_START)
    except OSError as error:
        log.error("process_failed", reason=str(error))
        sys.exit(EXIT_BAD_START)


async def _until_signalled(main: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("process_stopped")
