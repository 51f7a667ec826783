"""The beginning of a host process: the wall first, then the service."""

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from qanat.launcher.wall import put_up_wall

HOST_WALL = "QANAT_HOST_WALL"
"""As `shared.kit.http` shows it; not imported from there, because nothing of a host runs yet."""
DATA_ROOT, DATA_DIR, GENESIS = "QANAT_DATA_ROOT", "QANAT_DATA_DIR", "QANAT_GENESIS"


def run_host(service: str, around: Sequence[Path] | None = None) -> None:
    """
    Shut this process in, and be a host, as its environment says.

    Parameters
    ----------
    service : `str`
        Package whose `__main__` it runs.
    around : `Sequence`, optional
        As of `put_up_wall`.
    """
    own = Path(os.environ[DATA_DIR])
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ[HOST_WALL] = put_up_wall(
        Path(os.environ.pop(DATA_ROOT)),
        writable=[own],
        readable=Path(os.environ[GENESIS]).parent,
        around=around,
    )
    runpy.run_module(service, run_name="__main__", alter_sys=True)


def leave_out_consoles() -> None:
    """
    Keep `rich` and what follows it from being loaded: structlog would, to print to consoles.

    Hosts write JSON lines. It is a tenth of a second and 4 MiB.
    """
    sys.modules["rich"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    leave_out_consoles()
    run_host(sys.argv.pop(1))
