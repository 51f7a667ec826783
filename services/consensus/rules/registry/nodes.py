"""
Registration of nodes: exact signatures, unique keys, stake, and attested enclaves.

A node registers anew in every epoch; that is its heartbeat. Source: oasis-core
go/consensus/cometbft/apps/registry/transactions.go, go/registry/api/api.go @ f9f1fdc. Differs: a
descriptor has three keys (node, consensus, TLS), and a new node may be elected at once, since the
beacon leaves nothing to grind (ADR 0006).
"""

from collections.abc import Iterator

from services.consensus.rules.beacon.epoch import load_epoch, oldest_fresh_height
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.events import NodeRegistered
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.collateral import note_edition, verify_edition
from services.consensus.rules.registry.entities import (
    WrongSigners,
    is_barred,
    load_entity,
    verify_descriptor,
)
from services.consensus.rules.registry.runtimes import load_runtime
from services.consensus.rules.staking.escrow import claim_stake, release_claim, verify_stake
from services.consensus.rules.staking.ledger import load_account
from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.headers import validator_address
from shared.types.attestation import CollateralEdition
from shared.types.registry import (
    REGISTER_NODE,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeKind,
    SignedDescriptor,
)

ALL_ROLES = Role.COMPUTE | Role.OBSERVER | Role.KEY_MANAGER | Role.VALIDATOR
ROLE_STAKES = {
    Role.COMPUTE: "node-compute",
    Role.OBSERVER: "node-observer",
    Role.KEY_MANAGER: "node-keymanager",
    Role.VALIDATOR: "node-validator",
}
"""Kind of stake threshold by role."""
ROLES_BY_KIND = {
    RuntimeKind.COMPUTE: Role.COMPUTE | Role.OBSERVER,
    RuntimeKind.KEY_MANAGER: Role.KEY_MANAGER,
}
"""Roles in which a node serves a runtime of a kind."""
MAX_NODE_RUNTIMES = 16
"""More than one node serves here; each costs the verification of a quote."""


class NotListed(Rejected, module="registry", code=20):
    """The entity does not list the node among its own."""


class BadExpiration(Rejected, module="registry", code=21):
    """The registration would end before it begins, or hold for too long."""


class KeyInUse(Rejected, module="registry", code=22):
    """Two uses of one key: by another node, or twice by this one."""


class BadRoles(Rejected, module="registry", code=23):
    """The roles are unknown, or do not fit the runtimes that the node serves."""


class ForbiddenUpdate(Rejected, module="registry", code=24):
    """A node's entity and consensus key do not change while it is registered."""


class VersionNotDeployed(Rejected, module="registry", code=25):
    """The runtime has no deployment of this version that is active or to come."""


class AttestationMissing(Rejected, module="registry", code=26):
    """The runtime asks for an attested enclave, and the node shows none."""


def apply_register_node(
    state: State, context: BlockContext, caller: Caller, signed: SignedDescriptor
) -> NodeDescriptor:
    """
    Register a node, or renew its registration.

    Raises
    ------
    WrongSigners, BadSignature, UnknownEntity, NotListed, BadExpiration, BadRoles, KeyInUse,
    ForbiddenUpdate, VersionNotDeployed, AttestationMissing, CollateralSuperseded, InsufficientStake
        See each class.
    Rejected
        Of the attestation's own classes.
    """
    node = decode_record(NodeDescriptor, signed.untrusted_raw_value)
    if caller.public_key != node.id:
        raise WrongSigners("a node registers itself")
    keys = (node.id, node.consensus_key, node.tls_key)
    if len(set(keys)) != len(keys):
        raise KeyInUse("the keys of a node differ from each other")
    verify_descriptor(signed, keys, REGISTER_NODE.for_chain(context.chain_context))
    if node.id not in load_entity(state, node.entity_id).nodes:
        raise NotListed(f"entity {node.entity_id.hex()} does not list node {node.id.hex()}")
    _verify_expiration(state, node)
    _verify_update(state, node)
    _verify_roles(state, node)
    editions = [
        verify_node_runtime(state, context, node, served)
        for served in node.runtimes
        if not _is_only_watched(state, node, served)
    ]
    _verify_keys(state, node.id, keys)
    known = state.load(NodeDescriptor, state_keys.node_key(node.id))
    is_newcomer = known is None or known.expiration < load_epoch(state).epoch
    parameters = load_parameters(state)
    owner = staking_address(node.entity_id)
    claim_stake(state, owner, _claim_name(node.id), _kinds(node), parameters.staking.thresholds)
    _index_keys(state, node, keys)
    for edition in editions:
        note_edition(state, edition)
    state.save(state_keys.node_key(node.id), node)
    state.emit(NodeRegistered(node.id, is_newcomer))
    return node


def _verify_expiration(state: State, node: NodeDescriptor) -> None:
    epoch = load_epoch(state).epoch
    latest = epoch + load_parameters(state).registry.max_node_expiration
    if not epoch <= node.expiration <= latest:
        raise BadExpiration(f"epoch {node.expiration}, must be {epoch} to {latest}")


def _verify_update(state: State, node: NodeDescriptor) -> None:
    known = state.load(NodeDescriptor, state_keys.node_key(node.id))
    if known is None:
        return
    if (known.entity_id, known.consensus_key) != (node.entity_id, node.consensus_key):
        raise ForbiddenUpdate("entity and consensus key stay while the node is registered")


def _verify_roles(state: State, node: NodeDescriptor) -> None:
    if node.roles <= 0 or node.roles & ~ALL_ROLES:
        raise BadRoles(f"roles {node.roles:#x}")
    ids = {served.id for served in node.runtimes}
    if len(ids) != len(node.runtimes) or len(ids) > MAX_NODE_RUNTIMES:
        raise BadRoles(f"at most {MAX_NODE_RUNTIMES} runtimes, each once")
    served_roles = 0
    for served in node.runtimes:
        fitting = ROLES_BY_KIND[load_runtime(state, served.id).kind] & node.roles
        if not fitting:
            raise BadRoles(f"the node has no role for runtime {served.id.hex()}")
        served_roles |= fitting
    if node.roles & ~Role.VALIDATOR & ~served_roles:
        raise BadRoles("a role that works for a runtime comes with one")


def _is_only_watched(state: State, node: NodeDescriptor, served: NodeRuntime) -> bool:
    """
    Say whether a node observes a runtime, without an enclave of it.

    An observer executes nothing and gets no keys, so there is nothing to attest; such are workers,
    whose enclaves belong to apps. One that shows an enclave is judged as any.
    """
    fitting = ROLES_BY_KIND[load_runtime(state, served.id).kind] & node.roles
    return served.tee is None and fitting == Role.OBSERVER


def verify_node_runtime(
    state: State, context: BlockContext, node: NodeDescriptor, served: NodeRuntime
) -> CollateralEdition:
    """
    Verify that a node serves a deployed version in an attested enclave, as of now.

    Returns
    -------
    edition : `CollateralEdition`
        How new the evidence about its platform is; new enough.

    Raises
    ------
    VersionNotDeployed, AttestationMissing, CollateralSuperseded
        See each class.
    Rejected
        Of the attestation's own classes.
    """
    runtime = load_runtime(state, served.id)
    active = runtime.active_deployment(load_epoch(state).epoch)
    begins = 0 if active is None else active.valid_from
    usable = [d for d in runtime.deployments if d.valid_from >= begins]
    deployment = next((d for d in usable if d.version == served.version), None)
    if deployment is None:
        raise VersionNotDeployed(f"{served.version} of runtime {served.id.hex()}")
    if served.tee is None:
        raise AttestationMissing(f"runtime {served.id.hex()} asks for an enclave")
    edition = context.verify_attestation(
        served.tee,
        node_id=node.id,
        constraints=deployment.tee,
        root_ca=load_parameters(state).registry.tee_root_ca,
        now_s=context.time_s,
        min_height=oldest_fresh_height(state, deployment.tee.max_attestation_age),
        max_height=context.height,
    )
    verify_edition(state, edition)
    return edition


def _verify_keys(state: State, node_id: bytes, keys: tuple[bytes, ...]) -> None:
    for key in keys:
        owner = state.load(bytes, state_keys.key_owner_key(key))
        if owner is not None and owner != node_id:
            raise KeyInUse(f"key {key.hex()} belongs to node {owner.hex()}")


def _index_keys(state: State, node: NodeDescriptor, keys: tuple[bytes, ...]) -> None:
    known = state.load(NodeDescriptor, state_keys.node_key(node.id))
    if known is not None and known.tls_key != node.tls_key:
        state.remove(state_keys.key_owner_key(known.tls_key))
    for key in keys:
        state.save(state_keys.key_owner_key(key), node.id)
    address = validator_address(node.consensus_key)
    state.save(state_keys.validator_owner_key(address), node.id)


def _kinds(node: NodeDescriptor) -> tuple[str, ...]:
    """Thresholds that a node claims: one for each role, once more for each further runtime."""
    runtimes = max(len(node.runtimes), 1)
    kinds: list[str] = []
    for role, kind in ROLE_STAKES.items():
        if node.roles & role:
            kinds += [kind] * (1 if role is Role.VALIDATOR else runtimes)
    return tuple(kinds)


def _claim_name(node_id: bytes) -> str:
    return f"registry.RegisterNode.{node_id.hex()}"


def expire_nodes(state: State, epoch: int) -> None:
    """
    Forget nodes whose registration ended so long ago that nothing more can be held against them.

    They stay for the debonding interval, as the stake that answers for them does.
    """
    kept = load_parameters(state).staking.debonding_interval
    for key, node in list(state.scan(NodeDescriptor, state_keys.NODES)):
        if node.expiration + kept < epoch:
            state.remove(key)
            for used in (node.id, node.consensus_key, node.tls_key):
                state.remove(state_keys.key_owner_key(used))
            state.remove(state_keys.validator_owner_key(validator_address(node.consensus_key)))
            release_claim(state, staking_address(node.entity_id), _claim_name(node.id))


def eligible_nodes(
    state: State, context: BlockContext, runtime_id: bytes, role: Role
) -> Iterator[tuple[NodeDescriptor, NodeRuntime]]:
    """
    Nodes that may be elected for a runtime now, in the order of their ids.

    All that registration asked for is asked again: stake may be gone, the policy may have changed,
    and an attestation grows old.
    """
    epoch = load_epoch(state).epoch
    active = load_runtime(state, runtime_id).active_deployment(epoch)
    if active is None:
        return
    thresholds = load_parameters(state).staking.thresholds
    for _, node in state.scan(NodeDescriptor, state_keys.NODES):
        served = next((one for one in node.runtimes if one.id == runtime_id), None)
        if not node.roles & role or served is None or served.version != active.version:
            continue
        if node.expiration < epoch or is_barred(state, node.id, runtime_id):
            continue
        try:
            verify_stake(load_account(state, staking_address(node.entity_id)), thresholds)
            verify_node_runtime(state, context, node, served)
        except Rejected:
            continue  # the node may register anew
        yield node, served
