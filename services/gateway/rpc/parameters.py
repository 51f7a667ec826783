"""
Reading parameters: small functions that take a JSON value and give a Python one.

They raise `BadParameter`, to which the dispatcher adds the position. Texts follow go-ethereum's
hexutil where it has one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from services.gateway.rpc.field_names import fold_names

ADDRESS_BYTES = 20
HASH_BYTES = 32
MAX_NUMBER = 2**256 - 1

_HEX_DIGITS = re.compile(r"[0-9a-fA-F]*\Z")


class BadParameter(Exception):
    """A value is not what the parameter needs; the text says why."""


class Tag(Enum):
    """Names of blocks."""

    LATEST = "latest"
    PENDING = "pending"
    EARLIEST = "earliest"
    SAFE = "safe"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class BlockHash:
    """A block named by its hash."""

    hash: bytes


BlockId = int | Tag
"""A block named by number or tag."""
AnyBlockId = int | Tag | BlockHash
"""As EIP-1898 allows."""

REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One position: how it is read, and what it is when left out."""

    read: Callable[[Any], Any]
    default: Any = REQUIRED


def optional(read: Callable[[Any], Any], default: Any = None) -> Parameter:
    """Mark a parameter that may be left out or null."""
    return Parameter(read, default)


# -- hex ---------------------------------------------------------------------------------------


def _digits(value: Any) -> str:
    if type(value) is not str:
        raise BadParameter("must be a hex string")
    if not value.startswith(("0x", "0X")):
        raise BadParameter("hex string without 0x prefix" if value else "empty hex string")
    digits = value[2:]
    if not _HEX_DIGITS.match(digits):
        raise BadParameter("invalid hex string")
    return digits


def quantity(value: Any) -> int:
    """Number as `0x…` without leading zeros, up to 256 bits."""
    digits = _digits(value)
    if not digits:
        raise BadParameter('hex string "0x"')
    if digits[0] == "0" and len(digits) > 1:
        raise BadParameter("hex number with leading zero digits")
    if len(digits) > 64:
        raise BadParameter("hex number > 256 bits")
    return int(digits, 16)


def quantity64(value: Any) -> int:
    """Number as `0x…`, up to 64 bits."""
    number = quantity(value)
    if number >= 2**64:
        raise BadParameter("hex number > 64 bits")
    return number


def data(value: Any) -> bytes:
    """Bytes as `0x…`."""
    digits = _digits(value)
    if len(digits) % 2:
        raise BadParameter("hex string of odd length")
    return bytes.fromhex(digits)


def _fixed(value: Any, length: int) -> bytes:
    raw = data(value)
    if len(raw) != length:
        raise BadParameter(f"hex string has length {2 * len(raw)}, want {2 * length}")
    return raw


def address(value: Any) -> bytes:
    """Address, 20 bytes; upper and lower case alike."""
    return _fixed(value, ADDRESS_BYTES)


def hash32(value: Any) -> bytes:
    """Hash, 32 bytes."""
    return _fixed(value, HASH_BYTES)


def whole_hash(value: Any) -> bytes:
    """Hash that is a parameter by itself: its faults are those of a JSON value there."""
    try:
        return hash32(value)
    except BadParameter as error:
        why = f"json: cannot unmarshal {error} into Go value of type common.Hash"
        raise BadParameter(why) from None


def slot(value: Any) -> bytes:
    """Storage slot: up to 32 bytes, with or without prefix and leading zeros."""
    if type(value) is not str:
        raise BadParameter("must be a hex string")
    digits = value[2:] if value.startswith(("0x", "0X")) else value
    if not _HEX_DIGITS.match(digits):
        raise BadParameter("invalid slot: hex string invalid")
    if len(digits) > 2 * HASH_BYTES:
        raise BadParameter("invalid slot: hex string too long, want at most 32 bytes")
    return bytes.fromhex(digits.rjust(2 * HASH_BYTES, "0"))


def boolean(value: Any) -> bool:
    """JSON true or false."""
    if type(value) is not bool:
        raise BadParameter("must be a boolean")
    return value


def text(value: Any) -> str:
    """JSON string."""
    if type(value) is not str:
        raise BadParameter("must be a string")
    return value


def anything(value: Any) -> Any:
    """Any JSON, for parameters that have no effect."""
    return value


# -- blocks ------------------------------------------------------------------------------------

_TAGS = {tag.value: tag for tag in Tag}


def block_id(value: Any) -> BlockId:
    """Block by tag or number."""
    if type(value) is str:
        tag = _TAGS.get(value)
        if tag is not None:
            return tag
    number = quantity(value)
    if number >= 2**63:
        raise BadParameter("block number larger than int64")
    return number


def any_block_id(value: Any) -> AnyBlockId:
    """Block by tag, number, hash, or EIP-1898 object."""
    if type(value) is str:
        # A hash is as long as no number can be.
        return BlockHash(hash32(value)) if len(value) == 2 + 2 * HASH_BYTES else block_id(value)
    if type(value) is not dict:
        raise BadParameter("must be a block number, tag, hash or object")
    fields = fold_names(value)
    by_hash, by_number = fields.get("blockhash"), fields.get("blocknumber")
    if by_hash is not None and by_number is not None:
        raise BadParameter("cannot specify both BlockHash and BlockNumber, choose one or the other")
    if by_hash is not None:
        return BlockHash(hash32(by_hash))
    if by_number is not None:
        return block_id(by_number)
    raise BadParameter("types BlockHash and BlockNumber cannot be both nil")


# -- fees --------------------------------------------------------------------------------------


def count(value: Any) -> int:
    """Number as `0x…`, as decimal text, or as a JSON number."""
    if type(value) is int:
        if value < 0:
            raise BadParameter("must not be negative")
        if value >= 2**64:
            raise BadParameter("number > 64 bits")
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 20:
        number = int(value)
        if number >= 2**64:
            raise BadParameter("number > 64 bits")
        return number
    return quantity64(value)


def seconds(value: Any) -> int:
    """Time span [s], whose milliseconds are a number of 64 bits as well."""
    span = count(value)
    if span >= 2**64 // 1_000:
        raise BadParameter("is longer than any time")
    return span


def amount(value: Any) -> int:
    """Number up to 256 bits as `0x…`, with leading zeros or without, or as a JSON number."""
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return value
    digits = _digits(value)
    if len(digits.lstrip("0")) > 2 * HASH_BYTES:
        raise BadParameter("hex number > 256 bits")
    return int(digits or "0", 16)


def percentiles(value: Any) -> tuple[float, ...]:
    """Rising list of percentages."""
    if type(value) is not list or not all(type(item) in (int, float) for item in value):
        raise BadParameter("must be a list of numbers")
    return tuple(map(float, value))
