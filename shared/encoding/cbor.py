"""
Canonical CBOR: one value, one encoding.

Everything that is hashed or signed is encoded here. The canonical order is that of RFC 7049
section 3.9 (shorter keys first, then bytewise), which oasis-core uses.
"""

from collections.abc import Mapping, Sequence

import cbor2

from shared.errors import Rejected

Value = int | bytes | str | bool | None | Sequence["Value"] | Mapping["str | int | bytes", "Value"]

MAX_DEPTH = 64
"""Nesting limit of untrusted input [levels]. Source: oasis-cbor, decoder limit."""


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
        Truncated or trailing bytes, a tag, a duplicate key, an indefinite length, nesting over
        `MAX_DEPTH`, or any encoding other than the canonical one.
    """
    value = decode_loosely(untrusted)
    if encode(value) != untrusted:
        raise MalformedCbor("the encoding is not canonical")
    return value


def encode_loosely(value: Value) -> bytes:
    """Encode a value that is neither hashed nor signed; map order is the caller's."""
    return cbor2.dumps(value)


def decode_loosely(untrusted: bytes) -> Value:
    """Decode one item whose bytes are neither hashed nor signed, such as a frame."""
    try:
        value: Value = cbor2.loads(
            untrusted,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_refuse_tag,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedCbor(f"not CBOR: {error}") from error
    return value


def _refuse_tag(tag: object, *_: object) -> object:
    raise ValueError(f"tags are not allowed: {tag}")
