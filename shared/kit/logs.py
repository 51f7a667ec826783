"""
Logs: one JSON or console line per event on standard output.

The event is a constant that tests may wait for; data are fields. Secrets and plaintext never: a
traceback names places and not the values of variables there, among which a key may be.
"""

import logging
import sys
from typing import Any

import structlog
import structlog.tracebacks

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


_MUTED = [False]
"""Whether lines that are no warnings are dropped now, in this process."""


def mute_logs(is_muted: bool) -> None:
    """Drop what is less than a warning from now on, or write it again."""
    _MUTED[0] = is_muted


def _drop_where_muted(
    _logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if _MUTED[0] and LEVELS.get(method, LEVELS["error"]) < LEVELS["warning"]:
        raise structlog.DropEvent
    return event


def configure_logs(level: str = "info", *, as_json: bool = True, **bound: Any) -> None:
    """Set the process up: level by name, and fields such as service and node bound once."""
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    structlog.configure(
        processors=[
            _drop_where_muted,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            tracebacks if as_json else structlog.dev.set_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
