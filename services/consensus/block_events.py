"""From what happened in a block to what those who watch blocks are told."""

from collections.abc import Iterable
from typing import TypeVar

from services.consensus.rules.context import BlockContext
from services.consensus.rules.events import EpochBegan, Event, NodeRegistered
from shared.api.consensus import (
    BlockEvents,
    CommitmentAccepted,
    DiscrepancyDetected,
    FinalizedRound,
    Slashed,
)
from shared.types.identity import Epoch, Height
from shared.types.keymanager import KeyManagerStatus, SignedPublishedSecret
from shared.types.mining import MiningChanged

E = TypeVar("E")


def collect_events(happened: Iterable[Event], context: BlockContext, epoch: int) -> BlockEvents:
    """Sort events by kind; of a key manager's statuses only the last counts."""
    events = tuple(happened)

    def of(kind: type[E]) -> tuple[E, ...]:
        return tuple(event for event in events if isinstance(event, kind))

    statuses = {status.id: status for status in of(KeyManagerStatus)}
    return BlockEvents(
        height=Height(context.height),
        time_ns=context.time_ns,
        epoch=Epoch(epoch),
        is_epoch_change=bool(of(EpochBegan)),
        finalized=of(FinalizedRound),
        discrepancies=of(DiscrepancyDetected),
        commitments=of(CommitmentAccepted),
        slashed=of(Slashed),
        key_managers=tuple(statuses.values()),
        secrets=of(SignedPublishedSecret),
        registered=tuple(event.node_id for event in of(NodeRegistered)),
        incarnation=context.incarnation,
        mining=of(MiningChanged),
    )
