"""
Transactions of the Oasis runtime SDK, as its clients sign them.

An unverified transaction is the CBOR array `[transaction, [proof, …]]`; the proof of an ordinary
signer is `{signature}` over the bytes of the transaction. Source: oasis-sdk
`runtime-sdk/src/types/{transaction,address,callformat}.rs` @ 00da39c. Differs: no multisig; a
ParaTime in Python takes one signer, who pays the fee.
"""

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from shared.crypto.hashes import sha512_256
from shared.encoding import cbor
from shared.encoding.notes import Size, Wide
from shared.encoding.record import Bytes32
from shared.encoding.values import from_wire, to_wire

TRANSACTION_VERSION = 1
BASE_CONTEXT = b"oasis-runtime-sdk/tx: v0"
NATIVE = b""
"""Denomination of the ParaTime's own token."""

Quantity = Annotated[int, Wide(16)]
BaseUnits = tuple[Quantity, bytes]
"""An amount and its denomination."""


class CallFormat(enum.IntEnum):
    """How a call's body is written."""

    PLAIN = 0
    ENCRYPTED = 1
    """X25519 and Deoxys-II, to the key of an epoch."""


@dataclass(frozen=True, slots=True)
class SignatureSpec:
    """The key of a signer: exactly one of these."""

    ed25519: Bytes32 | None = None
    secp256k1eth: Annotated[bytes, Size(33)] | None = None
    sr25519: Bytes32 | None = None


@dataclass(frozen=True, slots=True)
class AddressSpec:
    """Who a signer is."""

    signature: SignatureSpec


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """A signer, and the place of this transaction in its sequence."""

    address_spec: AddressSpec
    nonce: int


@dataclass(frozen=True, slots=True)
class FeeProxy:
    """Whose rules say who pays instead of the signer."""

    module: str
    """`rofl`"""
    id: bytes
    """Of the attested app."""


@dataclass(frozen=True, slots=True)
class Fee:
    """What the signer pays at most."""

    amount: BaseUnits = (0, NATIVE)
    gas: int = 0
    consensus_messages: int = 0
    proxy: FeeProxy | None = None


@dataclass(frozen=True, slots=True)
class AuthInfo:
    """Everything about a transaction that is not the call."""

    si: tuple[SignerInfo, ...]
    fee: Fee
    not_before: int | None = None
    """First round in which it may run."""
    not_after: int | None = None
    """Last round in which it may run."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be done."""

    body: Any = None
    method: str = ""
    format: CallFormat = CallFormat.PLAIN
    ro: bool = False
    """Whether it may change nothing."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without its proof."""

    v: int
    call: Call
    ai: AuthInfo


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves that a signer agreed."""

    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The body of an encrypted call. `data` opens to `{method, body, ro}`."""

    pk: Bytes32
    """The client's key."""
    nonce: Annotated[bytes, Size(15)]
    epoch: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SealedResult:
    """The result of an encrypted call: `{unknown: this}`."""

    nonce: Annotated[bytes, Size(15)]
    data: bytes


@dataclass(frozen=True, slots=True)
class FailedCall:
    """Why a call failed."""

    module: str
    code: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class SdkGenesis:
    """First balances and limits of a ParaTime that speaks these transactions."""

    confidential: bool
    balances: tuple[tuple[bytes, Quantity], ...] = ()
    """(21-byte address, native base units)."""
    batch_gas_limit: int = 15_000_000
    min_gas_price: Quantity = 0


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """What the runtime tells of an executed transaction; one for each in `RoundBlock.results`."""

    hash: Bytes32
    sender: bytes
    nonce: int
    gas_used: int
    fee: Quantity
    """Paid, in native base units."""
    result: bytes
    """CBOR `{ok}`, `{fail: {module, code, message}}` or, where it was encrypted, `{unknown}`."""
    events: tuple[tuple[bytes, bytes], ...] = ()
    """(module ‖ code (4, big-endian), CBOR array of the events of that kind)."""


def signature_context(runtime_id: bytes, chain_context: str) -> bytes:
    """Give the context of signatures: of one ParaTime on one network."""
    return BASE_CONTEXT + b" for chain " + _domain(runtime_id, chain_context)


def _domain(runtime_id: bytes, chain_context: str) -> bytes:
    return sha512_256(runtime_id + chain_context.encode()).hex().encode()


def encode_transaction(transaction: Transaction) -> bytes:
    """Bytes that are signed."""
    return cbor.encode(to_wire(Transaction, transaction))


def encode_signed(transaction: bytes, *signatures: bytes) -> bytes:
    """Join a transaction and the proofs of its signers, in their order."""
    return cbor.encode([transaction, [{"signature": one} for one in signatures]])


def decode_signed(untrusted: bytes) -> tuple[bytes, Transaction, tuple[Proof, ...]]:
    """
    Read an unverified transaction: the signed bytes, what they say, the proofs.

    Raises
    ------
    MalformedCbor, MalformedRecord
        It is none.
    """
    body, proofs = from_wire(tuple[bytes, tuple[Proof, ...]], cbor.decode(untrusted))
    return body, decode_transaction(body), proofs


def decode_transaction(untrusted: bytes) -> Transaction:
    """Read a transaction without proof, or raise `MalformedCbor`, `MalformedRecord`."""
    transaction: Transaction = from_wire(Transaction, cbor.decode(untrusted))
    return transaction
