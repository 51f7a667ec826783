"""
The headers that the enclave has taken up, one for each round, on a disk that it does not trust.

A header counts once it is reached from one that consensus is proven to have finalized: by hashes,
since each names the one before. So that an old one is reached in few steps, each row also carries
the hashes of headers 2, 4, 8 ... rounds back, as many as the round can be halved, under a key that
only this enclave has. What such a row says of its header is true in whatever life of the chain, so
nothing is gained by putting an old row, or the row of a round that never became final, in place.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.crypto.hashes import sha512_256
from shared.enclave.errors import BrokenHeaderChain, StateRejected
from shared.encoding.record import decode_record, encode_record
from shared.types.block import BlockHeader
from shared.types.identity import Incarnation, Round

REMEMBERED_HEADERS = 256
"""Newest headers kept in memory: the window of BLOCKHASH and of leashes."""
WRITTEN_TOGETHER = 8
"""
Headers of one write, which costs as much as that of one.

An enclave that is killed loses the newest; its host shows them again, as it does one that it never
had.
"""
HASH_BYTES = 32
TAG_BYTES = 32


@dataclass(frozen=True, slots=True)
class Anchor:
    """A round that consensus is proven to have finalized."""

    round: Round
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainedHeader:
    """A header with its hash, 32 bytes, and what it is chained to."""

    header: BlockHeader
    hash: bytes
    skips: tuple[bytes, ...]
    """Hashes of the headers 2, 4, 8 ... rounds back."""


class HeaderHistory:
    """Headers by round, without gaps from the oldest one on. Safe for threads."""

    def __init__(self, path: Path | None, key: bytes) -> None:
        """
        Open the file, or keep everything in memory.

        `key`, 32 bytes, is known to this enclave alone. A file that is damaged is begun anew.
        """
        self._key, self._lock = key, threading.Lock()
        self._recent: dict[int, ChainedHeader] = {}
        self._newest: ChainedHeader | None = None
        self._unwritten: list[tuple[int, bytes, bytes, bytes]] = []
        """Rows of the newest headers, which are among the recent ones."""
        try:
            self._open(path)
        except (sqlite3.DatabaseError, StateRejected):
            if path is None:
                raise
            self._db.close()
            for file in (
                path,
                path.with_name(f"{path.name}-wal"),
                path.with_name(f"{path.name}-shm"),
            ):
                file.unlink(missing_ok=True)
            self._open(path)

    def _open(self, path: Path | None) -> None:
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
        )
        # Survives kill -9 at any moment; the state beside it is as safe.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS chained "
            "(round INTEGER PRIMARY KEY, raw BLOB, skips BLOB, tag BLOB)"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS life (incarnation INTEGER)")
        life = self._db.execute("SELECT max(incarnation) FROM life").fetchone()[0]
        self._incarnation = Incarnation(life if isinstance(life, int) else 0)
        self._load_newest()

    def _load_newest(self) -> None:
        found = self._db.execute("SELECT max(round) FROM chained").fetchone()[0]
        self._newest = None if found is None else self._read(found, None)
        if found is not None and self._newest is None:
            raise StateRejected("the newest header on disk is not one that this enclave wrote")

    @property
    def incarnation(self) -> Incarnation:
        """
        Life of the chain to which the headers belong.

        The disk may say a later one; then void rounds stay, until a header does not follow them.
        """
        return self._incarnation

    def enter(self, incarnation: Incarnation) -> None:
        """Note that what is void in a later life of the chain was removed."""
        with self._writing() as database:
            database.execute("INSERT INTO life VALUES (?)", (incarnation,))
        self._incarnation = incarnation

    @property
    def newest(self) -> BlockHeader | None:
        """Header of the newest round; None before the first."""
        return None if self._newest is None else self._newest.header

    @property
    def newest_hash(self) -> bytes:
        """Its hash, 32 bytes; empty before the first."""
        return b"" if self._newest is None else self._newest.hash

    @property
    def next_round(self) -> Round:
        """The round whose header may enter."""
        return Round(0 if self._newest is None else self._newest.header.round + 1)

    def verify_link(self, header: BlockHeader) -> None:
        """Verify that a header follows the newest one, or raise `BrokenHeaderChain`."""
        if header.round != self.next_round:
            raise BrokenHeaderChain(f"round {header.round}, expected {self.next_round}")
        if self._newest is not None and header.previous_hash != self._newest.hash:
            raise BrokenHeaderChain(f"round {header.round} does not follow the round before")

    def append(self, header: BlockHeader) -> None:
        """Add the header of the next round; raises `BrokenHeaderChain`, `StateRejected`."""
        self.verify_link(header)
        raw = encode_record(header)
        chained = ChainedHeader(header, sha512_256(raw), tuple(self._skips(header)))
        skips = b"".join(chained.skips)
        if len(self._unwritten) >= WRITTEN_TOGETHER:
            self._write()
        self._unwritten.append((header.round, raw, skips, self._tag(chained.hash, skips)))
        self._recent[header.round] = chained
        self._recent.pop(header.round - REMEMBERED_HEADERS, None)
        self._newest = chained

    def _write(self) -> None:
        """Bring the headers that wait to the disk; where that fails, they go on waiting."""
        if not self._unwritten:
            return
        with self._writing() as database:
            database.execute("BEGIN")
            try:
                database.executemany(
                    "INSERT OR REPLACE INTO chained VALUES (?, ?, ?, ?)", self._unwritten
                )
                database.execute("COMMIT")
            except sqlite3.Error:
                database.execute("ROLLBACK")
                raise
        self._unwritten.clear()

    def find(self, round_: Round, anchor: Anchor) -> ChainedHeader | None:
        """
        Look up the header of a round from which a proven one descends.

        Returns
        -------
        found : `ChainedHeader` or None
            None where the disk does not give what the proven header stands on.
        """
        at, expected = int(anchor.round), anchor.hash
        if not 0 <= round_ <= at:
            return None
        while True:
            chained = self._get(at, expected)
            if chained is None or at == round_:
                return chained
            step, expected = _longest_step(chained, at - round_)
            at -= step

    def _get(self, round_: int, expected: bytes) -> ChainedHeader | None:
        """Give the header with a hash, from memory or from disk."""
        chained = self._recent.get(round_)
        if chained is not None and chained.hash == expected:
            return chained
        return self._read(round_, expected)

    def _read(self, round_: int, expected: bytes | None) -> ChainedHeader | None:
        """Read a row from the disk; None where it is not the one that this enclave wrote."""
        try:
            with self._lock:
                row = self._db.execute(
                    "SELECT raw, skips, tag FROM chained WHERE round = ?", (round_,)
                ).fetchone()
        except sqlite3.Error:
            return None
        if row is None or not all(isinstance(part, bytes) for part in row):
            return None
        raw, skips, tag = row
        hash_ = sha512_256(raw)
        if expected not in (None, hash_) or tag != self._tag(hash_, skips):
            return None
        # Nothing but headers gets a tag.
        header = decode_record(BlockHeader, raw)
        steps = range(0, len(skips), HASH_BYTES)
        return ChainedHeader(header, hash_, tuple(skips[i : i + HASH_BYTES] for i in steps))

    def _tag(self, hash_: bytes, skips: bytes) -> bytes:
        return hashlib.blake2b(hash_ + skips, key=self._key, digest_size=TAG_BYTES).digest()

    def _skips(self, header: BlockHeader) -> Iterator[bytes]:
        """Give the hashes 2, 4, 8 ... rounds back: the half way's own hash of as far back again."""
        half, expected = 1, header.previous_hash
        while header.round and header.round % (2 * half) == 0:
            chained = self._get(header.round - half, expected)
            back = None if chained is None else _hash_back(chained, half)
            if back is None:
                # The disk does not give it; longer ways lead there too.
                return
            yield back
            half, expected = 2 * half, back

    def truncate(self, next_round: Round) -> None:
        """Forget a round and all that follow it."""
        newest, last = self._newest, None
        if newest is not None and 0 < next_round <= newest.header.round:
            last = self.find(Round(next_round - 1), Anchor(newest.header.round, newest.hash))
            # What the disk does not give back is lost with all that stands on it.
            next_round = next_round if last is not None else Round(0)
        elif next_round > 0:
            return
        with self._writing() as database:
            database.execute("DELETE FROM chained WHERE round >= ?", (next_round,))
        self._unwritten = [row for row in self._unwritten if row[0] < next_round]
        self._recent = {r: h for r, h in self._recent.items() if r < next_round}
        self._newest = last

    def prune(self, keep_from: Round) -> None:
        """Forget the rounds below one, which is here. Ways back to it and to later ones stay."""
        self._write()
        with self._writing() as database:
            database.execute("DELETE FROM chained WHERE round < ?", (keep_from,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._db
        except sqlite3.Error as error:
            raise StateRejected(f"the file of headers cannot be written: {error}") from error

    def close(self) -> None:
        """Write what waits and close the file."""
        try:
            self._write()
        finally:
            self._db.close()


def _hash_back(chained: ChainedHeader, rounds: int) -> bytes | None:
    """Hash of the header that lies a power of two of rounds back, where the row has it."""
    if rounds == 1:
        return chained.header.previous_hash
    index = rounds.bit_length() - 2
    return chained.skips[index] if index < len(chained.skips) else None


def _longest_step(chained: ChainedHeader, rounds: int) -> tuple[int, bytes]:
    """Give the longest way back that a row knows, of at most so many rounds, and the hash there."""
    exponent = min(rounds.bit_length() - 1, len(chained.skips))
    hash_ = _hash_back(chained, 1 << exponent)
    return (1, chained.header.previous_hash) if hash_ is None else (1 << exponent, hash_)
