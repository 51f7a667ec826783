"""
The schema of a type, as the native codec takes it (`crates/record-codec`).

A kind is a tuple that begins with its name; records, which may contain each other, stand in a list
and are named by their position. `shared/encoding/record.py` says what the kinds mean.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from shared.encoding.notes import UNSIGNED, AtMost, Between, Size, Wide

Kind = tuple[Any, ...]
Record = tuple[str, type | None, list[tuple[str, Kind, str, Any]]]
"""Name, class, and fields: name, kind, what stands in the place of an absent one."""


class SchemaBuilder:
    """Collects the records below one type."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._positions: dict[type, int] = {}

    def kind_of(self, kind: Any) -> Kind:
        """Kind of a type; raises `TypeError` where it has no wire format."""
        if isinstance(kind, typing.NewType):
            return self.kind_of(kind.__supertype__)
        origin = get_origin(kind)
        if origin is Annotated:
            return self._annotated(*get_args(kind))
        if origin in (Union, types.UnionType):
            options = [option for option in get_args(kind) if option is not type(None)]
            if len(options) != 1:
                raise TypeError(f"{kind!r}: a union on the wire is X | None")
            return "optional", self.kind_of(options[0])
        if origin is tuple:
            return self._tuple(get_args(kind))
        if origin in (dict, Mapping):
            key, value = map(self.kind_of, get_args(kind))
            return "map", None, key, value
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return "enum", kind.__name__, tuple((member.value, member) for member in kind)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return "record", self._position_of(kind)
        return self._leaf(kind)

    def add_arguments(self, name: str, parameters: Mapping[str, Any], required: set[str]) -> Kind:
        """Kind of the arguments of a call: a dict in Python, of which some may be left out."""
        fields = [
            (parameter, self.kind_of(kind), "refused" if parameter in required else "none", None)
            for parameter, kind in parameters.items()
        ]
        self.records.append((name, None, fields))
        return "record", len(self.records) - 1

    def _leaf(self, kind: Any) -> Kind:
        if kind is int:
            return "int", UNSIGNED.lowest, UNSIGNED.highest
        if kind is bytes:
            return "bytes", 0, None
        if kind is str:
            return "text", None
        if kind is bool:
            return ("bool",)
        if kind in (None, type(None)):
            return ("null",)
        if kind is Any or kind is object:
            return ("any",)
        raise TypeError(f"{kind!r} has no wire format")

    def _annotated(self, base: Any, *notes: Any) -> Kind:
        for note in notes:
            if isinstance(note, Between):
                return "int", note.lowest, note.highest
            if isinstance(note, Wide):
                return "wide", note.length
        kind = self.kind_of(base)
        for note in notes:
            if isinstance(note, Size | AtMost):
                return _bounded(kind, note)
        return kind

    def _tuple(self, items: tuple[Any, ...]) -> Kind:
        if len(items) == 2 and items[1] is Ellipsis:
            return "list", None, self.kind_of(items[0])
        return "fixed", tuple(map(self.kind_of, items))

    def _position_of(self, kind: type) -> int:
        position = self._positions.get(kind)
        if position is None:
            position = self._positions[kind] = len(self.records)
            fields: list[tuple[str, Kind, str, Any]] = []
            # In its place before its fields are read: one of them may be of this class again.
            self.records.append((kind.__name__, kind, fields))
            hints = typing.get_type_hints(kind, include_extras=True)
            for field in dataclasses.fields(kind):
                hint = hints[field.name]
                fields.append((field.name, self.kind_of(hint), *_absent(field, hint)))
        return position


def _bounded(kind: Kind, note: Size | AtMost) -> Kind:
    name, length = kind[0], note.length
    if name == "bytes":
        return "bytes", length if isinstance(note, Size) else 0, length
    if isinstance(note, AtMost) and name in ("text", "list", "map"):
        return name, length, *kind[2:]
    raise TypeError(f"{note!r} does not bound a {name}")


def _absent(field: "dataclasses.Field[Any]", hint: Any) -> tuple[str, Any]:
    """Say what stands in the place of a field that is left out; one that may be None is None."""
    if type(None) in get_args(hint):
        return "none", None
    if field.default is not dataclasses.MISSING:
        return "value", field.default
    if field.default_factory is not dataclasses.MISSING:
        return "made", field.default_factory
    return "refused", None
