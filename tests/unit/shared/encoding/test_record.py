import enum
from dataclasses import dataclass
from typing import Annotated

import pytest

from shared.encoding import cbor
from shared.encoding.notes import AtMost, Between, Size
from shared.encoding.record import (
    Bytes32,
    MalformedRecord,
    Natural,
    Signed,
    Uint256,
    decode_record,
    encode_record,
)
from shared.encoding.values import from_wire, to_wire


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


@dataclass(frozen=True, slots=True)
class Bounded:
    plain: int = 0
    signed: Signed = 0
    natural: Natural = 0
    wide: Uint256 = 0
    percent: Annotated[int, Between(0, 100)] = 0
    name: Annotated[str, AtMost(3)] = ""
    raw: Annotated[bytes, AtMost(3)] = b""
    items: Annotated[tuple[int, ...], AtMost(3)] = ()
    table: Annotated[dict[str, int], AtMost(1)] | None = None


NUMBERS = [
    ("plain", 0, 2**64 - 1),
    ("signed", -(2**63), 2**63 - 1),
    ("natural", 0, 2**63 - 1),
    ("percent", 0, 100),
]


@pytest.mark.parametrize(("field", "lowest", "highest"), NUMBERS)
def test_a_number_keeps_to_its_field(field: str, lowest: int, highest: int) -> None:
    for number in (lowest, highest):
        record = Bounded(**{field: number})
        assert decode_record(Bounded, encode_record(record)) == record
    for number in (lowest - 1, highest + 1):
        with pytest.raises(MalformedRecord, match=field):
            from_wire(Bounded, {field: number})
        with pytest.raises(ValueError, match="no place"):
            encode_record(Bounded(**{field: number}))


@pytest.mark.parametrize("number", [0, 1, 255, 256, 10**21, 2**256 - 1])
def test_a_wide_number_crosses_as_its_shortest_bytes(number: int) -> None:
    encoded = encode_record(Bounded(wide=number))
    assert decode_record(Bounded, encoded) == Bounded(wide=number)


@pytest.mark.parametrize("untrusted", [7, b"\x00", b"\x00\x01", bytes(33), b"\x01" * 33, "1"])
def test_another_form_of_a_wide_number_is_refused(untrusted: object) -> None:
    with pytest.raises(MalformedRecord):
        from_wire(Bounded, {"wide": untrusted})


@pytest.mark.parametrize("number", [-1, 2**256])
def test_a_wide_number_out_of_bounds_is_not_written(number: int) -> None:
    with pytest.raises(ValueError, match="no place"):
        encode_record(Bounded(wide=number))


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "four"), ("raw", b"four"), ("items", [1, 2, 3, 4]), ("table", {"a": 1, "b": 2})],
)
def test_what_is_longer_than_its_field_is_refused(field: str, value: object) -> None:
    with pytest.raises(MalformedRecord, match="at most"):
        from_wire(Bounded, {field: value})
