"""
Values that are decoded already, such as those of a network file, and the types of records.

The same rules as in `shared/encoding/record.py`, which reads and writes bytes natively; a property
test holds the two to each other. The codec of a type is built once and kept.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from shared.encoding.notes import UNSIGNED, AtMost, Between, Size, Wide
from shared.encoding.quantity import encode_quantity
from shared.encoding.record import MalformedRecord

Convert = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """The two directions for one type."""

    to_wire: Convert
    from_wire: Convert


def to_wire(kind: Any, value: Any) -> Any:
    """Turn a value of a type into what `cbor.encode` takes."""
    return codec_of(kind).to_wire(value)


def from_wire(kind: Any, untrusted: Any) -> Any:
    """Turn a decoded CBOR value into a value of a type, or raise `MalformedRecord`."""
    return codec_of(kind).from_wire(untrusted)


def codec_of(kind: Any) -> Codec:
    """Give the codec of a type; it is built once."""
    codec = _CODECS.get(kind)
    if codec is None:
        codec = _CODECS[kind] = _build_codec(kind)
    return codec


_CODECS: dict[Any, Codec] = {}


def _build_codec(kind: Any) -> Codec:
    if isinstance(kind, typing.NewType):
        return codec_of(kind.__supertype__)
    origin = get_origin(kind)
    if origin is Annotated:
        return _annotated(kind)
    if origin in (Union, types.UnionType):
        return _optional(kind)
    if origin is tuple:
        return _tuple(get_args(kind))
    if origin in (dict, Mapping):
        return _map(*get_args(kind))
    if kind is Any or kind is object:
        return Codec(_same, _same)
    if kind in (None, type(None)):
        return _leaf(type(None))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind)
    if kind in (int, bool, bytes, str):
        return _leaf(kind)
    raise TypeError(f"{kind!r} has no wire format")


def _same(value: Any) -> Any:
    return value


def _leaf(kind: type) -> Codec:
    if kind is int:
        return _integer(UNSIGNED)

    def read(untrusted: Any) -> Any:
        if type(untrusted) is not kind:
            raise MalformedRecord(f"expected {kind.__name__}, got {type(untrusted).__name__}")
        return untrusted

    return Codec(_same, read)


def _integer(field: Between) -> Codec:
    lowest, highest = field.lowest, field.highest

    def write(value: Any) -> Any:
        if not lowest <= value <= highest:
            raise ValueError(f"{value} has no place in a field of {lowest} to {highest}")
        return value

    def read(untrusted: Any) -> Any:
        if type(untrusted) is not int:
            raise MalformedRecord(f"expected int, got {type(untrusted).__name__}")
        if not lowest <= untrusted <= highest:
            raise MalformedRecord(f"{untrusted} is not in {lowest} to {highest}")
        return untrusted

    return Codec(write, read)


def _wide_integer(field: Wide) -> Codec:
    def write(value: Any) -> Any:
        if value < 0 or value.bit_length() > 8 * field.length:
            raise ValueError(f"{value} has no place in {field.length} bytes")
        return encode_quantity(value)

    def read(untrusted: Any) -> Any:
        if not isinstance(untrusted, bytes) or len(untrusted) > field.length:
            raise MalformedRecord(f"expected at most {field.length} bytes of a number")
        if untrusted[:1] == b"\x00":
            raise MalformedRecord("a number begins with a zero byte")
        return int.from_bytes(untrusted, "big")

    return Codec(write, read)


def _annotated(kind: Any) -> Codec:
    base, *notes = get_args(kind)
    for note in notes:
        if isinstance(note, Between):
            return _integer(note)
        if isinstance(note, Wide):
            return _wide_integer(note)
    inner = codec_of(base)
    for note in notes:
        if isinstance(note, Size):
            return _bounded(inner, note.length, note.length)
        if isinstance(note, AtMost):
            return _bounded(inner, 0, note.length)
    return inner


def _bounded(inner: Codec, shortest: int, longest: int) -> Codec:
    limit = f"expected {longest}" if shortest == longest else f"expected at most {longest}"

    def read(untrusted: Any) -> Any:
        # Before the items are read: a bound also bounds what reading costs.
        if isinstance(untrusted, bytes | str | list | dict):
            length = len(untrusted)
            if not shortest <= length <= longest:
                what = "bytes" if isinstance(untrusted, bytes) else "items"
                raise MalformedRecord(f"{limit} {what}, got {length}")
        return inner.from_wire(untrusted)

    return Codec(inner.to_wire, read)


def _optional(kind: Any) -> Codec:
    options = [option for option in get_args(kind) if option is not type(None)]
    if len(options) != 1:
        raise TypeError(f"{kind!r}: a union on the wire is X | None")
    inner = codec_of(options[0])
    return Codec(
        lambda value: None if value is None else inner.to_wire(value),
        lambda untrusted: None if untrusted is None else inner.from_wire(untrusted),
    )


def _tuple(items: tuple[Any, ...]) -> Codec:
    if len(items) == 2 and items[1] is Ellipsis:
        inner = codec_of(items[0])
        write_all: Convert = lambda value: [inner.to_wire(item) for item in value]  # noqa: E731

        def read_all(untrusted: Any) -> Any:
            return tuple(map(inner.from_wire, _expect_list(untrusted)))

        return Codec(write_all, read_all)
    parts = [codec_of(item) for item in items]

    def write(value: Any) -> Any:
        return [part.to_wire(item) for part, item in zip(parts, value, strict=True)]

    def read(untrusted: Any) -> Any:
        if len(_expect_list(untrusted)) != len(parts):
            raise MalformedRecord(f"expected {len(parts)} items, got {len(untrusted)}")
        return tuple(part.from_wire(item) for part, item in zip(parts, untrusted, strict=True))

    return Codec(write, read)


def _expect_list(untrusted: Any) -> list[Any]:
    if not isinstance(untrusted, list):
        raise MalformedRecord(f"expected an array, got {type(untrusted).__name__}")
    return untrusted


def _map(key: Any, value: Any) -> Codec:
    keys, values = codec_of(key), codec_of(value)

    def write(mapping: Any) -> Any:
        return {keys.to_wire(k): values.to_wire(v) for k, v in mapping.items()}

    def read(untrusted: Any) -> Any:
        if not isinstance(untrusted, dict):
            raise MalformedRecord(f"expected a map, got {type(untrusted).__name__}")
        return {keys.from_wire(k): values.from_wire(v) for k, v in untrusted.items()}

    return Codec(write, read)


def _enum(kind: type[enum.Enum]) -> Codec:
    def read(untrusted: Any) -> Any:
        # True equals 1, so the type is compared as well.
        for member in kind:
            if type(untrusted) is type(member.value) and untrusted == member.value:
                return member
        raise MalformedRecord(f"{untrusted!r} is not a {kind.__name__}")

    return Codec(lambda member: member.value, read)


def _record(kind: Any) -> Codec:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    # Built on first use, so that a record may contain records of its own class.
    codecs: dict[str, Codec] = {}

    def table() -> dict[str, Codec]:
        if not codecs:
            codecs.update({name: codec_of(hints[name]) for name in names})
        return codecs

    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and type(None) not in get_args(hints[field.name])
    }

    def write(record: Any) -> Any:
        wire = {}
        for name, codec in table().items():
            value = getattr(record, name)
            if value is not None:
                wire[name] = codec.to_wire(value)
        return wire

    def read(untrusted: Any) -> Any:
        if not isinstance(untrusted, dict):
            raise MalformedRecord(f"{kind.__name__}: expected a map")
        known = table()
        values: dict[str, Any] = {}
        for name, item in untrusted.items():
            codec = known.get(name) if isinstance(name, str) else None
            if codec is None:
                raise MalformedRecord(f"{kind.__name__}: unknown field {name!r}")
            try:
                values[name] = codec.from_wire(item)
            except MalformedRecord as error:
                raise MalformedRecord(f"{kind.__name__}.{name}: {error.message}") from None
        missing = required - values.keys()
        if missing:
            raise MalformedRecord(f"{kind.__name__}: missing {', '.join(sorted(missing))}")
        for name in names:
            if name not in values and type(None) in get_args(hints[name]):
                values[name] = None
        return kind(**values)

    return Codec(write, read)
