"""Records of the EVM runtime: its genesis, and what may be asked of its state."""

from dataclasses import dataclass
from typing import Annotated, Final

from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes20, Bytes32, Uint256

MAX_PRETENCE_BYTES = 4 * 1024 * 1024
MAX_PROVEN_SLOTS = 1024
"""Slots of one proof. Source: go-ethereum internal/ethapi/api.go (`maxGetStorageSlots`)."""


@dataclass(frozen=True, slots=True)
class EvmGenesisAccount:
    """An account that is more than a balance at genesis, from a file of the network's author."""

    address: Bytes20
    balance: Uint256
    nonce: int
    code: bytes
    storage: tuple[tuple[Uint256, Uint256], ...]
    """(slot, value)."""


@dataclass(frozen=True, slots=True)
class EvmGenesis:
    """Genesis state of an EVM ParaTime."""

    chain_id: int
    balances: tuple[tuple[bytes, bytes], ...]
    """(20-byte address, big-endian amount [wei-like base units])."""
    confidential: bool = True
    batch_gas_limit: int = 15_000_000
    min_gas_price: int = 100_000_000_000
    predeployed: bool = False
    """Whether the contracts that every chain has are there, such as Multicall3."""
    accounts: tuple[EvmGenesisAccount, ...] = ()
    charges_for_size: bool = True
    """Whether a transaction pays for its size and signature, as on Sapphire, or as on Ethereum."""


SDK_QUERIES: Final = frozenset(
    (
        *("rofl.App", "rofl.Apps", "rofl.AppInstance", "rofl.AppInstances"),
        *("rofl.StakeThresholds", "rofl.MetadataLimits"),
        *("accounts.Nonce", "accounts.Balances", "accounts.Addresses"),
        *("accounts.DenominationInfo", "core.MinGasPrice", "core.EstimateGas"),
        *("core.CallDataPublicKey", "consensus.Balance", "consensus.Account"),
        *("consensus.Delegation", "consensus.Delegations", "consensus.AllDelegations"),
        *("consensus.Undelegations", "consensus.AllUndelegations"),
        *("evm.Balance", "evm.Code", "evm.Storage", "evm.SimulateCall"),
    )
)
"""Questions of the SDK's own modules, CBOR to CBOR as upstream's clients ask them."""


class EvmQuery:
    """Methods of `ComputeApi.query`: `arguments -> answer`, each a record unless it says bytes."""

    CALL: Final = "evm.Call"  # EvmCall -> bytes
    CALL_WITH_MONEY: Final = "qanat.CallWithMoney"  # EvmCall -> bytes
    ESTIMATE_GAS: Final = "evm.EstimateGas"  # EvmCall -> Amount
    ESTIMATE_GAS_AS_SENDER: Final = "qanat.EstimateGasAsSender"  # EvmCall -> Amount
    ACCOUNT: Final = "evm.Account"  # AccountQuery -> Account
    CODE: Final = "qanat.Code"  # AccountQuery -> bytes
    STORAGE: Final = "qanat.Storage"  # StorageQuery -> bytes
    PROOF: Final = "qanat.EthereumProof"  # ProofQuery -> AccountProof
    MIN_GAS_PRICE: Final = "evm.MinGasPrice"  # empty -> Amount
    PROVE_APP: Final = "qanat.ProveApp"  # app id -> proof of its record under the state root
    TRACE: Final = "evm.Trace"  # TraceQuery -> Traces; of the round after
    VIEW: Final = "qanat.ViewTransaction"  # ViewQuery -> SealedView; of the round after
    ASK_AS_OWNER: Final = "qanat.AskAsOwner"  # SignedQuestion -> SealedView
    STATE: Final = "qanat.State"  # StateQuery -> StateItems
    SIMULATE: Final = "evm.Simulate"  # JSON -> JSON; see `Engine::simulate_blocks`


@dataclass(frozen=True, slots=True)
class EvmCall:
    """An `eth_call` or estimate, with the parameters as the gateway resolved them."""

    caller: Bytes20
    to: Bytes20 | None
    """None for a create."""
    gas: int
    gas_price: Uint256
    value: Uint256
    data: bytes
    """Signed query pack, envelope or plain calldata."""
    pretence: Annotated[bytes, AtMost(MAX_PRETENCE_BYTES)] = b""
    """JSON of what it pretends, of a public ParaTime alone; see `evm_core::engine::Pretence`."""


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Asks about an account."""

    address: Bytes20


@dataclass(frozen=True, slots=True)
class StorageQuery:
    """Asks about a storage slot."""

    address: Bytes20
    slot: Bytes32


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """The result of a round of a public chain, where it changes its Ethereum state root."""

    ethereum_root: Bytes32
    """Of the Merkle-Patricia trie of accounts."""


@dataclass(frozen=True, slots=True)
class ProofQuery:
    """Asks for a proof in Ethereum's form of an account and of slots of it; of a public chain."""

    address: Bytes20
    slots: Annotated[tuple[Bytes32, ...], AtMost(MAX_PROVEN_SLOTS)]


@dataclass(frozen=True, slots=True)
class SlotProof:
    """A slot as the trie of its contract has it."""

    value: Uint256
    nodes: tuple[bytes, ...]
    """From the contract's storage root down, RLP."""


@dataclass(frozen=True, slots=True)
class AccountProof:
    """Answer to `ProofQuery`, under the Ethereum state root of the round (EIP-1186)."""

    nonce: int
    balance: Uint256
    code_hash: Bytes32
    storage_root: Bytes32
    nodes: tuple[bytes, ...]
    """From the state root down, RLP."""
    slots: tuple[SlotProof, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Public state of an Ethereum account."""

    nonce: int
    balance: Uint256


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Asks what transactions of a round did; put to the state of the round before it."""

    transactions: tuple[bytes, ...]
    """Raw ones of the round, in order, up to the last that is wanted."""
    block_hash: Bytes32
    """Hash of the round, which some forms of a trace repeat."""
    wanted: int | None
    """Position of the one that is wanted; None for all."""
    style: bytes
    """JSON of the form of the trace; see `evm_core::tracing::Style`."""


@dataclass(frozen=True, slots=True)
class TracedTransaction:
    """One transaction that ran again."""

    result: bytes
    """Its result record, which is that of the round."""
    trace: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Answer to `TraceQuery`: of the wanted one, or of all in order."""

    transactions: tuple[TracedTransaction, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """One number: gas, or a price [wei]."""

    value: Uint256


ACCOUNTS, CODES, SLOTS = b"\x01", b"\x02", b"\x05"
"""What keys of the state begin with. Source: `crates/evm-core/src/layout.rs`."""


@dataclass(frozen=True, slots=True)
class StateQuery:
    """Asks for a page of the state of a public chain, in the order of the keys."""

    prefix: Annotated[bytes, AtMost(1)]
    """One of `ACCOUNTS`, `CODES` and `SLOTS`."""
    start: Annotated[bytes, AtMost(64)] | None = None
    """First key that is wanted; None from the beginning."""


@dataclass(frozen=True, slots=True)
class StateItems:
    """Answer to `StateQuery`."""

    items: tuple[tuple[bytes, bytes], ...]
    """Keys and values as they stand in the state."""
    is_last: bool
    """Whether no more begin with the prefix."""
