"""CBOR as an attacker writes it: values that no codec of ours encodes, anywhere in honest bytes."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from shared.encoding.values import to_wire


@dataclass(frozen=True)
class Raw:
    """Bytes that stand in an encoding as they are."""

    encoded: bytes


HOSTILE: tuple[Any, ...] = (
    0, 1, -1, 23, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**64),
    2**256, -(2**70), b"", b"\x00", bytes(20), bytes(21), bytes(31), bytes(32), bytes(33),
    b"\xff" * 64, bytes(70_000), "", "x", "\x00", "\U0001f4a5", "a" * 5_000, [], {}, [[]],
    [0] * 3_000, {"a": 1}, {1: 2}, {b"k": b"v"}, {"amount": 2**63}, None, True, False, 1.5,
    float("nan"), float("inf"), cbor2.undefined, cbor2.CBORSimpleValue(0),
    cbor2.CBORTag(0, "2020-01-01"), cbor2.CBORTag(2, b"\x01" * 40), cbor2.CBORTag(35, "(a+)+b"),
    cbor2.CBORTag(4711, 0),
    Raw(bytes.fromhex("d81c81d81d00")), Raw(bytes.fromhex("d81ca10ad81d00")), Raw(b"\x9f\xff"),
    Raw(b"\xbf\xff"), Raw(b"\x5f\x41a\xff"), Raw(b"\x81" * 60 + b"\x00"), Raw(b"\x81" * 5_000),
    Raw(b"\x9b\x00\x00\x00\x00\xff\xff\xff\xff"), Raw(b"\xa2\x61a\x00\x61a\x01"), Raw(b"\x18\x01"),
    Raw(b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01"), Raw(b"\x61\xff"), Raw(b""),
)  # fmt: skip


def encode_anything(value: Any) -> bytes:
    """Encoding of a value in whose containers `Raw` may stand."""
    if isinstance(value, Raw):
        return value.encoded
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode_anything, value))
    if isinstance(value, dict):
        items = [(cbor2.dumps(key), encode_anything(item)) for key, item in value.items()]
        items.sort(key=lambda item: (len(item[0]), item[0]))
        return _head(5, len(value)) + b"".join(key + item for key, item in items)
    return cbor2.dumps(value, canonical=True)


def _head(major: int, length: int) -> bytes:
    head = bytearray(cbor2.dumps(length))
    head[0] |= major << 5
    return bytes(head)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a decoded value."""
    found = [path]
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(item, (*path, key))
    return found


def at(value: Any, path: Sequence[Any]) -> Any:
    """What stands at a place in a decoded value."""
    for step in path:
        value = value[step]
    return value


def spoiled(encoded: bytes, choice: int, hostile: Any) -> bytes:
    """An encoded value with something hostile in one of its places."""
    value = copy.deepcopy(cbor2.loads(encoded))
    paths = places(value)
    path = paths[choice % len(paths)]
    if not path:
        return encode_anything(hostile)
    *parents, last = path
    at(value, parents)[last] = hostile
    return encode_anything(value)


def hostile_bytes(record: object, **changes: Any) -> bytes:
    """Canonical bytes of a record with some of its fields replaced; None removes one."""
    wire = to_wire(type(record), record) | changes
    return cbor2.dumps({k: v for k, v in wire.items() if v is not None}, canonical=True)
