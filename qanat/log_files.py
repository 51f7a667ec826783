"""
The log of a process: one file that it writes, and beside it one with the lines from before.

A process writes to the same file for as long as it lives, enclaves among them, which open no other.
So what is old is copied, and then cut off the beginning of the file. File systems such as ext4 and
XFS cut in one step, and no line is lost. On others the file is emptied as soon as all of it is
copied: what is written in the microseconds between is lost. See ADR 0076.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FALLOC_FL_COLLAPSE_RANGE = 0x08
"""Source: Linux include/uapi/linux/falloc.h."""
READ_BYTES = 64 * 1024
LOG_MIB = 4.0
"""Size from which a log is rotated, unless a person says another [MiB]; two files are kept."""


def older_of(log: Path) -> Path:
    """Where the lines from before the last rotation are; it goes on as the log begins."""
    return log.with_name(f"{log.name}.1")


def rotate(log: Path) -> None:
    """
    Move what a log holds to the older file, which is replaced; raises `OSError`.

    A reader that finds another older file finds the log without what is in it.
    """
    fresh = log.with_name(f"{log.name}.new")
    with log.open("r+b") as source, fresh.open("wb", buffering=0) as target:
        found = os.fstat(source.fileno())
        # Whole blocks and not all of them, as the kernel wants it.
        cut = (found.st_size - 1) // found.st_blksize * found.st_blksize
        _copy(source, target, cut)
        if not _cut_off(source, cut):
            _copy(source, target, None)
            source.truncate(0)
        fresh.replace(older_of(log))


def _copy(source: BinaryIO, target: BinaryIO, size_bytes: int | None) -> None:
    """Copy so many bytes, or all that are left."""
    left = size_bytes
    while left is None or left > 0:
        read = source.read(READ_BYTES if left is None else min(left, READ_BYTES))
        if not read:
            return
        target.write(read)
        left = None if left is None else left - len(read)


def _cut_off(file: BinaryIO, size_bytes: int) -> bool:
    """Remove the beginning of a file that others write to; say whether that can be done here."""
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return int(fallocate(file.fileno(), FALLOC_FL_COLLAPSE_RANGE, 0, size_bytes)) == 0


@dataclass(slots=True)
class LogReader:
    """Reads a log to its end, and on from there across rotations."""

    log: Path
    _read_bytes: int = 0
    """How far the log was read."""
    _older: int = 0
    """Inode of the older file when it was."""

    def read_last(self, lines: int) -> bytes:
        """Read the last lines, also from before a rotation, and stand at the end."""
        self._older = _inode_of(older_of(self.log))
        found, self._read_bytes = _last_lines(self.log, lines)
        if self._older and len(found) == self._read_bytes:
            # Also where there are enough: the first may have begun in the older file.
            older, _ = _last_lines(older_of(self.log), lines)
            return _keep(older + found, lines)
        return found

    def read_on(self) -> bytes:
        """Read what has come since."""
        before = b""
        older = _inode_of(older_of(self.log))
        if older != self._older:
            before = _read_from(older_of(self.log), self._read_bytes)
            moved_bytes = older_of(self.log).stat().st_size
            self._older, self._read_bytes = older, max(self._read_bytes - moved_bytes, 0)
        found = _read_from(self.log, self._read_bytes)
        self._read_bytes += len(found)
        return before + found


def _last_lines(file: Path, lines: int) -> tuple[bytes, int]:
    """Read so many lines from the end; also how long the file was."""
    with file.open("rb") as source:
        end = at = source.seek(0, os.SEEK_END)
        found = b""
        while at > 0 and found.count(b"\n") <= lines:
            step = min(at, READ_BYTES)
            at -= step
            source.seek(at)
            found = source.read(step) + found
    return _keep(found, lines), end


def _keep(text: bytes, lines: int) -> bytes:
    """Give the last so many lines."""
    found = text.splitlines(keepends=True)
    return b"".join(found[max(len(found) - lines, 0) :])


def _read_from(file: Path, at: int) -> bytes:
    with file.open("rb") as source:
        source.seek(at)
        return source.read()


def _inode_of(file: Path) -> int:
    """Give its number; 0 where there is no such file."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0
