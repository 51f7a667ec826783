"""Keeping the logs of a network bounded."""

import asyncio
from pathlib import Path

import structlog

from qanat.log_files import rotate

log = structlog.get_logger()

LOOK_S = 5.0
"""Between two looks at their sizes [s]."""


async def rotate_logs(directory: Path, limit_mib: float) -> None:
    """Rotate what has grown above a limit, for ever; with a limit of 0, nothing."""
    while limit_mib > 0:
        await asyncio.sleep(LOOK_S)
        rotate_large(directory, int(limit_mib * 2**20))


def rotate_large(directory: Path, limit_bytes: int) -> None:
    """Rotate each log of a directory that is larger than it may be."""
    for file in directory.glob("*.log"):
        try:
            if file.stat().st_size > limit_bytes:
                rotate(file)
        except OSError as error:
            log.warning("log_not_rotated", log=file.name, reason=str(error))
