"""Signals that end a process, for commands that have something to take down first."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


def unwinding() -> AbstractContextManager[None]:
    """
    Let SIGTERM, and the end of the terminal, end what is within by `SystemExit`, as Ctrl-C does.

    Nobody hears then of what was half made at that moment, such as an event loop.
    """
    return _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), _exit)


def deaf() -> AbstractContextManager[None]:
    """Hear nothing meanwhile: a second Ctrl-C would leave processes and files behind."""
    return _handling((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)


@contextmanager
def _handling(numbers: Sequence[signal.Signals], handler: Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    # It would end by an exception of its own, which Python shows with a traceback.
    sys.unraisablehook = _say_nothing
    warnings.simplefilter("ignore", RuntimeWarning)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _say_nothing(_: "sys.UnraisableHookArgs") -> None:
    pass
