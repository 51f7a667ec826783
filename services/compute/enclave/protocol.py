"""
The messages between a compute node's host and its enclave: all that crosses the trust boundary.

Ciphertext, public chain data and results go across; private keys, plaintext of confidential calls
and of contract state do not. The methods are written as `async` because that is how the host calls
them; the enclave answers them on plain threads (`shared.tee.runtime`).
"""

from dataclasses import dataclass
from typing import Protocol

from shared.enclave.state import Pruned
from shared.encoding.record import Bytes32
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.block import BlockHeader, RoundChange
from shared.types.commitment import ComputeResultsHeader
from shared.types.identity import (
    Epoch,
    Height,
    Incarnation,
    NodeId,
    PublicKey,
    RawSignature,
    Round,
    RuntimeId,
)
from shared.types.keymanager import SignedPublicKey
from shared.types.messages import Inbox
from shared.types.proof import ProvenBytes, ProvenState
from shared.types.queries import Query, QueryAnswer
from shared.types.registry import Version
from shared.types.runtime import CheckedTransaction, SpentSequence


@dataclass(frozen=True, slots=True)
class EnclaveDescription:
    """Which enclave this is."""

    runtime_id: RuntimeId
    key_manager: RuntimeId | None
    version: Version
    identity: EnclaveIdentity
    rak: PublicKey
    family: str
    """Platform family, whose collateral's floor in consensus the enclave wants proven."""


@dataclass(frozen=True, slots=True)
class EnclaveState:
    """Where the enclave stands."""

    incarnation: Incarnation
    """Life of the chain."""
    height: Height
    """Newest verified consensus block."""
    epoch: Epoch
    head: BlockHeader
    """Newest round that consensus is proven to have finalized."""
    next_round: Round
    """First finalized round that the enclave lacks; `head.round + 1` when it is level."""
    is_level: bool
    """The state of `head` is here, and the next round may be executed."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long each stage of an execution took, one after the other [ns]."""

    execute_ns: int
    """The batch on the state, with the keys that it needs."""
    persist_ns: int
    sign_ns: int


@dataclass(frozen=True, slots=True)
class ExecutedBatch:
    """The outcome of a batch, persisted by the enclave and signed by its RAK."""

    header: ComputeResultsHeader
    rak_signature: RawSignature
    included: tuple[int, ...]
    """Positions in the batch of the transactions that were executed, in order."""
    refused: tuple[int, ...]
    """Positions of those that may not be in this round."""
    results: tuple[bytes, ...]
    """One result of the runtime for each included transaction."""
    spent: tuple[SpentSequence, ...]
    """Whose sequences these transactions used."""
    messages: tuple[bytes, ...] = ()
    """What the round asks of consensus; the header has their hash."""
    stages: StageTimes | None = None
    """Where they were asked for, of an enclave that tells."""


@dataclass(frozen=True, slots=True)
class AppliedRounds:
    """What became of rounds that were executed elsewhere."""

    state: EnclaveState
    spent: tuple[SpentSequence, ...]
    """Whose sequences the rounds used that were taken up."""


@dataclass(frozen=True, slots=True)
class EpochPublicKey:
    """The key to which clients encrypt calldata in an epoch."""

    epoch: Epoch
    public_key: SignedPublicKey


class ComputeEnclaveApi(Protocol):
    """Messages of the host to the enclave."""

    async def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        ...

    async def initialize(self, proven: ProvenState) -> EnclaveState:
        """Verify the chain, epoch, ParaTime and newest round, and open the state."""
        ...

    async def attest(self, node_id: NodeId) -> CapabilityTee:
        """Attest the enclave's keys for a node, at the height it has verified."""
        ...

    async def advance(
        self, proven: ProvenBytes, headers: tuple[BlockHeader, ...] = ()
    ) -> EnclaveState:
        """
        Verify a newly finalized round and take it up: keep a tentative one, or take it back.

        `headers` are those between the known and the proven one, oldest first.
        """
        ...

    async def prepare_epoch(self, epoch: Epoch) -> None:
        """Fetch the keys of an epoch from the key manager, so that no round waits for them."""
        ...

    async def check(self, raws: tuple[bytes, ...]) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions for the pool, in the state of `head`."""
        ...

    async def execute(
        self,
        round: Round,  # noqa: A002
        batch: tuple[bytes, ...],
        inbox: Inbox | None = None,
        is_timed: bool = False,
    ) -> ExecutedBatch:
        """
        Execute a batch on `head`, persist the new state, and sign the result.

        `inbox` is what consensus hands to the round, where `head` says that it does. `is_timed`
        asks how long that took; an enclave without dev controls does not tell.
        """
        ...

    async def apply(self, changes: tuple[RoundChange, ...]) -> AppliedRounds:
        """Take up finalized rounds that were executed elsewhere, oldest first."""
        ...

    async def prune(self, keep_from: Round) -> Pruned:
        """
        Forget states below a round, in steps.

        What the ParaTime's descriptor keeps stays, whatever the host wishes.
        """
        ...

    async def fetch_diff(self, round: Round) -> bytes:  # noqa: A002
        """Change of state of a round that the enclave holds."""
        ...

    async def query(self, method: str, args: bytes, round: Round) -> bytes:  # noqa: A002
        """Ask the runtime about the state after a round; what may be asked is the runtime's own."""
        ...

    async def query_all(
        self,
        queries: tuple[Query, ...],
        round: Round,  # noqa: A002
    ) -> tuple[QueryAnswer, ...]:
        """Ask several questions about the state after a round; see `ComputeApi.query_all`."""
        ...

    async def fetch_max_batch_weight(self) -> int:
        """Sum of the weights of one batch, at most."""
        ...

    async def fetch_call_data_key(self) -> EpochPublicKey:
        """Key of the current epoch."""
        ...


class ComputeHostApi(Protocol):
    """Messages of the enclave to its host, while it serves one."""

    def call_key_manager(self, session_id: Bytes32, message: bytes) -> bytes:
        """Carry one session message to a key manager; the same one for the same session."""
        ...

    def fetch_round_state(
        self,
        runtime_id: RuntimeId,
        round: Round,  # noqa: A002
        keys: tuple[bytes, ...],
    ) -> ProvenState:
        """Consensus after the block that made a round final; see `ConsensusApi`."""
        ...


CONCURRENT = frozenset(
    {
        "prepare_epoch",
        "check",
        "fetch_diff",
        "query",
        "query_all",
        "fetch_max_batch_weight",
        "fetch_call_data_key",
    }
)
"""Messages that run side by side, and beside the one that changes state."""
