"""
The result record of a transaction, as compute nodes hand it out with a round.

It holds every field that an RPC answer shows, so the gateway never decodes RLP.
"""

from dataclasses import dataclass

from shared.encoding.record import Bytes20, Bytes32, encode_record, native_codec_of

BLOOM_BYTES = 256
NATIVE_TYPE = 0x82
"""Of transactions of the SDK's format. Source: `SDK_TYPE` of evm-core."""


AuthorizationRecord = tuple[bytes, Bytes20, int, int, bytes, bytes]
"""Chain id, address, nonce, parity, r, s of an authorization (EIP-7702)."""


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """Why a transaction failed."""

    module: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A mined transaction with its result. Quantities in bytes are big-endian without zeros."""

    hash: Bytes32
    sender: Bytes20
    nonce: int
    gas: int
    """Limit [gas]."""
    gas_price: bytes
    """Paid [wei/gas]."""
    max_fee: bytes
    """Most that the sender offered [wei/gas]; the gas price before type 2."""
    max_tip: bytes
    """[wei/gas]"""
    value: bytes
    """[wei]"""
    type: int
    """0 to 2, on Ethereum's own chain to 4; `NATIVE_TYPE` where it is none of Ethereum's."""
    input: bytes
    """Calldata as sent: plain or an envelope."""
    v: bytes
    r: bytes
    s: bytes
    status: int
    """1 is success."""
    gas_used: int
    cumulative_gas_used: int
    """Of this and the earlier transactions of the round [gas]."""
    effective_gas_price: bytes
    """[wei/gas]"""
    logs: tuple[tuple[Bytes20, tuple[Bytes32, ...], bytes], ...]
    """(address, topics, data) of each."""
    bloom: bytes
    """256 bytes."""
    output: bytes
    """Runtime result: raw, or sealed to the sender."""
    encrypted: bool
    """Whether the calldata came in an envelope."""
    to: Bytes20 | None = None
    """None for a create."""
    chain_id: int | None = None
    """None before EIP-155."""
    access_list: tuple[tuple[Bytes20, tuple[Bytes32, ...]], ...] | None = None
    contract_address: Bytes20 | None = None
    """Contract that was made."""
    error: FailureRecord | None = None
    """None on success."""
    events: tuple[tuple[bytes, bytes], ...] = ()
    """(module ‖ code (4, big-endian), CBOR) of each that a module told."""
    authorizations: tuple[AuthorizationRecord, ...] = ()
    """Of type 4: accounts that took on code."""

    @property
    def is_native(self) -> bool:
        """Whether it is of the SDK's own format, which Ethereum's clients do not see."""
        return self.type == NATIVE_TYPE


def decode_transaction_record(untrusted: bytes) -> TransactionRecord:
    """
    Read one record.

    Raises
    ------
    MalformedCbor, MalformedRecord
        The node sent something else.
    """
    record: TransactionRecord = native_codec_of(TransactionRecord).decode_loosely(untrusted)
    return record


def encode_transaction_record(record: TransactionRecord) -> bytes:
    """Write one record, as a compute node does."""
    return encode_record(record)


def number(quantity: bytes) -> int:
    """Value of a big-endian quantity; empty is zero."""
    return int.from_bytes(quantity, "big")
