"""On what a round is executed, and a query answered."""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.enclave.consensus_view import ConsensusView
from shared.enclave.key_client import RoundKeys
from shared.types.block import BlockHeader
from shared.types.identity import Epoch, RuntimeId


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What is known of the round that followed, for who runs it again."""

    now_s: int
    """Consensus time of the newest block that the program has verified [Unix s]."""
    following: Callable[[], BlockHeader]
    """Gives the round after, or raises `RoundNotProven` or `RoundUnknown`."""
    keys_in: Callable[[Epoch], RoundKeys] = field(repr=False)
    """Gives the keys that it had, if it ran in an epoch."""


@dataclass(frozen=True, slots=True)
class RoundContext:
    """
    A finalized round, and what its successor may use.

    The program makes it of what it has verified, and of nothing else; a runtime that keeps anything
    between two calls keeps it under `identity`.
    """

    parent: BlockHeader
    """The round whose state is read, or built upon."""
    epoch: Epoch
    """Epoch of the round that would follow."""
    identity: tuple[bytes, int, int]
    """Hash of the parent, epoch, and incarnation: an epoch that is lived again has new keys."""
    keys: Callable[[], RoundKeys] = field(repr=False)
    """Gives the keys of the round that would follow; may have to ask the key manager."""
    runtime_id: RuntimeId
    chain_context: str
    """Of consensus; what users sign for this ParaTime is bound to both."""
    hindsight: Callable[[], Hindsight] | None = field(default=None, repr=False)
    """Made for the few who ask; None where nothing is kept of what followed."""
    consensus: ConsensusView | None = field(default=None, repr=False)
    """Consensus as it stood when the parent became final; None where nothing reads it."""
