"""
The typed state of a module: single values, maps, and maps in groups.

A field is declared in the class of its module and used with the context of a call:

    notes = Map(int, Note)
    ...
    note = self.notes.get(ctx, 7)

Where it lies in the tree, and whether it is sealed there, is the overlay's business. Keys are
numbers, texts, bytes, or tuples of them; iteration is in the order of keys, never of the tree.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

from runtimes.python.context import Context
from shared.encoding import cbor
from shared.encoding.values import from_wire, to_wire

K = TypeVar("K")
V = TypeVar("V")
G = TypeVar("G")
D = TypeVar("D")


class Field:
    """One field of a module; knows its name once the class is made."""

    def __init__(self) -> None:
        self.path = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember the name under which the module declares it."""
        self.path = name

    def bind(self, module: str) -> None:
        """Take the module's name into the path."""
        if "." not in self.path:
            self.path = f"{module}.{self.path}"


class Value(Field, Generic[V]):
    """One value; the default where nothing was stored."""

    def __init__(self, kind: type[V], default: V) -> None:
        super().__init__()
        self._kind, self._default = kind, default

    def get(self, ctx: Context) -> V:
        """Read it."""
        stored = ctx.state.read(self.path, b"", b"")
        return self._default if stored is None else _read(self._kind, stored)

    def set(self, ctx: Context, value: V) -> None:
        """Store it."""
        ctx.state.write(self.path, b"", b"", _write(self._kind, value))


class Map(Field, Generic[K, V]):
    """Values by key."""

    def __init__(self, key: type[K], value: type[V]) -> None:
        super().__init__()
        self._key, self._value = key, value

    @overload
    def get(self, ctx: Context, key: K) -> V | None: ...
    @overload
    def get(self, ctx: Context, key: K, default: D) -> V | D: ...
    def get(self, ctx: Context, key: K, default: Any = None) -> Any:
        """Read the value of a key, or give the default."""
        return _get(ctx, self, b"", self._key, self._value, key, default)

    def set(self, ctx: Context, key: K, value: V) -> None:
        """Store the value of a key."""
        ctx.state.write(self.path, b"", _write(self._key, key), _write(self._value, value))

    def remove(self, ctx: Context, key: K) -> None:
        """Forget a key."""
        ctx.state.write(self.path, b"", _write(self._key, key), None)

    def items(self, ctx: Context) -> list[tuple[K, V]]:
        """Give all keys and values in the order of keys; at most `MAX_ITEMS`."""
        return list(_items(ctx, self, b"", self._key, self._value))


class Grouped(Field, Generic[G, K, V]):
    """A map for each of many groups, such as the notes of each owner."""

    def __init__(self, group: type[G], key: type[K], value: type[V]) -> None:
        super().__init__()
        self._group, self._key, self._value = group, key, value

    @overload
    def get(self, ctx: Context, group: G, key: K) -> V | None: ...
    @overload
    def get(self, ctx: Context, group: G, key: K, default: D) -> V | D: ...
    def get(self, ctx: Context, group: G, key: K, default: Any = None) -> Any:
        """Read the value of a key in a group, or give the default."""
        where = _write(self._group, group)
        return _get(ctx, self, where, self._key, self._value, key, default)

    def set(self, ctx: Context, group: G, key: K, value: V) -> None:
        """Store the value of a key in a group."""
        where = _write(self._group, group)
        ctx.state.write(self.path, where, _write(self._key, key), _write(self._value, value))

    def remove(self, ctx: Context, group: G, key: K) -> None:
        """Forget a key of a group."""
        ctx.state.write(self.path, _write(self._group, group), _write(self._key, key), None)

    def items(self, ctx: Context, group: G) -> list[tuple[K, V]]:
        """Give keys and values of a group in the order of keys; at most `MAX_ITEMS`."""
        return list(_items(ctx, self, _write(self._group, group), self._key, self._value))


def _get(
    ctx: Context, field: Field, group: bytes, key_kind: Any, kind: Any, key: Any, default: Any
) -> Any:
    stored = ctx.state.read(field.path, group, _write(key_kind, key))
    return default if stored is None else _read(kind, stored)


def _items(
    ctx: Context, field: Field, group: bytes, key_kind: Any, kind: Any
) -> Iterator[tuple[Any, Any]]:
    for key, stored in ctx.state.scan(field.path, group):
        yield _read(key_kind, key), _read(kind, stored)


def _write(kind: Any, value: Any) -> bytes:
    return cbor.encode(to_wire(kind, value))


def _read(kind: Any, stored: bytes) -> Any:
    return from_wire(kind, cbor.decode(stored))
