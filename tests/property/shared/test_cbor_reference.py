"""
The decoder against a second one, written from the RFC alone, byte by byte.

`shared.encoding.cbor` trusts cbor2 with the parsing and checks its result. The reference below
knows nothing of cbor2: it reads heads. Both must take the same bytes for the same value.
"""

from typing import Any

import cbor2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.encoding import cbor
from tests.support.short_run import examples


class Refused(Exception):
    """The reference takes no such bytes."""


def read_item(untrusted: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Item at a place, and the place after it."""
    if at >= len(untrusted):
        raise Refused("truncated")
    major, detail, at = untrusted[at] >> 5, untrusted[at] & 0x1F, at + 1
    if major == 7:
        if detail not in (20, 21, 22):
            raise Refused("neither false, true nor null")
        return {20: False, 21: True, 22: None}[detail], at
    if major == 6 or detail > 27:
        raise Refused("a tag or an indefinite length")
    number = detail
    if detail >= 24:
        width = 1 << (detail - 24)
        number = int.from_bytes(untrusted[at : at + width], "big")
        if len(untrusted) < at + width or number < (24 if width == 1 else 1 << (4 * width)):
            raise Refused("truncated, or a head that is too long")
        at += width
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        raw = untrusted[at : at + number]
        if len(raw) != number:
            raise Refused("truncated")
        try:
            return (raw if major == 2 else raw.decode()), at + number
        except UnicodeDecodeError:
            raise Refused("no text") from None
    if depth >= cbor.MAX_DEPTH:
        raise Refused("too deep")
    if major == 4:
        items = []
        for _ in range(number):
            item, at = read_item(untrusted, at, depth + 1)
            items.append(item)
        return items, at
    entries: dict[Any, Any] = {}
    last = b""
    for _ in range(number):
        start = at
        key, at = read_item(untrusted, at, depth + 1)
        encoded = untrusted[start:at]
        if isinstance(key, bool | list | dict) or key is None:
            raise Refused("no key")
        if (len(encoded), encoded) <= (len(last), last):
            raise Refused("out of order")
        last = encoded
        entries[key], at = read_item(untrusted, at, depth + 1)
    return entries, at


def reference(untrusted: bytes) -> Any:
    value, at = read_item(untrusted, 0, 0)
    if at != len(untrusted):
        raise Refused("trailing bytes")
    return value


def agree(untrusted: bytes) -> bool:
    """Assert that both decoders say the same of the bytes; say whether they take them."""
    try:
        expected = reference(untrusted)
    except Refused:
        try:
            value = cbor.decode(untrusted)
        except cbor.MalformedCbor:
            return False
        raise AssertionError(f"taken: {untrusted.hex()} as {value!r}") from None
    value = cbor.decode(untrusted)
    assert repr(value) == repr(expected)  # repr: 1 equals True
    return True


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.builds(cbor2.CBORSimpleValue, st.integers(0, 19)),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(max_size=30) | st.binary(max_size=3) | st.integers(), inner, max_size=5
        )
        | st.builds(cbor2.CBORTag, st.sampled_from([0, 2, 4, 24, 25, 28, 29, 55799, 4711]), inner)
    ),
    max_leaves=12,
)


@given(ANYTHING, st.booleans())
def test_both_decoders_take_the_same_encodings(value: Any, canonical: bool) -> None:
    try:
        encoded = cbor2.dumps(value, canonical=canonical)
    except (cbor2.CBOREncodeError, ValueError, TypeError):
        return
    agree(encoded)


@given(st.binary(max_size=60))
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
@example(b"\x81" * cbor.MAX_DEPTH + b"\x00")
@example(b"\x81" * (cbor.MAX_DEPTH + 1) + b"\x00")
@example(b"\xa1\x00\x81" + b"\x81" * cbor.MAX_DEPTH + b"\x00")
def test_both_decoders_take_the_same_bytes(untrusted: bytes) -> None:
    agree(untrusted)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.binary() | st.integers(0, 2**64 - 1), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=examples(300))
@given(PLAIN, st.data())
def test_a_changed_byte_is_judged_the_same(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    assert agree(bytes(encoded))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    agree(bytes(encoded))
