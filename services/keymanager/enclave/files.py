"""The enclave's directory: small files that are replaced as a whole. The host owns the disk."""

import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Keeps named blobs. Nothing that comes back is believed."""

    def load(self, name: str) -> bytes | None:
        """Read a blob; None where there is none."""
        ...

    def save(self, name: str, blob: bytes) -> None:
        """Write a blob so that after a crash either the old or the new one is there."""
        ...

    def delete(self, name: str) -> None:
        """Forget a blob, if there is one."""
        ...


class DirectoryFiles:
    """Blobs as files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self, name: str) -> bytes | None:
        """Read a blob; None where there is none."""
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def save(self, name: str, blob: bytes) -> None:
        """Write beside, flush to the disk, rename: `kill -9` leaves the old or the new blob."""
        unfinished = self._directory / f"{name}.new"
        with unfinished.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._directory / name)

    def delete(self, name: str) -> None:
        """Forget a blob, if there is one."""
        (self._directory / name).unlink(missing_ok=True)
