"""What holds for tests of the command line."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _hears_ctrl_c_again() -> Iterator[None]:
    """A command that has ended hears no Ctrl-C any more, and here it ends without its process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
