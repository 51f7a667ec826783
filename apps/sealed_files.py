"""A folder of sealed files: whole or not there, whatever ends the process."""

import os
from collections.abc import Iterator
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from apps.errors import BadSeal

SUFFIX = ".sealed"


class SealedFiles:
    """Files by name; the name is part of what is sealed, so none can stand in for another."""

    def __init__(self, folder: Path, key: bytes) -> None:
        """Take a folder, made where it is not there, and a key of 32 bytes."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._box = folder, Aead(key)

    def __contains__(self, name: str) -> bool:
        """Say whether a file is there."""
        return self._path(name).exists()

    def put(self, name: str, content: bytes) -> None:
        """Write a file; after a power cut it is the old one or this."""
        path = self._path(name)
        fresh = path.with_suffix(f".{os.getpid()}.fresh")
        with fresh.open("wb") as file:
            file.write(self._box.encrypt(content, name.encode()))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def get(self, name: str) -> bytes | None:
        """Read a file; None where there is none. Raises `BadSeal`."""
        try:
            sealed = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return bytes(self._box.decrypt(sealed, name.encode()))
        except (CryptoError, ValueError) as error:
            raise BadSeal(f"{name}: it was changed, or another app sealed it") from error

    def names(self, prefix: str) -> Iterator[str]:
        """Give the names of files that begin so, sorted."""
        for path in sorted(self._folder.glob(f"{prefix}*{SUFFIX}")):
            yield path.name.removesuffix(SUFFIX)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"
