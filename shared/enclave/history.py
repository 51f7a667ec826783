"""
The finalized headers that the enclave has taken up, one for each round.

They give old queries their block context. A header enters only when it links to the one before, and
the newest must be the one that consensus is proven to have finalized; so the enclave checks a chain
of hashes and not a host's word.
"""

import sqlite3
import threading
from pathlib import Path

from shared.enclave.errors import BrokenHeaderChain
from shared.encoding.record import decode_record, encode_record
from shared.types.block import BlockHeader
from shared.types.identity import Incarnation, Round

REMEMBERED_HEADERS = 256
"""Newest headers kept in memory: the window of BLOCKHASH and of leashes."""


class HeaderHistory:
    """Headers by round, without gaps. Safe for threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or keep everything in memory."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
        )
        # Survives kill -9 at any moment; the state beside it is as safe.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS header (round INTEGER PRIMARY KEY, raw BLOB)")
        self._db.execute("CREATE TABLE IF NOT EXISTS life (incarnation INTEGER)")
        self._recent: dict[int, BlockHeader] = {}
        row = self._db.execute("SELECT raw FROM header ORDER BY round DESC LIMIT 1").fetchone()
        life = self._db.execute("SELECT max(incarnation) FROM life").fetchone()[0]
        self._incarnation = Incarnation(life or 0)
        self._newest = None if row is None else decode_record(BlockHeader, row[0])
        self._newest_hash = b"" if self._newest is None else self._newest.hash()

    @property
    def incarnation(self) -> Incarnation:
        """Life of the chain to which the headers belong."""
        return self._incarnation

    def enter(self, incarnation: Incarnation) -> None:
        """Note that what is void in a later life of the chain was removed."""
        with self._lock:
            self._db.execute("INSERT INTO life VALUES (?)", (incarnation,))
        self._incarnation = incarnation

    @property
    def newest(self) -> BlockHeader | None:
        """Header of the newest round; None before the first."""
        return self._newest

    @property
    def newest_hash(self) -> bytes:
        """Its hash, 32 bytes; empty before the first."""
        return self._newest_hash

    @property
    def next_round(self) -> Round:
        """The round whose header may enter."""
        return Round(0 if self._newest is None else self._newest.round + 1)

    def verify_link(self, header: BlockHeader) -> None:
        """Verify that a header follows the newest one, or raise `BrokenHeaderChain`."""
        if header.round != self.next_round:
            raise BrokenHeaderChain(f"round {header.round}, expected {self.next_round}")
        if self._newest is not None and header.previous_hash != self._newest_hash:
            raise BrokenHeaderChain(f"round {header.round} does not follow the round before")

    def append(self, header: BlockHeader) -> None:
        """Add the header of the next round."""
        self.verify_link(header)
        raw = encode_record(header)
        with self._lock:
            self._db.execute("INSERT INTO header VALUES (?, ?)", (header.round, raw))
            self._recent[header.round] = header
            self._recent.pop(header.round - REMEMBERED_HEADERS, None)
        self._newest, self._newest_hash = header, header.hash()

    def find(self, round_: Round) -> BlockHeader | None:
        """Look a round's header up."""
        with self._lock:
            header = self._recent.get(round_)
            if header is not None:
                return header
            row = self._db.execute("SELECT raw FROM header WHERE round = ?", (round_,)).fetchone()
        return None if row is None else decode_record(BlockHeader, row[0])

    def truncate(self, next_round: Round) -> None:
        """Forget a round and all that follow it."""
        with self._lock:
            self._db.execute("DELETE FROM header WHERE round >= ?", (next_round,))
            self._recent = {r: h for r, h in self._recent.items() if r < next_round}
        self._newest = self.find(Round(next_round - 1))
        self._newest_hash = b"" if self._newest is None else self._newest.hash()

    def close(self) -> None:
        """Close the file."""
        self._db.close()
