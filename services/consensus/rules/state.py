"""
Consensus state as the rules see it: typed records at keys, under an overlay of changes.

The base is the committed state and never changes. Records are frozen, so base and overlay share
them; each is encoded once, after the transaction that made it or when the root is computed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from services.consensus.rules.events import Event
from shared.encoding.record import decode_record, encode_record

R = TypeVar("R")


class Entries(Protocol):
    """Committed entries, by key."""

    def get(self, key: bytes) -> bytes | None:
        """Value of a key; None where there is none."""
        ...

    def keys(self, prefix: bytes) -> list[bytes]:
        """Keys under a prefix, in order."""
        ...


class CommittedState:
    """Committed entries with their records, each decoded once."""

    __slots__ = ("_entries", "_records")

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._records: dict[bytes, object] = {}

    def load(self, kind: type[R], key: bytes) -> R | None:
        """Record at a key; None where there is none."""
        if key in self._records:
            return self._records[key]  # type: ignore[return-value]
        raw = self._entries.get(key)
        if raw is None:
            return None
        record = self._records[key] = _decode(kind, raw)
        return record

    def raw(self, key: bytes) -> bytes | None:
        """Encoded value of a key."""
        return self._entries.get(key)

    def keys(self, prefix: bytes) -> list[bytes]:
        """Keys under a prefix, in order."""
        return self._entries.keys(prefix)

    def advance(self, entries: Entries, changes: dict[bytes, object | None]) -> None:
        """Become the next committed state, which these changes lead to."""
        self._entries = entries
        for key, record in changes.items():
            if record is None:
                self._records.pop(key, None)
            else:
                self._records[key] = record


class State:
    """What a block has made of the committed state so far. Not for concurrent use."""

    __slots__ = ("_base", "_changes", "_encoded", "_encoded_until", "_events", "_journal")

    def __init__(self, base: CommittedState) -> None:
        self._base = base
        self._changes: dict[bytes, object | None] = {}
        # Records that were encoded already, with their bytes.
        self._encoded: dict[bytes, tuple[object, bytes]] = {}
        # Entries of the journal behind which nothing was encoded yet.
        self._encoded_until = 0
        self._events: list[Event] = []
        # (key, what the overlay held before); _ABSENT where it held nothing.
        self._journal: list[tuple[bytes, object | None]] = []

    def load(self, kind: type[R], key: bytes) -> R | None:
        """Record at a key; None where there is none."""
        if key in self._changes:
            return self._changes[key]  # type: ignore[return-value]
        return self._base.load(kind, key)

    def load_required(self, kind: type[R], key: bytes) -> R:
        """Record at a key that the rules themselves put there."""
        record = self.load(kind, key)
        if record is None:
            raise LookupError(f"the state lacks {kind.__name__} at {key.hex()}")
        return record

    def save(self, key: bytes, record: object) -> None:
        """Put a record at a key."""
        self._set(key, record)

    def remove(self, key: bytes) -> None:
        """Leave nothing at a key."""
        self._set(key, None)

    def _set(self, key: bytes, record: object | None) -> None:
        self._journal.append((key, self._changes.get(key, _ABSENT)))
        self._changes[key] = record

    def scan(self, kind: type[R], prefix: bytes) -> Iterator[tuple[bytes, R]]:
        """Records under a prefix in the order of their keys, as they are at the call."""
        keys = set(self._base.keys(prefix))
        keys.update(key for key in self._changes if key.startswith(prefix))
        for key in sorted(keys):
            record = self.load(kind, key)
            if record is not None:
                yield key, record

    def emit(self, event: Event) -> None:
        """Note that something happened; it did not if the attempt around it fails."""
        self._events.append(event)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened so far, in order."""
        return tuple(self._events)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo changes and events of the block of code if it raises; attempts may be nested."""
        began, events = len(self._journal), len(self._events)
        try:
            yield
        except BaseException:
            while len(self._journal) > began:
                key, before = self._journal.pop()
                if before is _ABSENT:
                    del self._changes[key]
                else:
                    self._changes[key] = before
            self._encoded_until = min(self._encoded_until, began)
            del self._events[events:]
            raise

    def encode(self) -> None:
        """Encode what changed since the last time; raises `ValueError` where there is no way."""
        changed = dict.fromkeys(key for key, _ in self._journal[self._encoded_until :])
        for key in changed:
            record = self._changes[key]
            if record is not None:
                self._encode(key, record)
        self._encoded_until = len(self._journal)

    def _encode(self, key: bytes, record: object) -> bytes:
        known = self._encoded.get(key)
        if known is not None and known[0] is record:
            return known[1]
        encoded = record if isinstance(record, bytes) else encode_record(record)
        self._encoded[key] = record, encoded
        return encoded

    def records(self) -> dict[bytes, object | None]:
        """Changed records by key; None where a key was emptied."""
        return dict(self._changes)

    def changes(self) -> dict[bytes, bytes | None]:
        """Changed values by key, encoded; without those that are as they were."""
        encoded = {
            key: None if record is None else self._encode(key, record)
            for key, record in sorted(self._changes.items())
        }
        return {key: value for key, value in encoded.items() if value != self._base.raw(key)}


_ABSENT = object()


def _decode(kind: type[R], raw: bytes) -> R:
    if kind is bytes:
        return raw  # type: ignore[return-value]
    return decode_record(kind, raw)
