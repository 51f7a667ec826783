"""
Canonical CBOR: one value, one encoding.

Everything that is hashed or signed is encoded here. The canonical order is that of RFC 7049
section 3.9 (shorter keys first, then bytewise), which oasis-core uses. Only plain items exist:
integers of 64 bits, byte and text strings, booleans, null, arrays and maps. There are no tags, so
nothing in untrusted bytes makes an object of another kind, or one that contains itself (ADR 0012).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cbor2

from shared.errors import Rejected

Value = int | bytes | str | bool | None | Sequence["Value"] | Mapping["str | int | bytes", "Value"]

MAX_DEPTH = 64
"""Nesting limit of untrusted input [levels]. Source: oasis-cbor, decoder limit."""
_LEAVES = frozenset({int, bytes, str, bool, type(None)})
_KEYS = frozenset({int, bytes, str})


class MalformedCbor(Rejected, module="encoding", code=1):
    """The bytes are not one canonical CBOR item."""


def encode(value: Value) -> bytes:
    """Encode a value canonically; equal values give equal bytes."""
    return cbor2.dumps(value, canonical=True)


def decode(untrusted: bytes) -> Value:
    """
    Decode exactly one canonical item.

    Raises
    ------
    MalformedCbor
        Truncated or trailing bytes, a tag, a float or another item that is not plain, a duplicate
        key, an indefinite length, nesting over `MAX_DEPTH`, or any encoding other than the
        canonical one.
    """
    value = decode_loosely(untrusted)
    _verify_plain(value)
    # Keys are in order already, so what is left to compare are the lengths of heads. That is a
    # quarter of the time of a canonical encoding, which would sort all maps again.
    if cbor2.dumps(value) != untrusted:
        raise MalformedCbor("the encoding is not canonical")
    return value


def encode_loosely(value: Value) -> bytes:
    """Encode a value that is neither hashed nor signed; map order is the caller's."""
    return cbor2.dumps(value)


def decode_loosely(untrusted: bytes) -> Value:
    """
    Decode one item whose bytes are neither hashed nor signed, such as a frame.

    Whoever reads the value checks the types in it, as the record codec does.
    """
    try:
        value: Value = cbor2.loads(
            untrusted,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NO_TAGS,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedCbor(f"not CBOR: {error}") from error
    return value


class _NoTags(dict[int, Any]):
    """
    Stands for a decoder of every tag, and refuses it.

    `tag_hook` is not enough: cbor2 decodes the tags that it knows itself, such as shared references
    (28, 29), big integers (2, 3) and dates, without asking.
    """

    def __missing__(self, tag: int) -> Any:
        raise ValueError(f"tags are not allowed: {tag}")


_NO_TAGS = _NoTags()


def _verify_plain(value: Any) -> None:
    """Verify that a decoded value holds plain items only, and maps in canonical order."""
    kind = type(value)
    if kind is dict:
        _verify_order(value)
        value = value.values()
    elif kind is not list:
        if kind not in _LEAVES:
            raise MalformedCbor(f"a {kind.__name__} is no plain item")
        return
    for item in value:
        if type(item) not in _LEAVES:
            _verify_plain(item)


def _verify_order(untrusted: dict[Any, Any]) -> None:
    last_length, last = -1, b""
    for key in untrusted:
        if type(key) is not str:
            _verify_mixed_order(untrusted)
            return
        # Text keys compare as well without their heads, which grow with the length.
        encoded = key.encode()
        length = len(encoded)
        if length < last_length or (length == last_length and encoded <= last):
            raise MalformedCbor("the keys of a map are not in canonical order")
        last_length, last = length, encoded


def _verify_mixed_order(untrusted: dict[Any, Any]) -> None:
    for key in untrusted:
        if type(key) not in _KEYS:
            raise MalformedCbor(f"a {type(key).__name__} is no key of a map")
    encoded = [cbor2.dumps(key) for key in untrusted]
    if encoded != sorted(encoded, key=lambda one: (len(one), one)):
        raise MalformedCbor("the keys of a map are not in canonical order")
