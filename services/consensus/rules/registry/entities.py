"""
Entities, and what consensus knows about nodes beside their descriptors: freezing, suspension.

Descriptors of nodes and runtimes have modules of their own. Source: oasis-core
go/consensus/cometbft/apps/registry/transactions.go, go/registry/api/status.go @ f9f1fdc. Differs:
entities are not deregistered, and nothing pays for maintenance.
"""

from dataclasses import replace

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.events import NodeFrozen
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.signatures import verify_known_signature
from services.consensus.rules.staking.escrow import claim_stake
from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.identity import Epoch
from shared.types.registry import (
    REGISTER_ENTITY,
    Entity,
    NodeDescriptor,
    NodeStatus,
    SignedDescriptor,
)

FREEZE_FOREVER = 2**64 - 1
"""Source: oasis-core go/registry/api/status.go, FreezeForever @ f9f1fdc."""
MAX_SUSPENSION_EPOCHS = 64
"""Source: oasis-core go/registry/api/status.go, MaxFaultSuspensionEpochs @ f9f1fdc."""
MAX_ENTITY_NODES = 64
"""More than anybody runs here; keeps descriptors small."""


class WrongSigners(Rejected, module="registry", code=1):
    """A descriptor must be signed by exactly the keys it names, and sent by its owner."""


class UnknownEntity(Rejected, module="registry", code=2):
    """There is no such entity."""


class UnknownNode(Rejected, module="registry", code=3):
    """There is no such node, or its registration has ended."""


class MalformedEntity(Rejected, module="registry", code=4):
    """The descriptor lists a node twice, or too many."""


class NotOwner(Rejected, module="registry", code=5):
    """The sender does not own what it would change."""


class NotFrozen(Rejected, module="registry", code=6):
    """There is nothing to unfreeze."""


class StillFrozen(Rejected, module="registry", code=7):
    """The freeze has not ended yet."""

    def __init__(self, epoch: int, freeze_end: int) -> None:
        super().__init__(f"frozen up to epoch {freeze_end}, now is {epoch}")
        self.epoch, self.freeze_end = epoch, freeze_end


# -- entities ----------------------------------------------------------------------------------


def apply_register_entity(
    state: State, context: BlockContext, caller: Caller, signed: SignedDescriptor
) -> None:
    """
    Register an entity, or change the nodes that it lists.

    Raises
    ------
    WrongSigners, BadSignature, MalformedEntity, InsufficientStake
        See each class.
    """
    entity = decode_record(Entity, signed.untrusted_raw_value)
    verify_descriptor(signed, (entity.id,), REGISTER_ENTITY.for_chain(context.chain_context))
    if caller.public_key != entity.id:
        raise WrongSigners("an entity registers itself")
    add_entity(state, entity)


def add_entity(state: State, entity: Entity) -> None:
    """Save an entity and claim its stake; genesis does so without a signature."""
    if len(set(entity.nodes)) != len(entity.nodes) or len(entity.nodes) > MAX_ENTITY_NODES:
        raise MalformedEntity(f"{len(entity.nodes)} nodes: at most {MAX_ENTITY_NODES}, once each")
    thresholds = load_parameters(state).staking.thresholds
    owner = staking_address(entity.id)
    claim_stake(state, owner, "registry.RegisterEntity", ("entity",), thresholds)
    state.save(state_keys.entity_key(entity.id), entity)


def load_entity(state: State, entity_id: bytes) -> Entity:
    """Give an entity, or raise `UnknownEntity`."""
    entity = state.load(Entity, state_keys.entity_key(entity_id))
    if entity is None:
        raise UnknownEntity(f"entity {entity_id.hex()} is not registered")
    return entity


def verify_descriptor(signed: SignedDescriptor, keys: tuple[bytes, ...], context: bytes) -> None:
    """
    Verify that exactly these keys signed a descriptor, each once.

    Raises
    ------
    WrongSigners, BadSignature
        See each class.
    """
    if sorted(one.public_key for one in signed.signatures) != sorted(keys):
        raise WrongSigners("the signatures must be by exactly the descriptor's own keys")
    for one in signed.signatures:
        verify_known_signature(one.public_key, context, signed.untrusted_raw_value, one.signature)


# -- the standing of nodes -----------------------------------------------------------------------


def load_node(state: State, node_id: bytes) -> NodeDescriptor:
    """Give a node that can still be held responsible, or raise `UnknownNode`."""
    node = state.load(NodeDescriptor, state_keys.node_key(node_id))
    if node is None:
        raise UnknownNode(f"node {node_id.hex()} is not registered")
    return node


def load_status(state: State, node_id: bytes) -> NodeStatus:
    """Give a node's status; without faults it is empty."""
    return state.load(NodeStatus, state_keys.node_status_key(node_id)) or NodeStatus()


def freeze_node(state: State, node_id: bytes, freeze_end: int) -> None:
    """Freeze a node up to an epoch; a longer freeze stays."""
    status = load_status(state, node_id)
    end = Epoch(max(freeze_end, status.freeze_end or 0))
    state.save(state_keys.node_status_key(node_id), replace(status, freeze_end=end))
    state.emit(NodeFrozen(node_id))


def apply_unfreeze_node(state: State, caller: Caller, node_id: bytes) -> None:
    """
    Let a frozen node take part again: the entity asks, once the time is over.

    Raises
    ------
    UnknownNode, NotOwner, NotFrozen, StillFrozen
        See each class.
    """
    node = load_node(state, node_id)
    if caller.public_key != node.entity_id:
        raise NotOwner("only the node's entity unfreezes it")
    status = load_status(state, node_id)
    if status.freeze_end is None:
        raise NotFrozen(f"node {node_id.hex()} is not frozen")
    epoch = load_epoch(state).epoch
    if epoch < status.freeze_end:
        raise StillFrozen(epoch, status.freeze_end)
    state.save(state_keys.node_status_key(node_id), replace(status, freeze_end=None))


def record_fault(state: State, node_id: bytes, runtime_id: bytes) -> int:
    """
    Note that a node failed to be live in an epoch; it is left out for 2^failures epochs.

    Returns
    -------
    failures : `int`
        In a row, with this one.
    """
    status = load_status(state, node_id)
    failures = (status.faults or {}).get(runtime_id, 0) + 1
    pause = min(2**failures, MAX_SUSPENSION_EPOCHS)
    until = load_epoch(state).epoch + pause
    suffered = replace(
        status,
        faults=(status.faults or {}) | {runtime_id: failures},
        suspended_until=(status.suspended_until or {}) | {runtime_id: until},
    )
    state.save(state_keys.node_status_key(node_id), suffered)
    return failures


def clear_faults(state: State, node_id: bytes, runtime_id: bytes) -> None:
    """Forget the faults of a node that was live through an epoch."""
    status = load_status(state, node_id)
    if runtime_id in (status.faults or {}):
        faults = {k: v for k, v in (status.faults or {}).items() if k != runtime_id}
        until = {k: v for k, v in (status.suspended_until or {}).items() if k != runtime_id}
        healed = replace(status, faults=faults or None, suspended_until=until or None)
        state.save(state_keys.node_status_key(node_id), healed)


def is_barred(state: State, node_id: bytes, runtime_id: bytes) -> bool:
    """Say whether a node is frozen, or suspended for a runtime."""
    status = load_status(state, node_id)
    until = (status.suspended_until or {}).get(runtime_id, 0)
    return status.freeze_end is not None or load_epoch(state).epoch < until
