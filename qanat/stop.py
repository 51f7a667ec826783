"""How a network of processes is stopped."""

import os
import signal
import time

from qanat.launcher.state import is_alive, load_running_state
from qanat.layout import DataLayout
from shared.errors import Unavailable

PATIENCE_S = 20
"""How long nodes may take to end [s]."""


class DoesNotStop(Unavailable, module="launcher", code=24):
    """The launcher goes on although it was told to end."""


def stop_network(layout: DataLayout) -> bool:
    """
    Stop what runs on a data directory; says whether anything did.

    Raises
    ------
    DoesNotStop
        See the class.
    """
    state = load_running_state(layout)
    if state is None:
        return False
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while is_alive(state.pid):
        if time.monotonic() > deadline:
            raise DoesNotStop(f"launcher {state.pid} does not stop; kill it with `kill -9`")
        time.sleep(0.02)
    return True
