"""How a host process lives: it runs its tasks until one fails or a signal asks it to stop."""

import asyncio
import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import NoReturn, Protocol, TypeVar

import structlog
import uvloop

from shared.errors import QanatError
from shared.kit.logs import configure_logs
from shared.kit.settings import require_mock_tee_consent
from shared.kit.tracing import tracing
from shared.tee.memory import free_at_once

log = structlog.get_logger()

EXIT_BAD_START = 2
"""
Exit status when the process may not or cannot start: bad settings, a port that is taken.

Trying again is of no use, so whoever started the process gives up. It is therefore kept for what
comes before `mark_serving`; the same error an hour later ends in `EXIT_FAILED`.
"""
EXIT_FAILED = 1
"""Exit status when a process that served cannot go on: starting it again may help."""

PR_SET_PDEATHSIG = 1
"""Source: Linux include/uapi/linux/prctl.h."""


class ServiceSettings(Protocol):
    """What the settings of every service hold."""

    @property
    def node_name(self) -> str:
        """Name in logs."""
        ...

    @property
    def log_level(self) -> str:
        """Of `shared.kit.logs.LEVELS`."""
        ...

    @property
    def log_json(self) -> bool:
        """Whether logs are for machines."""
        ...


S = TypeVar("S", bound=ServiceSettings)


def run_service(
    service: str, read: Callable[[Mapping[str, str]], S], serve: Callable[[S], Awaitable[None]]
) -> None:
    """Run a service: ask for consent to the mock, read the settings, set up logs, serve."""

    async def main() -> None:
        require_mock_tee_consent(os.environ)
        settings = read(os.environ)
        configure_logs(
            settings.log_level,
            as_json=settings.log_json,
            service=service,
            node=settings.node_name,
        )
        with tracing(service, os.environ):
            await serve(settings)

    run_process(main, uvloop.new_event_loop)


class _Phase:
    """Whether this process has begun to serve."""

    is_serving = False


def mark_serving() -> None:
    """Say that the start is over: what fails from now on is no bad start."""
    _Phase.is_serving = True


def run_process(
    main: Callable[[], Awaitable[None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """
    Run a service to its end; SIGINT and SIGTERM cancel it. Exits the interpreter on failure.

    `loop_factory` makes the event loop; asyncio's own where there is none.
    """
    free_at_once()
    _end_with_launcher()
    # On SIGUSR1 every thread says where it stands: file and line, no values.
    faulthandler.register(signal.SIGUSR1, sys.__stderr__ or sys.stderr)
    _Phase.is_serving = False
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_until_signalled(main))
    except (QanatError, OSError) as error:
        _exit_failed((error,))
    except BaseExceptionGroup as group:
        expected, bugs = group.split((QanatError, OSError))
        if bugs is not None or expected is None:
            raise
        _exit_failed(leaves(expected))


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the errors of a group and of the groups in it: tasks fail in groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def _exit_failed(errors: Iterable[BaseException]) -> NoReturn:
    for error in errors:
        if isinstance(error, QanatError):
            log.error("process_failed", module=error.module, code=error.code, reason=error.message)
        else:
            log.error("process_failed", reason=str(error))
    sys.exit(EXIT_FAILED if _Phase.is_serving else EXIT_BAD_START)


async def _until_signalled(main: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(main())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("process_stopped")


def _end_with_launcher() -> None:
    """Ask for SIGTERM when the launcher dies, so that no orphan keeps a port."""
    launcher = os.environ.get("QANAT_PARENT_PID")
    if launcher is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(launcher):
        sys.exit("the launcher is gone")
