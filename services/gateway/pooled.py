"""
Raw transactions, read: those that wait in a pool are in no record yet.

The gateway believes nobody's word for a sender: it follows from the signature. Pure.

Source: EIP-155, 2718, 2930, 1559, 7702.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evm_native import ConfigError, recover_signer

from services.gateway import rlp
from services.gateway.authorizations import SET_CODE, Authorization
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity
from shared.errors import Rejected

OWNER_SIGNATURE_BYTES = 64
LEGACY_FIELDS = 9
FIELDS = {1: 11, 2: 12, SET_CODE: 13}
"""Fields of typed transactions, with the signature's three."""


class UnreadableTransaction(Rejected, module="gateway", code=10):
    """The bytes are no signed transaction of a type that this chain takes."""


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A signed transaction that is in no block."""

    hash: bytes
    sender: bytes
    type: int
    nonce: int
    gas: int
    max_fee: int
    """Gas price before type 2 [wei/gas]."""
    max_tip: int
    """[wei/gas]"""
    to: bytes | None
    value: int
    input: bytes
    chain_id: int | None
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] | None
    v: int
    r: int
    s: int
    authorizations: tuple[Authorization, ...] = ()


def read_transaction(untrusted: bytes) -> PooledTransaction:
    """Read raw bytes, or raise `UnreadableTransaction`."""
    try:
        return _read(untrusted)
    except (rlp.MalformedRlp, ConfigError, ValueError) as error:
        raise UnreadableTransaction(str(error)) from None


def read_impersonated(untrusted: bytes) -> PooledTransaction | None:
    """
    Read what the network's owner signed for somebody; None for an edit (ADR 0045).

    Whether he signed it only an enclave says. Raises `UnreadableTransaction`.
    """
    try:
        *call, change = _list(rlp.decode(untrusted[1 + OWNER_SIGNATURE_BYTES :]))
        chain_id, nonce, fee, gas, sender, to, value, data = _strings(call, 8)
        if _list(change):
            return None
        return PooledTransaction(
            hash=keccak256(untrusted),
            sender=_receiver(sender) or b"",
            type=0,
            nonce=_number(nonce),
            gas=_number(gas),
            max_fee=_number(fee),
            max_tip=_number(fee),
            to=_receiver(to),
            value=_number(value),
            input=data,
            chain_id=_number(chain_id),
            access_list=None,
            v=0,
            r=1,
            s=1,
        )
    except (rlp.MalformedRlp, ValueError) as error:
        raise UnreadableTransaction(str(error)) from None


def read_receiver(untrusted: bytes) -> tuple[bytes | None, bytes]:
    """Read whom a raw transaction calls, and with what; raises `UnreadableTransaction`."""
    is_typed = _is_typed(untrusted)
    try:
        items = rlp.decode(untrusted[1:] if is_typed else untrusted)
        count = FIELDS[untrusted[0]] if is_typed else LEGACY_FIELDS
        if isinstance(items, bytes) or len(items) != count:
            raise UnreadableTransaction(f"{count} fields are expected")
        # Behind the calldata come the signature, in typed transactions the access list, and in
        # those of type 4 authorizations.
        last = count - 3 - is_typed - (is_typed and untrusted[0] == SET_CODE)
        to, _, data = _strings(items[last - 3 : last], 3)
        return _receiver(to), data
    except (rlp.MalformedRlp, ValueError) as error:
        raise UnreadableTransaction(str(error)) from None


def _read(raw: bytes) -> PooledTransaction:
    if _is_typed(raw):
        return _read_typed(raw[0], raw)
    nonce, price, gas, to, value, data, *signature = _strings(rlp.decode(raw), LEGACY_FIELDS)
    v, r, s = map(_number, signature)
    signed: list[rlp.Item] = [nonce, price, gas, to, value, data]
    chain_id = None
    if v >= 35:
        chain_id = (v - 35) // 2
        signed += [encode_quantity(chain_id), b"", b""]
    parity = v - 27 if chain_id is None else (v - 35) % 2
    fee = _number(price)
    return PooledTransaction(
        hash=keccak256(raw),
        sender=_sender(rlp.encode(signed), parity, r, s),
        type=0,
        nonce=_number(nonce),
        gas=_number(gas),
        max_fee=fee,
        max_tip=fee,
        to=_receiver(to),
        value=_number(value),
        input=data,
        chain_id=chain_id,
        access_list=None,
        v=v,
        r=r,
        s=s,
    )


def _read_typed(kind: int, raw: bytes) -> PooledTransaction:
    items = rlp.decode(raw[1:])
    if isinstance(items, bytes) or len(items) != FIELDS[kind]:
        raise ValueError(f"type {kind} has {FIELDS[kind]} fields")
    *signed, v, r, s = items
    *call, access_list = signed[:-1] if kind == SET_CODE else signed
    chain_id, nonce, *prices, gas, to, value, data = _strings(call, len(call))
    parity, first, second = map(_number, _strings([v, r, s], 3))
    return PooledTransaction(
        hash=keccak256(raw),
        sender=_sender(bytes([kind]) + rlp.encode(signed), parity, first, second),
        type=kind,
        nonce=_number(nonce),
        gas=_number(gas),
        max_fee=_number(prices[-1]),
        max_tip=_number(prices[0]),
        to=_receiver(to),
        value=_number(value),
        input=data,
        chain_id=_number(chain_id),
        access_list=_access_list(access_list),
        v=parity,
        r=first,
        s=second,
        authorizations=_authorizations(signed[-1]) if kind == SET_CODE else (),
    )


def _is_typed(raw: bytes) -> bool:
    return bool(raw) and raw[0] in FIELDS


def _sender(signed: bytes, parity: int, r: int, s: int) -> bytes:
    if not 0 <= parity <= 1:
        raise ValueError("the parity of a signature is 0 or 1")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    return recover_signer(keccak256(signed), signature)


def _strings(items: rlp.Item, count: int) -> list[bytes]:
    if isinstance(items, bytes) or len(items) != count:
        raise ValueError(f"{count} fields are expected")
    strings = [one for one in items if isinstance(one, bytes)]
    if len(strings) != count:
        raise ValueError("a field is a list")
    return strings


def _number(item: bytes) -> int:
    if len(item) > 32 or item[:1] == b"\0":
        raise ValueError("a number has at most 32 bytes and no leading zero")
    return int.from_bytes(item, "big")


def _receiver(item: bytes) -> bytes | None:
    if len(item) not in (0, 20):
        raise ValueError("an address has 20 bytes")
    return item or None


def _access_list(item: rlp.Item) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    entries = []
    for entry in _list(item):
        pair = _list(entry)
        if len(pair) != 2 or not isinstance(pair[0], bytes):
            raise ValueError("an access list has pairs of address and slots")
        slots = _list(pair[1])
        entries.append((pair[0], tuple(_strings(slots, len(slots)))))
    return tuple(entries)


def _authorizations(item: rlp.Item) -> tuple[Authorization, ...]:
    read = []
    for one in _list(item):
        chain_id, address, *numbers = _strings(one, 6)
        nonce, parity, r, s = map(_number, numbers)
        if len(address) != 20:
            raise ValueError("an address has 20 bytes")
        read.append(Authorization(_number(chain_id), address, nonce, parity, r, s))
    return tuple(read)


def _list(item: rlp.Item) -> Sequence[rlp.Item]:
    if isinstance(item, bytes):
        raise UnreadableTransaction("a list is expected")
    return item
