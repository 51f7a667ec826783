"""Codecs give back what they were given, and refuse everything else with a typed error."""

from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.encoding import cbor, frames
from shared.errors import Rejected

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FRAMES = st.one_of(
    st.builds(frames.Request, st.integers(0, 2**32), st.text(), st.binary()),
    st.builds(frames.Response, st.integers(0, 2**32), st.binary()),
    st.builds(
        frames.Failure,
        st.integers(0, 2**32),
        st.text(),
        st.integers(0, 2**16),
        st.text(),
        st.none() | st.binary(),
        st.booleans(),
    ),
    st.builds(frames.Event, st.integers(0, 2**32), st.binary()),
    st.builds(frames.Cancel, st.integers(0, 2**32)),
)


@given(VALUES)
def test_canonical_encoding_round_trips(value: Any) -> None:
    encoded = cbor.encode(value)
    assert cbor.decode(encoded) == value
    assert cbor.encode(cbor.decode(encoded)) == encoded


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(untrusted: bytes) -> None:
    try:
        value = cbor.decode(untrusted)
    except cbor.MalformedCbor:
        return
    assert cbor.encode(value) == untrusted


@given(st.lists(FRAMES, max_size=6), st.integers(1, 50))
def test_frames_survive_any_fragmentation(sent: list[frames.Frame], piece: int) -> None:
    stream = b"".join(map(frames.encode_frame, sent))
    decoder = frames.FrameDecoder()
    received: list[frames.Frame] = []
    for start in range(0, len(stream), piece):
        received += decoder.feed(stream[start : start + piece])
    assert received == sent


@given(FRAMES)
def test_frame_is_the_array_that_its_table_says(frame: frames.Frame) -> None:
    kinds = (frames.Request, frames.Response, frames.Failure, frames.Event, frames.Cancel)
    array = [kinds.index(type(frame)), *(getattr(frame, one.name) for one in fields(frame))]
    assert frames.encode_frame(frame)[frames.LENGTH_BYTES :] == cbor.encode_loosely(array)


@given(st.lists(VALUES, max_size=8) | VALUES, st.integers(0, 5))
def test_any_array_is_a_frame_with_its_very_fields_or_malformed(value: Any, kind: int) -> None:
    array = [kind, *value] if isinstance(value, list) else value
    try:
        frame = frames.decode_payload(cbor.encode_loosely(array))
    except frames.MalformedFrame:
        return
    assert [getattr(frame, one.name) for one in fields(frame)] == array[1:]


@given(st.binary(max_size=100))
def test_any_payload_is_a_frame_or_malformed(untrusted: bytes) -> None:
    try:
        frame = frames.decode_payload(untrusted)
    except Rejected:
        return
    assert frames.decode_payload(frames.encode_frame(frame)[frames.LENGTH_BYTES :]) == frame
