"""The beginning of a host process: the wall first, then the service."""

import os
import runpy
import sys
from pathlib import Path

from qanat.launcher.wall import put_up_wall

HOST_WALL = "QANAT_HOST_WALL"
"""As `shared.kit.http` shows it; not imported from there, because nothing of a host runs yet."""
DATA_ROOT, DATA_DIR, GENESIS = "QANAT_DATA_ROOT", "QANAT_DATA_DIR", "QANAT_GENESIS"

if __name__ == "__main__":
    own = Path(os.environ[DATA_DIR])
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ[HOST_WALL] = put_up_wall(
        Path(os.environ.pop(DATA_ROOT)), writable=own, readable=Path(os.environ[GENESIS]).parent
    )
    service = sys.argv.pop(1)
    runpy.run_module(service, run_name="__main__", alter_sys=True)
