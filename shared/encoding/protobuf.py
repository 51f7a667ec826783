"""
The protobuf encodings that CometBFT hashes where it is seldom; those of every block are native.

A message is the concatenation of its fields in the order of their numbers. proto3 leaves out a
scalar that has its default value; gogoproto writes a submessage that is not nullable even where it
is empty, so `message` always writes and a caller leaves a nullable one out itself. Only encoding:
nothing here reads protobuf. Source: protobuf.dev/programming-guides/encoding.
"""

from shared.errors import Rejected

_VARINT, _LENGTH = 0, 2

NANOSECONDS = 1_000_000_000


class NumberOutOfRange(Rejected, module="protobuf", code=1):
    """The number has no 64-bit encoding; cut off, it would pass for another one."""


def uvarint(value: int) -> bytes:
    """Base-128 number, low groups first. `value` is not negative."""
    if value < 0x80:
        return bytes([value])
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def delimited(encoded: bytes) -> bytes:
    """A message behind its length, as CometBFT signs it."""
    return uvarint(len(encoded)) + encoded


def integer(number: int, value: int) -> bytes:
    """Field of type int32, int64, uint32 or enum; negative values take ten bytes."""
    return _tag(number, _VARINT) + uvarint(_checked(value) % 2**64) if value else b""


def data(number: int, value: bytes) -> bytes:
    """Field of type bytes."""
    return _tag(number, _LENGTH) + delimited(value) if value else b""


def message(number: int, encoded: bytes) -> bytes:
    """Field that is a message, or one element of a repeated field; written even when empty."""
    return _tag(number, _LENGTH) + delimited(encoded)


def timestamp(time_ns: int) -> bytes:
    """`google.protobuf.Timestamp` of a Unix time [ns]."""
    seconds, nanos = divmod(time_ns, NANOSECONDS)
    return integer(1, seconds) + integer(2, nanos)


def _checked(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise NumberOutOfRange(f"{value} is not a 64-bit integer")
    return value


def _tag(number: int, wire_type: int) -> bytes:
    return uvarint(number << 3 | wire_type)
