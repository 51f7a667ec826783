"""
The messages between a compute node's host and its enclave: all that crosses the trust boundary.

Ciphertext, public chain data and results go across; private keys, plaintext of confidential calls
and of contract state do not. The methods are written as `async` because that is how the host calls
them; the enclave answers them on plain threads (`shared.tee.runtime`).
"""

from dataclasses import dataclass
from typing import Protocol

from shared.encoding.record import Bytes20, Bytes32, Uint256
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.block import BlockHeader, RoundBlock
from shared.types.commitment import ComputeResultsHeader
from shared.types.identity import (
    Epoch,
    EthereumAddress,
    Height,
    NodeId,
    PublicKey,
    RawSignature,
    Round,
    RuntimeId,
)
from shared.types.keymanager import SignedPublicKey
from shared.types.proof import ProvenState
from shared.types.registry import Version


@dataclass(frozen=True, slots=True)
class EnclaveDescription:
    """Which enclave this is."""

    runtime_id: RuntimeId
    key_manager: RuntimeId | None
    version: Version
    identity: EnclaveIdentity
    rak: PublicKey


@dataclass(frozen=True, slots=True)
class EnclaveState:
    """Where the enclave stands."""

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
class CheckedTransaction:
    """What the enclave knows about one raw transaction; `module` is empty where it is good."""

    hash: Bytes32 | None
    """None where the bytes could not be read."""
    module: str = ""
    code: int = 0
    message: str = ""
    sender: EthereumAddress = bytes(20)
    nonce: int = 0
    gas: int = 0
    gas_price_wei: Uint256 = 0
    """The most it pays for a unit of gas [wei]."""
    account_nonce: int = 0
    """Nonce of the sender's account in the state of `head`."""


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
    """One canonical CBOR result record for each included transaction."""


@dataclass(frozen=True, slots=True)
class RoundChange:
    """A finalized round with its change of state, for an enclave that catches up."""

    block: RoundBlock
    diff: bytes
    """Canonical change set of ciphertext; empty for rounds that are not normal."""


@dataclass(frozen=True, slots=True)
class EnclaveQuery:
    """An `eth_call` or estimate on the state of a round."""

    round: Round
    """Block that the query sees; a round that the enclave has taken up."""
    caller: Bytes20
    to: Bytes20 | None
    gas: int
    gas_price: Uint256
    value: Uint256
    data: bytes


@dataclass(frozen=True, slots=True)
class EpochPublicKey:
    """The key to which clients encrypt calldata in an epoch."""

    epoch: Epoch
    public_key: SignedPublicKey


@dataclass(frozen=True, slots=True)
class AccountState:
    """Public state of an Ethereum account."""

    nonce: int
    balance: Uint256


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
        self, proven: ProvenState, headers: tuple[BlockHeader, ...] = ()
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

    async def execute(self, round: Round, batch: tuple[bytes, ...]) -> ExecutedBatch:  # noqa: A002
        """Execute a batch on `head`, persist the new state, and sign the result."""
        ...

    async def apply(self, changes: tuple[RoundChange, ...]) -> EnclaveState:
        """Take up finalized rounds that were executed elsewhere, oldest first."""
        ...

    async def fetch_diff(self, round: Round) -> bytes:  # noqa: A002
        """Change of state of a round that the enclave holds."""
        ...

    async def call(self, query: EnclaveQuery) -> bytes:
        """Run a query; raises `RuntimeRejected`."""
        ...

    async def estimate_gas(self, query: EnclaveQuery) -> int:
        """Estimate gas; raises `RuntimeRejected`."""
        ...

    async def fetch_account(self, address: Bytes20, round: Round) -> AccountState:  # noqa: A002
        """Nonce and balance after a round."""
        ...

    async def fetch_code(self, address: Bytes20, round: Round) -> bytes:  # noqa: A002
        """Code after a round."""
        ...

    async def fetch_storage(self, address: Bytes20, slot: Bytes32, round: Round) -> bytes:  # noqa: A002
        """What strict Sapphire shows of a slot after a round."""
        ...

    async def fetch_min_gas_price(self) -> Uint256:
        """Least gas price in the next round [wei]."""
        ...

    async def fetch_call_data_key(self) -> EpochPublicKey:
        """Key of the current epoch."""
        ...

    async def rollback(self, round: Round) -> EnclaveState:  # noqa: A002
        """Forget later rounds, and heights: the network itself was rewound (dev controls)."""
        ...


class ComputeHostApi(Protocol):
    """Messages of the enclave to its host, while it serves one."""

    def call_key_manager(self, session_id: Bytes32, message: bytes) -> bytes:
        """Carry one session message to a key manager; the same one for the same session."""
        ...


CONCURRENT = frozenset(
    {
        "prepare_epoch",
        "check",
        "fetch_diff",
        "call",
        "estimate_gas",
        "fetch_account",
        "fetch_code",
        "fetch_storage",
        "fetch_min_gas_price",
        "fetch_call_data_key",
    }
)
"""Messages that run side by side, and beside the one that changes state."""
