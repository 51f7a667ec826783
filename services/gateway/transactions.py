"""Transactions as a tool wants them, and as they are signed. Pure."""

from dataclasses import dataclass, replace
from typing import Any

from evm_native import sign_digest

from services.gateway import rlp
from services.gateway.authorizations import SET_CODE, Authorization, encode_authorizations
from services.gateway.pooled import PooledTransaction
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.objects import AccessList, CallRequest, access_list, call_request
from services.gateway.rpc.parameters import BadParameter, quantity, quantity64
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity

LEGACY, WITH_ACCESS_LIST, WITH_TIP = 0, 1, 2
CHAIN_OFFSET, PLAIN_OFFSET = 35, 27
"""What a legacy signature's `v` begins at, with a chain id (EIP-155) and without."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transaction as far as the tool gave it."""

    call: CallRequest
    nonce: int | None
    chain_id: int | None
    max_fee: int | None
    """[wei/gas]"""
    max_tip: int | None
    """[wei/gas]"""
    accesses: AccessList | None

    @property
    def authorizations(self) -> tuple[Authorization, ...]:
        """Accounts that take on code; a transaction with them is of type 4."""
        return self.call.authorizations


def read_wanted(untrusted: Any) -> Wanted:
    """Read a transaction object, or raise `BadParameter`."""
    wanted = read_any_wanted(untrusted)
    if wanted.call.gas_price is not None and (wanted.max_fee, wanted.max_tip) != (None, None):
        raise BadParameter("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    return wanted


def read_any_wanted(untrusted: Any) -> Wanted:
    """Read a transaction object that may name its price in two ways, or raise `BadParameter`."""
    call, fields = call_request(untrusted), fold_names(untrusted)

    def number(name: str) -> int | None:
        return None if fields.get(name) is None else quantity(fields[name])

    accesses = fields.get("accesslist")
    return Wanted(
        call,
        None if fields.get("nonce") is None else quantity64(fields["nonce"]),
        number("chainid"),
        number("maxfeepergas"),
        number("maxpriorityfeepergas"),
        None if accesses is None else access_list(accesses),
    )


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction that only lacks its signature."""

    type: int
    nonce: int
    gas: int
    max_fee: int
    """Gas price before type 2 [wei/gas]."""
    max_tip: int
    """[wei/gas]"""
    to: bytes | None
    value: int
    """[wei]"""
    input: bytes
    chain_id: int | None
    """None for a legacy transaction of any chain."""
    access_list: AccessList | None
    authorizations: tuple[Authorization, ...] = ()


def unsigned_of(signed: PooledTransaction) -> Unsigned:
    """Give a signed transaction without its signature."""
    return Unsigned(
        signed.type,
        signed.nonce,
        signed.gas,
        signed.max_fee,
        signed.max_tip,
        signed.to,
        signed.value,
        signed.input,
        signed.chain_id,
        signed.access_list,
        signed.authorizations,
    )


def pooled_of(unsigned: Unsigned, hash_: bytes, sender: bytes) -> PooledTransaction:
    """Give a transaction that nobody has signed as one that is signed by nothing."""
    return PooledTransaction(
        hash_,
        sender,
        unsigned.type,
        unsigned.nonce,
        unsigned.gas,
        unsigned.max_fee,
        unsigned.max_tip,
        unsigned.to,
        unsigned.value,
        unsigned.input,
        unsigned.chain_id,
        unsigned.access_list,
        v=0,
        r=0,
        s=0,
        authorizations=unsigned.authorizations,
    )


def sign(transaction: Unsigned, secret: bytes) -> bytes:
    """Sign a transaction; its raw bytes."""
    signature = sign_digest(secret, keccak256(_signed_bytes(transaction)))
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
    v = signature[64]
    if transaction.type == LEGACY:
        chain_id = transaction.chain_id
        v += PLAIN_OFFSET if chain_id is None else CHAIN_OFFSET + 2 * chain_id
    return _join(transaction, v, r, s)


def encode(signed: PooledTransaction) -> bytes:
    """Give the raw bytes of a signed transaction."""
    return _join(unsigned_of(signed), signed.v, signed.r, signed.s)


def encode_unsigned(transaction: Unsigned) -> bytes:
    """Give the raw bytes with an empty signature."""
    return _join(transaction, 0, 0, 0)


def with_input(transaction: Unsigned, data: bytes) -> Unsigned:
    """
    Put an envelope in the place of calldata.

    A byte more costs a unit of gas more, which a tool that estimated by itself did not know of.
    """
    more = max(len(data) - len(transaction.input), 0) + ENCODING_BYTES
    return replace(transaction, input=data, gas=min(transaction.gas + more, 2**64 - 1))


ENCODING_BYTES = 16
"""What lengths of a longer transaction may take beside its bytes [bytes]."""


def _signed_bytes(transaction: Unsigned) -> bytes:
    fields = _fields(transaction)
    if transaction.type != LEGACY:
        return bytes([transaction.type]) + rlp.encode(fields)
    if transaction.chain_id is not None:
        fields += [encode_quantity(transaction.chain_id), b"", b""]
    return rlp.encode(fields)


def _join(transaction: Unsigned, v: int, r: int, s: int) -> bytes:
    raw = rlp.encode([*_fields(transaction), *map(encode_quantity, (v, r, s))])
    return raw if transaction.type == LEGACY else bytes([transaction.type]) + raw


def _fields(transaction: Unsigned) -> list[rlp.Item]:
    nonce, fee = encode_quantity(transaction.nonce), encode_quantity(transaction.max_fee)
    call: list[rlp.Item] = [
        encode_quantity(transaction.gas),
        transaction.to or b"",
        encode_quantity(transaction.value),
        transaction.input,
    ]
    if transaction.type == LEGACY:
        return [nonce, fee, *call]
    has_tip = transaction.type in (WITH_TIP, SET_CODE)
    prices = [encode_quantity(transaction.max_tip), fee] if has_tip else [fee]
    accesses: list[rlp.Item] = [
        [account, list(slots)] for account, slots in transaction.access_list or ()
    ]
    fields = [encode_quantity(transaction.chain_id or 0), nonce, *prices, *call, accesses]
    if transaction.type == SET_CODE:
        fields.append(encode_authorizations(transaction.authorizations))
    return fields
