"""
A file that entries are appended to, for what must be kept before something else is done.

An entry takes one `write`, a tenth of what a transaction of SQLite takes. `kill -9` may leave the
last entry half-written: whoever opens the file again finds every entry whose `append` returned, and
cuts off what follows the last whole one. Nothing is synced: a power cut may take the newest.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

HEAD_BYTES = 8
"""Before each entry: its length and its CRC-32, each four bytes, big-endian."""
MAX_ENTRY_BYTES = 2**32 - 1
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class AppendLog:
    """One file; whoever opens it is the only one who has it open."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        self._path, self._file = path, os.open(path, FLAGS, 0o600)
        raw = path.read_bytes()
        self.found, self._end = split_entries(raw)
        """Entries that were there when it was opened, oldest first."""
        if self._end < len(raw):
            log.warning("log_end_cut", path=str(path), bytes=len(raw) - self._end)
            os.ftruncate(self._file, self._end)

    @property
    def size_bytes(self) -> int:
        """Length of the file [bytes]."""
        return self._end

    def append(self, entry: bytes) -> None:
        """
        Keep an entry of at least one byte; it is there after `kill -9` once this returns.

        Raises
        ------
        OSError
            The entry does not fit on the disk. Nothing of it stays.
        """
        framed = frame_entry(entry)
        written = os.write(self._file, framed)
        if written < len(framed):
            os.ftruncate(self._file, self._end)
            raise OSError(f"{self._path} took {written} of {len(framed)} bytes: is the disk full?")
        self._end += written

    def clear(self) -> None:
        """Forget every entry."""
        if self._end > 0:
            os.ftruncate(self._file, 0)
            self._end = 0

    def begin_anew(self, entries: Iterable[bytes]) -> None:
        """Have these entries and no others; a process that dies meanwhile leaves the old ones."""
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        anew = AppendLog(beside)
        for entry in entries:
            anew.append(entry)
        beside.rename(self._path)
        os.close(self._file)
        self._file, self._end = anew._file, anew._end

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def frame_entry(entry: bytes) -> bytes:
    """Put length and checksum before an entry."""
    if not 0 < len(entry) <= MAX_ENTRY_BYTES:
        raise ValueError(f"an entry of {len(entry)} bytes")
    return len(entry).to_bytes(4, "big") + zlib.crc32(entry).to_bytes(4, "big") + entry


def split_entries(raw: bytes) -> tuple[tuple[bytes, ...], int]:
    """Give the whole entries that a file begins with, and where the last of them ends."""
    entries = tuple(_entries(raw))
    return entries, sum(HEAD_BYTES + len(entry) for entry in entries)


def _entries(raw: bytes) -> Iterator[bytes]:
    start = 0
    while start + HEAD_BYTES < len(raw):
        body = start + HEAD_BYTES
        length = int.from_bytes(raw[start : start + 4], "big")
        entry = raw[body : body + length]
        # A power cut may leave zeros: no entry is empty.
        if not 0 < length == len(entry):
            return
        if zlib.crc32(entry) != int.from_bytes(raw[start + 4 : body], "big"):
            return
        yield entry
        start = body + length
