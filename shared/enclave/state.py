"""The state of a ParaTime as the ledger of rounds needs it, whatever engine works on it."""

from collections.abc import Sequence
from typing import Protocol

from shared.types.identity import Hash, Round


class VersionedState(Protocol):
    """
    Authenticated state, one version a round, on a disk that nobody trusts.

    Every method raises `StateRejected` where a version is not kept, a root differs, or the disk
    fails; nothing changes then.
    """

    @property
    def version(self) -> Round:
        """Newest round in the store, a tentative one included."""
        ...

    @property
    def oldest(self) -> Round:
        """Oldest round whose state is kept."""
        ...

    def root_at(self, round_: Round) -> Hash:
        """State root after a round."""
        ...

    def skip(self, round_: Round) -> None:
        """Let a round leave the state as it is."""
        ...

    def apply(self, round_: Round, diff: bytes, *, expect_root: Hash) -> None:
        """Make the state of a round from its diff; another root changes nothing."""
        ...

    def diff_at(self, round_: Round) -> bytes:
        """Change of state of a round: canonical, and ciphertext where the ParaTime has secrets."""
        ...

    def rollback(self, round_: Round) -> None:
        """Make an older round the newest; what came after is gone."""
        ...

    def close(self) -> None:
        """Close the files; nothing may be asked afterwards."""
        ...

    def io_root(self, transactions: Sequence[bytes], results: Sequence[bytes]) -> Hash:
        """Root over the transactions of a round and their results."""
        ...
