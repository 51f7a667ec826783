"""The state of a ParaTime as the ledger of rounds needs it, whatever engine works on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.types.identity import Hash, Round


@dataclass(frozen=True, slots=True)
class Pruned:
    """How far a step of forgetting came."""

    oldest: Round
    """Oldest round whose state is kept."""
    is_done: bool
    """Whether nothing is left to do."""


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
        """
        Change of state of a round: canonical, and ciphertext where the ParaTime has secrets.

        It is kept when the state is pruned: nodes that begin at the first round apply all changes.
        """
        ...

    def prune(self, keep_from: Round, most: int) -> Pruned:
        """Forget states below a round, in steps of `most` nodes and states together."""
        ...

    def rollback(self, round_: Round) -> None:
        """
        Make an older round the newest; what came after is gone.

        Round 0 can be gone back to when it was pruned, too; then nothing is kept at all.
        """
        ...

    def close(self) -> None:
        """Close the files; nothing may be asked afterwards."""
        ...

    def io_root(self, transactions: Sequence[bytes], results: Sequence[bytes]) -> Hash:
        """Root over the transactions of a round and their results."""
        ...
