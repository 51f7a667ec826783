"""What holds for all tests."""

import functools
import gc
import signal
import ssl

import pytest
from hypothesis import settings
from xdist.workermanage import WorkerController

from tests.support.short_run import IS_SHORT, examples

# A slow machine is no counterexample: pytest's own timeout bounds a test.
settings.register_profile("qanat", deadline=None, max_examples=examples(100))
settings.load_profile("qanat")

# A shell that runs this in the background lets it ignore Ctrl-C, and whatever tests start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each HTTP client reads the machine's certificate authorities, which takes 40 ms.
ssl.create_default_context = functools.cache(ssl.create_default_context)

LEFT_OUT = pytest.StashKey[int]()
LONG = "long", "docker"
"""Marks of what a short run leaves out: an image is built before any container starts."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, in a short run, what is long; whoever selects tests came before."""
    if not IS_SHORT:
        return
    long = [item for item in items if any(map(item.get_closest_marker, LONG))]
    items[:] = [item for item in items if not any(map(item.get_closest_marker, LONG))]
    if long:
        config.hook.pytest_deselected(items=long)
    config.stash[LEFT_OUT] = len(long)


def pytest_collection_finish() -> None:
    """Keep what was imported out of all later garbage collections: a twentieth of a run's CPU."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that reports, where tests are shared, what this one left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over what a process left out: each collects the same tests."""
    output = getattr(node, "workeroutput", None) or {}
    node.config.stash[LEFT_OUT] = output.get("left_out", 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if IS_SHORT:
        number = config.stash.get(LEFT_OUT, 0)
        terminalreporter.section("short run")
        terminalreporter.line(
            f"Left out: {number} long tests, and up to nine of ten examples of each property. "
            "`make test ALL=1` runs them, as CI does."
        )
