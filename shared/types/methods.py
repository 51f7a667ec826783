"""
Methods of the consensus application and their bodies.

`docs/services/consensus.md` has the table: who may call a method, and what it does. Source:
oasis-core go/{staking,registry,keymanager,roothash}/api @ f9f1fdc. Differs: integers for amounts,
and names in place of Go's one-letter ones.
"""

import enum
from dataclasses import dataclass

from shared.encoding.record import Signed
from shared.types.commitment import ExecutorCommitment, ProposalHeader
from shared.types.identity import (
    FIRST_INCARNATION,
    Address,
    Hash,
    Incarnation,
    NodeId,
    RawSignature,
    RuntimeId,
)


class Method(enum.StrEnum):
    """What a transaction can call; the comment names the record of its body."""

    TRANSFER = "staking.Transfer"  # Transfer
    BURN = "staking.Burn"  # Burn
    ADD_ESCROW = "staking.AddEscrow"  # AddEscrow
    RECLAIM_ESCROW = "staking.ReclaimEscrow"  # ReclaimEscrow
    ALLOW = "staking.Allow"  # Allow
    WITHDRAW = "staking.Withdraw"  # Withdraw
    REGISTER_ENTITY = "registry.RegisterEntity"  # registry.SignedDescriptor of an Entity
    REGISTER_NODE = "registry.RegisterNode"  # registry.SignedDescriptor of a NodeDescriptor
    UNFREEZE_NODE = "registry.UnfreezeNode"  # UnfreezeNode
    REGISTER_RUNTIME = "registry.RegisterRuntime"  # registry.RuntimeDescriptor
    UPDATE_POLICY = "keymanager.UpdatePolicy"  # keymanager.SignedPolicy
    # Both: keymanager.SignedPublishedSecret. Names of methods, not secrets.
    PUBLISH_MASTER_SECRET = "keymanager.PublishMasterSecret"  # noqa: S105
    PUBLISH_EPHEMERAL_SECRET = "keymanager.PublishEphemeralSecret"  # noqa: S105
    EXECUTOR_COMMIT = "roothash.ExecutorCommit"  # ExecutorCommit
    EVIDENCE = "roothash.Evidence"  # Evidence
    ADVANCE_EPOCH = "dev.AdvanceEpoch"  # AdvanceEpoch
    MOVE_TIME = "dev.MoveTime"  # MoveTime
    MINE = "dev.Mine"  # Mine
    SET_MINING = "dev.SetMining"  # SetMining
    SET_NEXT_TIMESTAMP = "dev.SetNextTimestamp"  # SetNextTimestamp


@dataclass(frozen=True, slots=True)
class BlockMeta:
    """
    Body of `consensus.Meta`: the state root that a block leads to, in that very block.

    It also says in which life of the chain the block was made (ADR 0014).

    The system transaction, last of each block. It is this record as it is, unsigned: the block's
    signatures cover it (ADR 0003).
    """

    state_root: Hash
    incarnation: Incarnation = FIRST_INCARNATION


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move tokens."""

    to: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Burn:
    """Destroy tokens of the sender."""

    amount: int


@dataclass(frozen=True, slots=True)
class AddEscrow:
    """Delegate tokens to an account's active stake."""

    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class ReclaimEscrow:
    """Begin to take shares back; the tokens arrive when debonding ends."""

    account: Address
    shares: int


@dataclass(frozen=True, slots=True)
class Allow:
    """Change what a beneficiary may withdraw from the sender."""

    beneficiary: Address
    amount_change: Signed
    """Negative lowers the allowance, at most to zero."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Pull tokens that an owner allowed."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True)
class UnfreezeNode:
    """Let a frozen node take part again, once its time is over."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class ExecutorCommit:
    """Votes on the open round of a ParaTime."""

    runtime_id: RuntimeId
    commitments: tuple[ExecutorCommitment, ...]


@dataclass(frozen=True, slots=True)
class ProposalStatement:
    """A proposal without its batch: what its signature covers."""

    node_id: NodeId
    header: ProposalHeader
    signature: RawSignature


@dataclass(frozen=True, slots=True)
class CommitmentEquivocation:
    """Two different votes of one node on one proposal."""

    first: ExecutorCommitment
    second: ExecutorCommitment


@dataclass(frozen=True, slots=True)
class ProposalEquivocation:
    """Two different proposals of one node for one round."""

    first: ProposalStatement
    second: ProposalStatement


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof that a node said two things at once; exactly one kind is given."""

    runtime_id: RuntimeId
    commitments: CommitmentEquivocation | None = None
    proposals: ProposalEquivocation | None = None


@dataclass(frozen=True, slots=True)
class AdvanceEpoch:
    """Begin the next epoch now; signed by the network's dev control key."""


@dataclass(frozen=True, slots=True)
class MoveTime:
    """Move consensus time ahead, from the next block on; signed by the dev control key."""

    by_ms: int


@dataclass(frozen=True, slots=True)
class Mine:
    """Make rounds of a ParaTime; signed by the dev control key."""

    runtime_id: RuntimeId
    count: int = 1
    """Rounds without transactions, which consensus makes in this very block; 0 has the scheduler
    propose what waits, at once."""
    interval_s: int = 0
    """From the timestamp of one of them to that of the next [s]."""


@dataclass(frozen=True, slots=True)
class SetMining:
    """Say when schedulers propose; signed by the dev control key. None leaves a part as it is."""

    runtime_id: RuntimeId
    automine: bool | None = None
    interval_ms: int | None = None
    """0 for no rounds but those that have another reason."""
    step_s: int | None = None
    """Least difference of timestamps [s]; 0 for none."""


@dataclass(frozen=True, slots=True)
class SetNextTimestamp:
    """
    Choose the timestamp of the next round that is mined or has transactions.

    Consensus time moves to it where it is ahead. Signed by the dev control key.
    """

    runtime_id: RuntimeId
    timestamp_s: int
