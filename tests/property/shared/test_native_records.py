"""The native codec and the one in Python are the same, for every record that the wire knows."""

import dataclasses
import importlib
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shared.api
import shared.types
from shared.encoding import cbor
from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord, native_codec_of
from shared.encoding.schema import SchemaBuilder
from shared.encoding.values import codec_of
from tests.support.short_run import examples

REFUSED = (MalformedCbor, MalformedRecord)


def records_of(package) -> list[type]:
    found = []
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(info.name)
        found += [
            one
            for one in vars(module).values()
            if isinstance(one, type)
            and dataclasses.is_dataclass(one)
            and one.__module__ == info.name
            and is_record(one)
        ]
    return found


def is_record(kind: type) -> bool:
    try:
        SchemaBuilder().kind_of(kind)
    except (TypeError, NameError):
        return False
    return True


RECORDS = records_of(shared.types) + records_of(shared.api)
assert len(RECORDS) > 50


def values_of(kind: type) -> st.SearchStrategy:
    builder = SchemaBuilder()
    return values(builder.kind_of(kind), builder.records, 0)


def values(kind: tuple, records: list, depth: int) -> st.SearchStrategy:
    name, *rest = kind
    few = {"max_size": 2 if depth < 3 else 0}
    match name:
        case "int":
            return st.integers(*rest)
        case "wide":
            return st.integers(0, 2 ** (8 * rest[0]) - 1)
        case "bool":
            return st.booleans()
        case "null":
            return st.none()
        case "bytes":
            shortest, longest = rest
            return st.binary(min_size=shortest, max_size=min(shortest + 40, longest or 1 << 20))
        case "text":
            return st.text(max_size=min(8, rest[0] or 8))
        case "any":
            return st.one_of(st.integers(0, 9), st.binary(max_size=3), st.lists(st.booleans()))
        case "enum":
            return st.sampled_from([member for _, member in rest[1]])
        case "optional":
            return st.one_of(st.none(), values(rest[0], records, depth))
        case "list":
            return st.lists(values(rest[1], records, depth + 1), **few).map(tuple)
        case "fixed":
            return st.tuples(*(values(part, records, depth + 1) for part in rest[0]))
        case "map":
            key, value = (values(part, records, depth + 1) for part in rest[1:])
            return st.dictionaries(key, value, **few)
        case "record":
            _, kind, fields = records[rest[0]]
            return st.builds(
                kind, **{field[0]: values(field[1], records, depth + 1) for field in fields}
            )
    raise AssertionError(name)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=examples(15))
@given(data=st.data())
def test_both_write_the_same_bytes_and_read_them_back(kind, data):
    value = data.draw(values_of(kind))
    native, python = native_codec_of(kind), codec_of(kind)
    raw = native.encode(value)
    assert raw == cbor.encode(python.to_wire(value))
    read = native.decode(raw)
    assert read == python.from_wire(cbor.decode(raw))
    assert native.encode(read) == raw
    assert native.decode_loosely(raw) == read


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=examples(25))
@given(data=st.data())
def test_both_refuse_the_same_mutations(kind, data):
    raw = bytearray(native_codec_of(kind).encode(data.draw(values_of(kind))))
    at = data.draw(st.integers(0, len(raw) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "append"])):
        case "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del raw[at:]
        case "insert":
            raw.insert(at, data.draw(st.integers(0, 255)))
        case "append":
            raw += data.draw(st.binary(min_size=1, max_size=3))
    native, python = native_codec_of(kind), codec_of(kind)
    assert outcome(native.decode, bytes(raw)) == outcome(
        lambda untrusted: python.from_wire(cbor.decode(untrusted)), bytes(raw)
    )


def outcome(read, untrusted: bytes):
    """Value that was read, or that it was refused; nothing else may be raised."""
    try:
        return read(untrusted)
    except REFUSED:
        return "refused"


@given(st.binary(max_size=64))
def test_any_bytes_are_read_alike(untrusted):
    native = native_codec_of(tuple[object, ...])
    python = codec_of(tuple[object, ...])
    assert outcome(native.decode, untrusted) == outcome(
        lambda raw: python.from_wire(cbor.decode(raw)), untrusted
    )


@pytest.mark.parametrize(
    "untrusted",
    [
        bytes.fromhex("d81c81d81d00"),  # shared references: a list that holds itself
        bytes.fromhex("c249010000000000000000"),  # a big integer by a tag
        bytes.fromhex("9f01ff"),  # an indefinite length
        bytes.fromhex("81f97e00"),  # a float
        bytes.fromhex("81f7"),  # undefined
        bytes.fromhex("9bffffffffffffffff"),  # an array of 2**64 - 1 items
        b"\x81" * 65 + b"\x00",  # 65 levels
        bytes.fromhex("8118ff18"),  # bytes that follow
        bytes.fromhex("811801"),  # a head that is longer than it needs to be
        bytes.fromhex("81a2616200616100"),  # keys out of order
        bytes.fromhex("81a2616100616101"),  # a key that is there twice
        bytes.fromhex("8161ff"),  # text that is not UTF-8
    ],
)
def test_what_is_not_plain_canonical_cbor_is_refused(untrusted):
    with pytest.raises(MalformedCbor):
        native_codec_of(tuple[object, ...]).decode(untrusted)


def test_sixty_four_levels_are_read():
    untrusted = b"\x81" * 64 + b"\x00"
    assert native_codec_of(tuple[object, ...]).decode(untrusted) is not None
