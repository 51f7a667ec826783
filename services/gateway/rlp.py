"""
Recursive length prefixes, and what Ethereum writes in them: transactions, receipts, headers. Pure.

Source: Ethereum yellow paper, appendix B; EIP-2718, 2930, 1559, 7702.
"""

from collections.abc import Sequence

from services.gateway.authorizations import SET_CODE, encode_authorizations, of_record
from services.gateway.index.record import TransactionRecord, number
from services.gateway.index.rounds import IndexedRound, IndexedTransaction, logs_of
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity
from shared.errors import Rejected

Item = bytes | Sequence["Item"]

MAX_DEPTH = 8
"""Levels of lists; a transaction has four."""


class MalformedRlp(Rejected, module="gateway", code=11):
    """The bytes are no item."""


EthereumHeader = list[bytes]
"""The fields of a header, in Ethereum's order."""

_STRING, _LIST = 0x80, 0xC0
_SHORT_BYTES = 55
"""Longest payload whose length stands in the first byte [bytes]."""


def encode(item: Item) -> bytes:
    """Encode bytes, or a list of items."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(len(item), _STRING) + item
    payload = b"".join(map(encode, item))
    return _prefix(len(payload), _LIST) + payload


def decode(untrusted: bytes) -> Item:
    """Decode one item that is the whole input, or raise `MalformedRlp`."""
    item, end = _decode_at(untrusted, 0, len(untrusted), 0)
    if end != len(untrusted):
        raise MalformedRlp("bytes follow the item")
    return item


def _decode_at(raw: bytes, at: int, limit: int, depth: int) -> tuple[Item, int]:
    """Give the item that begins at a place and ends before a limit, and where it ends."""
    if at >= limit or depth > MAX_DEPTH:
        raise MalformedRlp("it ends early, or nests too deep")
    first = raw[at]
    if first < _STRING:
        return raw[at : at + 1], at + 1
    is_list = first >= _LIST
    length = first - (_LIST if is_list else _STRING)
    start = at + 1
    if length > _SHORT_BYTES:
        size = length - _SHORT_BYTES
        digits = raw[start : start + size]
        start, length = start + size, int.from_bytes(digits, "big")
        if digits[:1] == b"\0" or length <= _SHORT_BYTES:
            raise MalformedRlp("a length is not written in the shortest way")
    end = start + length
    if end > limit:
        raise MalformedRlp("an item ends behind what holds it")
    if not is_list:
        if length == 1 and raw[start] < _STRING:
            raise MalformedRlp("a byte is not written in the shortest way")
        return raw[start:end], end
    items: list[Item] = []
    while start < end:
        item, start = _decode_at(raw, start, end, depth + 1)
        items.append(item)
    return items, end


def _prefix(length: int, kind: int) -> bytes:
    if length <= _SHORT_BYTES:
        return bytes([kind + length])
    size = encode_quantity(length)
    return bytes([kind + _SHORT_BYTES + len(size)]) + size


def raw_transaction(transaction: IndexedTransaction) -> bytes | None:
    """The raw transaction as it was signed; None where what the chain shows is not enough."""
    if transaction.ethereum is not None:
        return transaction.ethereum.raw
    raw = encode_transaction(transaction.record)
    return raw if keccak256(raw) == transaction.record.hash else None


def encode_transaction(record: TransactionRecord) -> bytes:
    """The raw transaction of a record, as it was signed."""
    item = _transaction(record)
    return item if isinstance(item, bytes) else encode(item)


def _transaction(record: TransactionRecord) -> Item:
    """Give a list for a legacy transaction, and for a typed one its bytes."""
    signature = [_shortest(record.v), _shortest(record.r), _shortest(record.s)]
    call = [encode_quantity(record.gas), record.to or b"", _shortest(record.value), record.input]
    nonce, max_fee = encode_quantity(record.nonce), _shortest(record.max_fee)
    if record.type == 0:
        return [nonce, max_fee, *call, *signature]
    prices = [_shortest(record.max_tip), max_fee] if record.type in (2, SET_CODE) else [max_fee]
    access_list: list[Item] = [[a, list(slots)] for a, slots in record.access_list or ()]
    fields: list[Item] = [
        encode_quantity(record.chain_id or 0),
        nonce,
        *prices,
        *call,
        access_list,
    ]
    if record.type == SET_CODE:
        fields.append(encode_authorizations([of_record(one) for one in record.authorizations]))
    fields += signature
    return bytes([record.type]) + encode(fields)


def encode_receipt(transaction: IndexedTransaction) -> bytes:
    """A receipt in the form in which Ethereum hashes it."""
    if transaction.ethereum is not None:
        return transaction.ethereum.raw_receipt
    record = transaction.record
    logs: list[Item] = [[log.address, list(log.topics), log.data] for log in logs_of(transaction)]
    fields: list[Item] = [
        encode_quantity(record.status),
        encode_quantity(record.cumulative_gas_used),
        record.bloom,
        logs,
    ]
    prefix = bytes([record.type]) if record.type else b""
    return prefix + encode(fields)


def _shortest(value: bytes) -> bytes:
    return encode_quantity(number(value))


def encode_header(fields: EthereumHeader) -> bytes:
    """A header. Its Keccak hash is not the block's: that is the hash of the ParaTime's header."""
    return encode(fields)


def encode_block(fields: EthereumHeader, round_: IndexedRound) -> bytes:
    """A block of a header, its transactions and no uncles."""
    return encode([fields, [_transaction(one.record) for one in round_.transactions], []])
