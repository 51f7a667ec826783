import enum
from dataclasses import dataclass
from typing import Annotated

import pytest

from shared.encoding import cbor
from shared.encoding.record import (
    Bytes32,
    MalformedRecord,
    Size,
    decode_record,
    encode_record,
    from_wire,
    to_wire,
)


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True, slots=True)
class Inner:
    key: Bytes32
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    count: int
    colour: Colour
    inner: Inner
    pairs: tuple[tuple[bytes, int], ...] = ()
    table: dict[str, int] | None = None
    flag: bool = False


OUTER = Outer(7, Colour.BLUE, Inner(bytes(32), "x"), ((b"a", 1),), {"k": 2}, flag=True)


def test_record_comes_back() -> None:
    assert decode_record(Outer, encode_record(OUTER)) == OUTER


def test_absent_optional_is_left_out() -> None:
    assert cbor.decode(encode_record(Inner(bytes(32)))) == {"key": bytes(32)}
    assert decode_record(Inner, encode_record(Inner(bytes(32)))) == Inner(bytes(32))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", True),
        ("count", "7"),
        ("count", 1.5),
        ("count", None),
        ("colour", 3),
        ("colour", True),
        ("inner", {"key": bytes(31)}),
        ("inner", {"key": bytes(32), "other": 1}),
        ("inner", []),
        ("pairs", [[b"a"]]),
        ("pairs", {}),
        ("table", {"k": "v"}),
        ("table", {1: 2}),
        ("flag", 1),
        ("extra", 1),
    ],
)
def test_field_of_another_type_is_refused(field: str, value: object) -> None:
    wire = to_wire(Outer, OUTER) | {field: value}
    with pytest.raises(MalformedRecord):
        from_wire(Outer, wire)


def test_missing_field_is_named() -> None:
    wire = to_wire(Outer, OUTER)
    del wire["count"]
    with pytest.raises(MalformedRecord, match="missing count"):
        from_wire(Outer, wire)


def test_sized_bytes_are_checked_wherever_they_stand() -> None:
    kind = tuple[Annotated[bytes, Size(2)], ...]
    assert from_wire(kind, [b"ab"]) == (b"ab",)
    with pytest.raises(MalformedRecord, match="expected 2 bytes"):
        from_wire(kind, [b"abc"])


def test_type_without_a_wire_format_is_a_bug() -> None:
    with pytest.raises(TypeError, match="no wire format"):
        to_wire(float, 1.0)
