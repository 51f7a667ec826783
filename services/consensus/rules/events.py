"""What a block can do that others want to hear of."""

from dataclasses import dataclass

from shared.api.consensus import (
    CommitmentAccepted,
    DiscrepancyDetected,
    FinalizedRound,
    Slashed,
)
from shared.types.identity import NodeId
from shared.types.keymanager import KeyManagerStatus, SignedPublishedSecret
from shared.types.mining import MiningChanged


@dataclass(frozen=True, slots=True)
class NodeRegistered:
    """A node registered, for the first time or anew."""

    node_id: NodeId
    is_newcomer: bool
    """Whether no election of this epoch could count on it: it is new, or had expired."""


@dataclass(frozen=True, slots=True)
class NodeFrozen:
    """A node may not be elected until its entity unfreezes it."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class EpochBegan:
    """A new epoch."""

    epoch: int


Event = (
    FinalizedRound
    | DiscrepancyDetected
    | CommitmentAccepted
    | Slashed
    | KeyManagerStatus
    | SignedPublishedSecret
    | NodeRegistered
    | NodeFrozen
    | EpochBegan
    | MiningChanged
)
"""`KeyManagerStatus` stands for its change, `SignedPublishedSecret` for its publication."""
