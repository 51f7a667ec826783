"""
Elections of committees.

Source: oasis-core go/consensus/cometbft/apps/scheduler/{scheduler,shuffle}.go @ f9f1fdc. Differs:
lots come from the insecure beacon value in place of VRF proofs (ADR 0006); validators are those of
genesis; there are no limits per entity.
"""

from collections.abc import Iterable

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.context import BlockContext
from services.consensus.rules.registry.nodes import eligible_nodes
from services.consensus.rules.state import State
from shared.crypto.hashes import tuple_hash256
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.registry import (
    Committee,
    CommitteeMember,
    CommitteeRole,
    Role,
    RuntimeDescriptor,
)

COMMITTEE_LOT = b"qanat/scheduler: insecure committee lot"


def elect_committee(
    state: State, context: BlockContext, runtime: RuntimeDescriptor
) -> Committee | None:
    """
    Elect the committee of a runtime for the current epoch, and save it.

    Returns
    -------
    committee : `Committee` or None
        None where too few nodes are eligible for one of the roles.
    """
    candidates = [node.id for node, _ in eligible_nodes(state, context, runtime.id, Role.COMPUTE)]
    committee = draw_committee(runtime, candidates, load_epoch(state), context.chain_context)
    key = state_keys.committee_key(runtime.id)
    if committee is None:
        state.remove(key)
    else:
        state.save(key, committee)
    return committee


def is_pool_full(state: State, context: BlockContext, runtime: RuntimeDescriptor) -> bool:
    """Say whether so many nodes are eligible as a first committee waits for."""
    awaited = runtime.executor.min_pool_size
    if awaited is None:
        return True
    eligible = eligible_nodes(state, context, runtime.id, Role.COMPUTE)
    return sum(1 for _ in eligible) >= awaited


def draw_committee(
    runtime: RuntimeDescriptor,
    candidates: Iterable[bytes],
    epoch: EpochState,
    chain_context: str,
) -> Committee | None:
    """
    Draw workers, then backup workers, each from all candidates: a node may be both.

    Parameters
    ----------
    candidates : iterable of node ids
        Their order does not matter.
    """
    nodes = list(candidates)
    members: list[CommitteeMember] = []
    for role, size in (
        (CommitteeRole.WORKER, runtime.executor.group_size),
        (CommitteeRole.BACKUP_WORKER, runtime.executor.group_backup_size),
    ):
        if len(nodes) < size:
            return None
        lots = {
            tuple_hash256(
                COMMITTEE_LOT,
                chain_context.encode(),
                epoch.epoch.to_bytes(8, "big"),
                epoch.entropy,
                runtime.id,
                bytes([role]),
                node_id,
            ): node_id
            for node_id in nodes
        }
        members += [CommitteeMember(lots[lot], role) for lot in sorted(lots)[:size]]
    return Committee(runtime.id, epoch.epoch, tuple(members))
