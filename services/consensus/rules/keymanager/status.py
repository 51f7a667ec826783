"""
Status of key managers: policy, committee, and the master secret by its checksum.

A secret counts once 66 % of the committee say that they hold it; consensus never sees one. Source:
oasis-core go/consensus/cometbft/apps/keymanager/secrets/{status,txs}.go @ f9f1fdc. Differs: nodes
join the committee when they register, and the first master secret counts as soon as enough hold it,
not at the next epoch, so that a network is ready in seconds (ADR 0006).
"""

from collections.abc import Iterator
from dataclasses import replace

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.registry.entities import NotOwner
from services.consensus.rules.registry.nodes import eligible_nodes
from services.consensus.rules.registry.runtimes import load_runtime
from services.consensus.rules.signatures import verify_known_signature
from services.consensus.rules.state import State
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.key_policy import policy_checksum, verify_policy_signatures
from shared.types.identity import Epoch
from shared.types.keymanager import (
    INIT_RESPONSE,
    InitResponse,
    KeyManagerStatus,
    Policy,
    SignedInitResponse,
    SignedPolicy,
    SignedPublishedSecret,
)
from shared.types.registry import NodeDescriptor, NodeRuntime, Role, RuntimeKind

REPLICATED_PERCENT = 66
"""Part of the committee that must hold a secret [%]. Source: oasis-core secrets/api.go."""


MAX_OPEN_EPOCHS = 20
"""Source: oasis-core keymanager/src/crypto/kdf.rs @ f9f1fdc, EPHEMERAL_SECRET_CACHE_SIZE."""


class NotKeyManager(Rejected, module="keymanager", code=1):
    """The runtime is no key manager."""


class StalePolicy(Rejected, module="keymanager", code=2):
    """The serial of a policy grows with every change."""

    def __init__(self, got: int, newest: int) -> None:
        super().__init__(f"serial {got}, must be above {newest}")
        self.got, self.newest = got, newest


class MissingInitResponse(Rejected, module="keymanager", code=3):
    """A key manager node registers with what its enclave says of its secrets."""


# -- policy ------------------------------------------------------------------------------------


def load_key_manager(state: State, runtime_id: bytes) -> KeyManagerStatus:
    """Give the status of a key manager, or raise `UnknownRuntime`, `NotKeyManager`."""
    if load_runtime(state, runtime_id).kind is not RuntimeKind.KEY_MANAGER:
        raise NotKeyManager(f"runtime {runtime_id.hex()} is no key manager")
    key = state_keys.key_manager_status_key(runtime_id)
    return state.load(KeyManagerStatus, key) or KeyManagerStatus(runtime_id)


def apply_update_policy(
    state: State, context: BlockContext, caller: Caller, signed: SignedPolicy
) -> None:
    """
    Take a newer policy, signed by enough of those who may. The enclaves judge the same again.

    Nodes that follow the old policy leave the committee, and come back when they register anew.

    Raises
    ------
    UnknownRuntime, NotKeyManager, NotOwner, StalePolicy, TooFewPolicySigners, BadSignature
        See each class.
    """
    policy = decode_record(Policy, signed.untrusted_raw_value)
    status = load_key_manager(state, policy.id)
    if caller.public_key != load_runtime(state, policy.id).entity_id:
        raise NotOwner("only the entity that owns the key manager changes its policy")
    set_policy(state, status, signed)
    refresh_status(state, context, policy.id)


def set_policy(state: State, status: KeyManagerStatus, signed: SignedPolicy) -> None:
    """
    Save a policy from its owner or from genesis.

    Raises
    ------
    StalePolicy, TooFewPolicySigners, BadSignature
        See each class.
    """
    serial = decode_record(Policy, signed.untrusted_raw_value).serial
    if status.policy is not None:
        newest = decode_record(Policy, status.policy.untrusted_raw_value).serial
        if serial <= newest:
            raise StalePolicy(serial, newest)
    runtime = load_runtime(state, status.id)
    verify_policy_signatures(
        signed, signers=runtime.policy_signers, threshold=runtime.policy_threshold
    )
    _save(state, replace(status, policy=signed))


# -- committee and master secret ---------------------------------------------------------------


def verify_init_response(context: BlockContext, node: NodeDescriptor, runtime_id: bytes) -> None:
    """
    Verify that a registering node's enclave speaks of its secrets.

    Raises
    ------
    MissingInitResponse, MalformedCbor, MalformedRecord, BadSignature
        See each class.
    """
    for served in node.runtimes:
        if served.id != runtime_id:
            continue
        if served.extra_info is None or served.tee is None:
            raise MissingInitResponse("a key manager node registers with an init response")
        signed = decode_record(SignedInitResponse, served.extra_info)
        verify_known_signature(
            served.tee.rak,
            INIT_RESPONSE.for_chain(context.chain_context),
            encode_record(signed.response),
            signed.signature,
        )


def refresh_status(
    state: State, context: BlockContext, runtime_id: bytes, *, is_epoch_start: bool = False
) -> None:
    """
    Draw up the committee anew, after a registration, a new policy, or at the start of an epoch.

    A first master secret is accepted at any of these, a later one at the start of its epoch only.
    """
    status = before = load_key_manager(state, runtime_id)
    if is_epoch_start or not status.is_initialized:
        status = _with_replicated_secret(state, status)
    members = [
        node.id
        for node, served in eligible_nodes(state, context, runtime_id, Role.KEY_MANAGER)
        if _agrees(_response_of(served), status)
    ]
    status = replace(status, nodes=tuple(members))
    if is_epoch_start:
        status = replace(status, open_epochs=_open_epochs(state, status))
    if status != before:
        _save(state, status)


def _open_epochs(state: State, status: KeyManagerStatus) -> tuple[Epoch, ...]:
    """
    Give the epochs before this one that are in reach, and whose secrets a member holds.

    Where several epochs pass at once nobody can register in between; then nothing new is known.
    """
    if status.policy is None:
        return ()
    epoch = load_epoch(state).epoch
    policy = decode_record(Policy, status.policy.untrusted_raw_value)
    oldest = epoch - min(policy.max_ephemeral_secret_age, MAX_OPEN_EPOCHS)
    said = [_response_of(served) for _, served in members_of(state, status)]
    held = {one for response in said if response is not None for one in response.ephemeral_epochs}
    if not status.nodes:
        held = set(status.open_epochs)
    return tuple(sorted(one for one in held if oldest <= one < epoch))


def _with_replicated_secret(state: State, status: KeyManagerStatus) -> KeyManagerStatus:
    """Raise the generation where enough members hold the proposed secret."""
    proposal = state.load(SignedPublishedSecret, state_keys.master_secret_key(status.id))
    generation = next_generation(status)
    epoch = load_epoch(state).epoch
    if proposal is None or proposal.secret.generation != generation:
        return status
    # A proposal dies with its epoch. The first one is made for the next epoch, and may come early.
    is_open = proposal.secret.epoch == epoch if generation else proposal.secret.epoch >= epoch
    if not is_open:
        return status
    checksum = proposal.secret.secret.checksum
    said = [_response_of(served) for _, served in members_of(state, status)]
    holders = [one for one in said if one is not None and one.next_checksum == checksum]
    signing_keys = {one.next_rsk for one in holders}
    if not is_replicated(len(holders), len(status.nodes)) or len(signing_keys) != 1:
        return status
    return replace(
        status,
        is_initialized=True,
        is_secure=all(one.is_secure for one in holders),
        generation=generation,
        rotation_epoch=Epoch(epoch),
        checksum=checksum,
        rsk=signing_keys.pop(),
    )


def next_generation(status: KeyManagerStatus) -> int:
    """Generation of the next master secret."""
    return status.generation + 1 if status.is_initialized else 0


def is_replicated(holders: int, members: int) -> bool:
    """Say whether enough members of a committee hold a secret."""
    return holders > 0 and holders * 100 >= members * REPLICATED_PERCENT


def members_of(
    state: State, status: KeyManagerStatus
) -> Iterator[tuple[NodeDescriptor, NodeRuntime]]:
    """Nodes of the committee with the part of their descriptors that is about the key manager."""
    for node_id in status.nodes:
        node = state.load(NodeDescriptor, state_keys.node_key(node_id))
        for served in () if node is None else node.runtimes:
            if node is not None and served.id == status.id:
                yield node, served


def holds_proposal(served: NodeRuntime, checksum: bytes) -> bool:
    """Say whether a node registered as one that has stored a proposed master secret."""
    response = _response_of(served)
    return response is not None and response.next_checksum == checksum


def _response_of(served: NodeRuntime) -> InitResponse | None:
    if served.extra_info is None:
        return None
    return decode_record(SignedInitResponse, served.extra_info).response


def _agrees(response: InitResponse | None, status: KeyManagerStatus) -> bool:
    """Say whether a node follows the policy and holds the secrets that the status names."""
    if response is None or status.policy is None:
        return False
    if response.policy_checksum != policy_checksum(status.policy):
        return False
    if not status.is_initialized:
        # Whoever holds other secrets belongs to another network's past.
        return response.checksum == b""
    # Right after a rotation the holders have registered it as the next one, not as theirs.
    return (status.checksum, status.rsk) in (
        (response.checksum, response.rsk),
        (response.next_checksum, response.next_rsk),
    )


def _save(state: State, status: KeyManagerStatus) -> None:
    state.save(state_keys.key_manager_status_key(status.id), status)
    state.emit(status)
