"""
What proposals would have changed that were executed, and given up for one of a better scheduler.

Consensus may still make such a one final: votes for it are on their way while those for the better
one are not. Where all nodes gave it up, none would have its state. What is kept is believed by
nobody's word: a change leads to the root that consensus proves, or to nothing.
"""

from contextlib import suppress
from pathlib import Path

from shared.types.identity import Hash, Round

MOST = 8
"""Proposals that are kept: more than a committee has schedulers for one round."""
LARGEST_BYTES = 64 * 1024 * 1024
"""A larger file is none of ours [bytes]."""
FILES = "set-aside-*"
"""Names of the files, in the directory of the enclave."""


class SetAside:
    """Changes of state by round and root, until the round is over."""

    def __init__(self, directory: Path | None) -> None:
        """Find what an earlier start of the enclave left; None keeps everything in memory."""
        self._directory = directory
        self._kept: dict[tuple[Round, Hash], bytes | None] = {}
        """None where it is on the disk."""
        self._may_hold_more = directory is not None

    def keep(self, round_: Round, root: Hash, change: bytes) -> None:
        """Keep what a proposal for a round changed; in memory where the disk fails."""
        self._kept.pop((round_, root), None)
        is_written = self._write(self._path(round_, root), change)
        self._kept[round_, root] = None if is_written else change
        while len(self._kept) > MOST:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._remove(self._path(*oldest))

    def find(self, round_: Round, root: Hash) -> bytes | None:
        """Give what led to a root in a round; from an untrusted disk, so it may not do so."""
        found, path = self._kept.get((round_, root)), self._path(round_, root)
        if found is not None or path is None:
            return found
        with suppress(OSError), path.open("rb") as file:
            untrusted = file.read(LARGEST_BYTES + 1)
            return untrusted if len(untrusted) <= LARGEST_BYTES else None
        return None

    def clear(self) -> None:
        """Forget everything: the round is over."""
        self._kept.clear()
        if self._directory is None or not self._may_hold_more:
            return
        self._may_hold_more = False
        with suppress(OSError):
            for path in self._directory.glob(FILES):
                self._remove(path)

    def _path(self, round_: Round, root: Hash) -> Path | None:
        if self._directory is None:
            return None
        return self._directory / FILES.replace("*", f"{round_}-{root.hex()}")

    def _write(self, path: Path | None, change: bytes) -> bool:
        if path is None:
            return False
        self._may_hold_more = True
        # A file that is torn by the end of the process leads to another root.
        with suppress(OSError):
            path.write_bytes(change)
            return True
        return False

    @staticmethod
    def _remove(path: Path | None) -> None:
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
