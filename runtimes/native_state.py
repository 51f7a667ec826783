"""
The door to the native store: the state of a ParaTime, versioned by round.

Fulfils `shared.enclave.state.VersionedState` for every runtime. Errors of the store are told as
`StateRejected`.
"""

from collections.abc import Sequence
from pathlib import Path

import evm_native

from shared.enclave.errors import StateRejected
from shared.enclave.state import Pruned
from shared.tee.memory import give_back
from shared.types.identity import Hash, Round

STATE_FILE = "state.redb"
LARGE_CHANGE_BYTES = 2**20
"""A change above what a block's transactions can make: of the genesis, most likely [bytes]."""


class NativeState:
    """A store in a file of the enclave's directory, or in memory."""

    def __init__(self, directory: Path | None, cache_mib: int) -> None:
        """
        Open the state, or begin with none.

        `directory` None keeps it in memory; `cache_mib` is what of its pages memory keeps [MiB].
        """
        with errors_of_the_store:
            self._store = (
                evm_native.Store.memory()
                if directory is None
                else evm_native.Store.open(directory / STATE_FILE, cache_mb=cache_mib)
            )

    @property
    def version(self) -> Round:
        """Newest round in the store, a tentative one included."""
        return Round(self._store.version)

    @property
    def oldest(self) -> Round:
        """Oldest round whose state is kept."""
        return Round(self._store.oldest)

    def root_at(self, round_: Round) -> Hash:
        """State root after a round."""
        with errors_of_the_store:
            return self._store.root_at(round_)

    def skip(self, round_: Round) -> None:
        """Let a round leave the state as it is."""
        with errors_of_the_store:
            self._store.skip(round_)

    def apply(self, round_: Round, diff: bytes, *, expect_root: Hash) -> None:
        """Make the state of a round from its diff; another root changes nothing."""
        with errors_of_the_store:
            self._store.apply(round_, diff, expect_root=expect_root)
        if len(diff) > LARGE_CHANGE_BYTES:
            give_back()

    def diff_at(self, round_: Round) -> bytes:
        """Change of state of a round."""
        with errors_of_the_store:
            return self._store.diff_at(round_)

    def prune(self, keep_from: Round, most: int) -> Pruned:
        """Forget states below a round, in steps of `most` nodes and states together."""
        with errors_of_the_store:
            oldest, is_done = self._store.prune(keep_from, most)
        return Pruned(Round(oldest), is_done)

    def rollback(self, round_: Round) -> None:
        """Make an older round the newest."""
        with errors_of_the_store:
            self._store.rollback(round_)

    def close(self) -> None:
        """Close the state's file; nothing may be asked afterwards."""
        self._store.close()

    def io_root(self, transactions: Sequence[bytes], results: Sequence[bytes]) -> Hash:
        """Root over the transactions of a round and their results."""
        return evm_native.io_root(transactions, results)


class ErrorsOfTheStore:
    """
    Raises `StateRejected` for what the store refuses.

    Every question passes here, and a generator would take three times as long.
    """

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Tell of what went wrong meanwhile."""
        if isinstance(error, evm_native.StateError):
            raise StateRejected(str(error)) from error


errors_of_the_store = ErrorsOfTheStore()
