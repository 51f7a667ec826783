"""Entities, nodes and runtimes. Source: oasis-core go/registry/api, go/common/node @ f9f1fdc."""

import enum
from dataclasses import dataclass
from typing import Annotated

from shared.crypto.signing import Signature, register_context
from shared.encoding.notes import AtMost
from shared.types.attestation import CapabilityTee, TeeConstraints
from shared.types.identity import EntityId, Epoch, NodeId, PublicKey, RuntimeId

REGISTER_ENTITY = register_context("qanat/registry: register entity")
REGISTER_NODE = register_context("qanat/registry: register node")


class Role(enum.IntFlag):
    """What a node does; a node may have several."""

    COMPUTE = 1
    OBSERVER = 2
    KEY_MANAGER = 4
    VALIDATOR = 8


class RuntimeKind(enum.IntEnum):
    """What a runtime is."""

    COMPUTE = 1
    KEY_MANAGER = 2


@dataclass(frozen=True, slots=True)
class Entity:
    """An owner of nodes; its key holds the stake."""

    id: EntityId
    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """Version of a runtime's code."""

    major: int
    minor: int
    patch: int


@dataclass(frozen=True, slots=True)
class NodeRuntime:
    """A runtime that a node serves."""

    id: RuntimeId
    version: Version
    tee: CapabilityTee | None = None
    extra_info: Annotated[bytes, AtMost(8_192)] | None = None
    """Key managers: an encoded `SignedInitResponse`."""


@dataclass(frozen=True, slots=True)
class NodeDescriptor:
    """What a node registers about itself, anew in every epoch."""

    id: NodeId
    entity_id: EntityId
    expiration: Epoch
    """Last epoch in which the registration holds."""
    consensus_key: PublicKey
    tls_key: PublicKey
    roles: int
    """Bits of `Role`."""
    addresses: Annotated[tuple[Annotated[str, AtMost(262)], ...], AtMost(8)] = ()
    """`host:port` where peers reach the node."""
    runtimes: tuple[NodeRuntime, ...] = ()
    software_version: Annotated[str, AtMost(128)] = ""


@dataclass(frozen=True, slots=True)
class SignedDescriptor:
    """An encoded `NodeDescriptor` or `Entity` with the signatures over it."""

    untrusted_raw_value: bytes
    signatures: Annotated[tuple[Signature, ...], AtMost(8)]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What consensus knows about a node beside its descriptor."""

    freeze_end: Epoch | None = None
    """Frozen up to this epoch; None when not frozen."""
    faults: dict[bytes, int] | None = None
    """Liveness failures by runtime id."""
    suspended_until: dict[bytes, int] | None = None
    """Epoch up to which the node is left out, by runtime id."""


@dataclass(frozen=True, slots=True)
class ExecutorParameters:
    """How the committee of a runtime works."""

    group_size: int = 3
    group_backup_size: int = 3
    allowed_stragglers: int = 0
    round_timeout_ms: int = 2000
    """Consensus time for a round after its first commitment [ms]; see ADR 0002."""
    max_messages: int = 32
    min_pool_size: int | None = None
    """Eligible nodes for which the first committee waits; None for as many as it has seats."""
    min_live_rounds_percent: int = 0
    """Share of the rounds of an epoch that a live worker takes part in [%]; 0 turns it off."""
    min_live_rounds_eval: int = 10
    max_missed_proposals_percent: int = 0
    max_liveness_fails: int = 0


@dataclass(frozen=True, slots=True)
class SchedulerParameters:
    """How batches are made."""

    batch_flush_timeout_ms: int = 1000
    """An empty batch is proposed after this time without transactions [ms]."""
    max_batch_size: int = 1000
    """[transactions]"""
    max_batch_size_bytes: int = 1_048_576
    propose_batch_timeout_ms: int = 1000
    """After rank times this time a worker of that rank may propose [ms]."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A version of a runtime's code, from an epoch on."""

    version: Version
    valid_from: Epoch
    tee: TeeConstraints


@dataclass(frozen=True, slots=True)
class RuntimeDescriptor:
    """A ParaTime or a key manager."""

    id: RuntimeId
    entity_id: EntityId
    kind: RuntimeKind
    deployments: Annotated[tuple[Deployment, ...], AtMost(64)]
    key_manager: RuntimeId | None = None
    executor: ExecutorParameters = ExecutorParameters()
    scheduler: SchedulerParameters = SchedulerParameters()
    slashing: Annotated[dict[Annotated[str, AtMost(64)], int], AtMost(16)] | None = None
    """Penalty [base units] by reason, such as `runtime-incorrect-results`."""
    reward_bad_results_percent: int = 0
    reward_equivocation_percent: int = 0
    genesis: bytes | None = None
    """Genesis state of the runtime itself; only its program reads it."""
    policy_signers: Annotated[tuple[PublicKey, ...], AtMost(16)] = ()
    """Of a key manager: who signs its policy. Its enclaves pin the same keys."""
    policy_threshold: int = 0
    """Of a key manager: how many of them must sign."""
    keep_rounds: int | None = None
    """
    Of a ParaTime: how many states before the newest can be read and gone back to; None for all.

    What consensus can still be taken back to is kept as well.
    """

    def active_deployment(self, epoch: int) -> Deployment | None:
        """Give the newest deployment whose epoch has come."""
        begun = [d for d in self.deployments if d.valid_from <= epoch]
        return max(begun, key=lambda d: d.valid_from, default=None)


class CommitteeRole(enum.IntEnum):
    """Part of a node in a committee; a node may have both."""

    WORKER = 1
    BACKUP_WORKER = 2


@dataclass(frozen=True, slots=True)
class CommitteeMember:
    """One place in a committee."""

    node_id: NodeId
    role: CommitteeRole


@dataclass(frozen=True, slots=True)
class Committee:
    """The nodes that execute a runtime in one epoch: workers first, in order, then backups."""

    runtime_id: RuntimeId
    epoch: Epoch
    members: tuple[CommitteeMember, ...]

    def workers(self) -> tuple[NodeId, ...]:
        """Node ids of the workers, in committee order."""
        return tuple(m.node_id for m in self.members if m.role is CommitteeRole.WORKER)

    def backups(self) -> tuple[NodeId, ...]:
        """Node ids of the backup workers, in committee order."""
        return tuple(m.node_id for m in self.members if m.role is CommitteeRole.BACKUP_WORKER)

    def scheduler_rank(self, round_: int, node_id: bytes) -> int | None:
        """
        Rank of a worker as scheduler of a round; 0 is first, None for who is no worker.

        Source: oasis-core go/scheduler/api @ f9f1fdc: (round + index) mod workers.
        """
        workers = self.workers()
        if node_id not in workers:
            return None
        return (round_ + workers.index(node_id)) % len(workers)
