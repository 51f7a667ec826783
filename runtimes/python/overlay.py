"""
The state as one round or query sees it: the tree of a version, and over it what has changed.

Layers lie over each other: a failed transaction drops its own. Each entry of a field lies under

    10 ‖ place (16) ‖ key                              in the clear
    10 ‖ place (16) ‖ nonce (15) ‖ sealed key          sealed

where the place is a hash of the field and group, keyed where it is sealed. Values are sealed under
the round, with the key in the tree as associated data. Source: the layout of the EVM's storage,
`crates/evm-core/src/contract_keys.rs`.
"""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import evm_native

from runtimes.python import errors
from runtimes.python.metering import Meter
from shared.crypto.hashes import sha512_256
from shared.enclave.errors import StateRejected
from shared.errors import Rejected

PREFIX = b"\x10"
PLACE_BYTES = 16
NONCE_BYTES = 15
MAX_KEY_BYTES = 48
"""Of an encoded key: sealed and with its place, it must fit a key of the tree (96 bytes)."""
MAX_VALUE_BYTES = 64 << 10
MAX_ITEMS = 1000
"""Of a map that is walked."""
READ_GAS = 200
BYTE_GAS = 1
WRITE_BYTE_GAS = 15
"""Of each byte of a changed key and value. Source: Sapphire's storage gas."""


class StateLimit(Rejected, module="python", code=5):
    """A key or value is longer than the state takes, or a map is too long to be walked."""


class Sealer:
    """Seals keys and values under a key of the key manager. Replicas seal alike."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._place = hmac.digest(key, b"qanat/python: place", "sha512_256")

    def place(self, name: bytes) -> bytes:
        """Where a field lies."""
        return hmac.digest(self._place, name, "sha512_256")[:PLACE_BYTES]

    def seal_key(self, place: bytes, key: bytes) -> bytes:
        """The same key of the same field gives the same bytes: it must be found again."""
        nonce = hmac.digest(self._place, b"key" + place + key, "sha512_256")[:NONCE_BYTES]
        return nonce + evm_native.deoxysii_seal(self._key, nonce, key, place)

    def open_key(self, place: bytes, sealed: bytes) -> bytes:
        """Read a key, or raise `StateRejected`."""
        return self._open(sealed, place)

    def seal_value(self, tree_key: bytes, round_: int, value: bytes) -> bytes:
        """Seal what a round stores under a key."""
        nonce = sha512_256(b"value" + tree_key + round_.to_bytes(8, "big"))[:NONCE_BYTES]
        return nonce + evm_native.deoxysii_seal(self._key, nonce, value, tree_key)

    def open_value(self, tree_key: bytes, sealed: bytes) -> bytes:
        """Read a value, or raise `StateRejected`."""
        return self._open(sealed, tree_key)

    def _open(self, sealed: bytes, associated: bytes) -> bytes:
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return evm_native.deoxysii_open(self._key, nonce, rest, associated)
        except (evm_native.InvalidTag, evm_native.ConfigError) as error:
            raise StateRejected("a value of the state does not open") from error


Read = Callable[[bytes], bytes | None]
Scan = Callable[[bytes], list[tuple[bytes, bytes]]]


@dataclass(slots=True)
class Overlay:
    """Reads through to a version; keeps what is written."""

    read_tree: Read
    scan_tree: Scan
    round: int
    """Under which values are sealed."""
    seal: Callable[[], Sealer] | None
    """Gives what seals, asking for its key on first use; None where everything is in the clear."""
    public: frozenset[str]
    """Modules whose state is in the clear everywhere, as accounts are upstream."""
    meter: Meter
    is_read_only: bool = False
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    """Of transactions that succeeded, plain values by key of the tree."""
    pending: dict[bytes, bytes | None] = field(default_factory=dict)
    """Of the one that runs."""
    sealers: dict[bytes, Sealer | None] = field(default_factory=dict)

    def read(self, path: str, group: bytes, key: bytes) -> bytes | None:
        """Give the stored value of a key."""
        self.meter.use(READ_GAS)
        tree_key, sealer = self._locate(path, group, key)
        value = self._current(tree_key, sealer)
        self.meter.use(BYTE_GAS * len(value or b""))
        return value

    def write(self, path: str, group: bytes, key: bytes, value: bytes | None) -> None:
        """Store a value; None deletes."""
        if self.is_read_only:
            raise errors.read_only()
        if value is not None and len(value) > MAX_VALUE_BYTES:
            raise StateLimit(f"a value has at most {MAX_VALUE_BYTES} bytes")
        tree_key, sealer = self._locate(path, group, key)
        self.meter.use(READ_GAS + WRITE_BYTE_GAS * (len(tree_key) + len(value or b"")))
        self.pending[tree_key] = value
        self.sealers[tree_key] = sealer

    def scan(self, path: str, group: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give keys and values of a field's group, in the order of the keys as they are read."""
        sealer, place = self._place(path, group)
        prefix = PREFIX + place
        self.meter.use(READ_GAS)
        stored = self.scan_tree(prefix)
        # Before anything is opened: it is the dearest thing that a step can do.
        self.meter.use(sum(READ_GAS + BYTE_GAS * len(value) for _, value in stored))
        written = {**self.changes, **self.pending}
        found = {key: value for key, value in written.items() if key.startswith(prefix)}
        merged = {key: _open(sealer, key, value) for key, value in stored if key not in found}
        merged |= {key: value for key, value in found.items() if value is not None}
        if len(merged) > MAX_ITEMS:
            raise StateLimit(f"a map of more than {MAX_ITEMS} items cannot be walked")
        plain = []
        for tree_key, value in merged.items():
            rest = tree_key[len(prefix) :]
            inner = rest if sealer is None else sealer.open_key(place, rest)
            plain.append((inner[1:], value))
        # Shorter encodings first, as CBOR orders keys: numbers come in their order.
        for key, value in sorted(plain, key=lambda item: (len(item[0]), item[0])):
            yield key, value

    def keep(self) -> None:
        """Take over what the transaction wrote."""
        self.changes |= self.pending
        self.pending.clear()

    def drop(self) -> None:
        """Forget what the transaction wrote."""
        self.pending.clear()

    def sealed_changes(self) -> dict[bytes, bytes | None]:
        """Give what the round changed, as it goes to the tree."""
        sealed: dict[bytes, bytes | None] = {}
        for key, value in self.changes.items():
            sealer = self.sealers[key]
            if self._stored(key, sealer) == value:
                continue
            if value is None or sealer is None:
                sealed[key] = value
            else:
                sealed[key] = sealer.seal_value(key, self.round, value)
        return sealed

    def _current(self, tree_key: bytes, sealer: Sealer | None) -> bytes | None:
        for layer in (self.pending, self.changes):
            if tree_key in layer:
                return layer[tree_key]
        return self._stored(tree_key, sealer)

    def _stored(self, tree_key: bytes, sealer: Sealer | None) -> bytes | None:
        stored = self.read_tree(tree_key)
        return None if stored is None else _open(sealer, tree_key, stored)

    def _locate(self, path: str, group: bytes, key: bytes) -> tuple[bytes, Sealer | None]:
        if len(key) > MAX_KEY_BYTES:
            raise StateLimit(f"a key has at most {MAX_KEY_BYTES} bytes")
        sealer, place = self._place(path, group)
        inner = b"\x00" + key  # an empty key is a key
        return PREFIX + place + (inner if sealer is None else sealer.seal_key(place, inner)), sealer

    def _place(self, path: str, group: bytes) -> tuple[Sealer | None, bytes]:
        module = path.partition(".")[0]
        sealer = None if self.seal is None or module in self.public else self.seal()
        name = path.encode() + b"\x00" + group
        return sealer, (sha512_256(name)[:PLACE_BYTES] if sealer is None else sealer.place(name))


def _open(sealer: Sealer | None, tree_key: bytes, stored: bytes) -> bytes:
    return stored if sealer is None else sealer.open_value(tree_key, stored)
