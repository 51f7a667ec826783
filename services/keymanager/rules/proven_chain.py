"""
What a key manager reads of consensus state, and how.

The host asks consensus for the proof of `proven_keys`; the enclave reads the proven values back
with `read_chain`. Both use this module, so that they cannot disagree about what is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.identity import Epoch
from shared.types.keymanager import (
    EncryptedSecret,
    InitResponse,
    KeyManagerStatus,
    Policy,
    SignedInitResponse,
    SignedPublishedSecret,
)
from shared.types.registry import NodeDescriptor, NodeRuntime, RuntimeDescriptor

R = TypeVar("R")

REPLICATED_PERCENT = 66
"""Members that must hold a secret [%]. Source: oasis-core go/keymanager/secrets @ f9f1fdc."""


class IncompleteProof(Rejected, module="keys", code=50):
    """The proven state lacks a key that the enclave needs."""


@dataclass(frozen=True, slots=True)
class KeyManagerChain:
    """Consensus state as far as it concerns one key manager."""

    epoch: Epoch
    runtime: RuntimeDescriptor
    status: KeyManagerStatus
    master: SignedPublishedSecret | None
    """The newest published master secret, accepted or not."""
    ephemeral: SignedPublishedSecret | None
    """The newest published ephemeral secret."""
    members: tuple[NodeDescriptor, ...]
    """Registered nodes of the committee."""


def proven_keys(
    runtime_id: bytes, members: tuple[bytes, ...], node_id: bytes, family: str
) -> tuple[bytes, ...]:
    """
    State keys that a key manager's enclave is shown.

    `members` are the node ids of the committee, which `read_chain` needs; `node_id` is the node's
    own, which proves to its enclave that the state is newer than its start; `family` is that of
    its platform.
    """
    return (
        state_keys.CHAIN_CONTEXT,
        state_keys.EPOCH,
        state_keys.INCARNATION,
        state_keys.collateral_floor_key(family),
        state_keys.runtime_key(runtime_id),
        state_keys.key_manager_status_key(runtime_id),
        state_keys.master_secret_key(runtime_id),
        state_keys.ephemeral_secret_key(runtime_id),
        *(state_keys.node_key(member) for member in dict.fromkeys((*members, node_id))),
    )


def read_chain(values: Mapping[bytes, bytes | None], runtime_id: bytes) -> KeyManagerChain:
    """
    Read proven values.

    Raises
    ------
    IncompleteProof
        A key was not asked for, or its value must be there and is not; also where the committee
        changed between the question and the proof.
    """
    epoch = _required(EpochState, values, state_keys.EPOCH)
    status = _optional(KeyManagerStatus, values, state_keys.key_manager_status_key(runtime_id))
    status = status or KeyManagerStatus(runtime_id)
    members = (
        _optional(NodeDescriptor, values, state_keys.node_key(node_id)) for node_id in status.nodes
    )
    return KeyManagerChain(
        epoch=epoch.epoch,
        runtime=_required(RuntimeDescriptor, values, state_keys.runtime_key(runtime_id)),
        status=status,
        master=_optional(SignedPublishedSecret, values, state_keys.master_secret_key(runtime_id)),
        ephemeral=_optional(
            SignedPublishedSecret, values, state_keys.ephemeral_secret_key(runtime_id)
        ),
        members=tuple(member for member in members if member is not None),
    )


def next_generation(status: KeyManagerStatus) -> int:
    """Generation that a new master secret would have."""
    return status.generation + 1 if status.is_initialized else 0


def rotation_interval(status: KeyManagerStatus) -> int:
    """Epochs between master secrets, as the policy in consensus says; 0 never rotates."""
    if status.policy is None:
        return 0
    return decode_record(Policy, status.policy.untrusted_raw_value).master_secret_rotation_interval


def is_open_proposal(chain: KeyManagerChain) -> bool:
    """
    Say whether the newest published master secret may still be accepted.

    The first one at any time in its epoch or before, later ones when their epoch begins.
    """
    published, generation = chain.master, next_generation(chain.status)
    if published is None or published.secret.generation != generation:
        return False
    last_epoch = published.secret.epoch - (1 if generation else 0)
    return chain.epoch <= last_epoch


def reaches_committee(signed: SignedPublishedSecret, chain: KeyManagerChain) -> bool:
    """
    Say whether enough members can open a secret for consensus to count it as replicated.

    Those that hold it already registered with a new REK, and say that they do.
    """
    members = [served for served in _served(chain) if served.tee is not None]
    reached = sum(_is_reached(served, signed.secret.secret) for served in members)
    return reached * 100 >= len(members) * REPLICATED_PERCENT


def _is_reached(served: NodeRuntime, secret: EncryptedSecret) -> bool:
    if served.tee is not None and served.tee.rek in secret.ciphertexts:
        return True
    said = _said(served)
    return said is not None and said.next_checksum == secret.checksum


def is_denied_by_all(chain: KeyManagerChain, epoch: Epoch) -> bool:
    """Say whether all members are registered, and none says that it holds an epoch's secret."""
    said = [one for one in map(_said, _served(chain)) if one is not None]
    return len(said) == len(chain.status.nodes) and not any(
        epoch in one.ephemeral_epochs for one in said
    )


def _served(chain: KeyManagerChain) -> list[NodeRuntime]:
    """What the registered members registered of this key manager."""
    return [
        served
        for member in chain.members
        for served in member.runtimes
        if served.id == chain.status.id
    ]


def _said(served: NodeRuntime) -> InitResponse | None:
    """What a member's enclave said of itself; None where it is not initialized."""
    if served.extra_info is None:
        return None
    return decode_record(SignedInitResponse, served.extra_info).response


def published_checksum(chain: KeyManagerChain, epoch: int) -> bytes | None:
    """Checksum of the secret of an epoch; None where it is not the newest that was published."""
    published = chain.ephemeral
    if published is None or published.secret.epoch != epoch:
        return None
    return published.secret.secret.checksum


def missing_epochs(
    chain: KeyManagerChain, max_age: int, holds: Callable[[int], bool]
) -> tuple[Epoch, ...]:
    """
    Epochs in reach whose secrets some member has, or had, and this one lacks.

    The newest published one is among them when it is not held; it may still be on its way.
    """
    published = chain.ephemeral
    wanted = {epoch for epoch in chain.status.open_epochs if epoch >= chain.epoch - max_age}
    if published is not None and published.secret.epoch >= chain.epoch:
        wanted |= {Epoch(epoch) for epoch in range(chain.epoch, published.secret.epoch + 1)}
    return tuple(sorted(epoch for epoch in wanted if not holds(epoch)))


def _required(kind: type[R], values: Mapping[bytes, bytes | None], key: bytes) -> R:
    record = _optional(kind, values, key)
    if record is None:
        raise IncompleteProof(f"the state has no {kind.__name__} at {key.hex()}")
    return record


def _optional(kind: type[R], values: Mapping[bytes, bytes | None], key: bytes) -> R | None:
    if key not in values:
        raise IncompleteProof(f"the proof does not cover {key.hex()}")
    value = values[key]
    return None if value is None else decode_record(kind, value)
