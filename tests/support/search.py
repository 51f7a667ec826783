"""Looks for a secret where it must not be: in files, memory, packets."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

FRAGMENT_BYTES = 16
"""Storage splits a long secret into words of 32 bytes, so fragments are searched for."""


def needles_of(secret: bytes) -> list[bytes]:
    """Give every whole fragment of a secret, raw and as hex text in both cases."""
    parts = [
        secret[start : start + FRAGMENT_BYTES]
        for start in range(0, len(secret) - FRAGMENT_BYTES + 1, FRAGMENT_BYTES)
    ]
    return [form for p in parts for form in (p, p.hex().encode(), p.hex().upper().encode())]


def holds_any(content: bytes, needles: Sequence[bytes]) -> bool:
    return any(needle in content for needle in needles)


def files_with(root: Path, needles: Sequence[bytes]) -> list[Path]:
    """Files below a directory that hold a needle."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            if holds_any(content, needles):
                found.append(path)
    return found


def memory_holds(pid: int, needles: Sequence[bytes]) -> bool:
    """Say whether a process has a needle anywhere in its readable memory. Needs root."""
    return any(holds_any(chunk, needles) for chunk in _memory_of(pid))


def _memory_of(pid: int) -> Iterator[bytes]:
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if match is None or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in match.groups())
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                continue
