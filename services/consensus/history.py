"""
Old heights: read beside the blocks, and forgotten beyond a window.

Both run in threads of their own, each on a connection of its own, so that no block waits: a state
of long ago is put together from all its entries, which takes tens of milliseconds. SQLite gives a
reader one moment of the database, whatever is written or removed meanwhile.
"""

import sqlite3
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

from shared.api.consensus import CHECKPOINT_ROUNDS
from shared.crypto.state_tree import StateTree

STATE_AT = """
WITH RECURSIVE distinct_keys(key) AS (
    SELECT min(key) FROM entries
    UNION ALL
    SELECT (SELECT min(key) FROM entries WHERE key > distinct_keys.key)
    FROM distinct_keys WHERE distinct_keys.key IS NOT NULL
)
SELECT key, (
    SELECT value FROM entries
    WHERE entries.key = distinct_keys.key AND height <= :height
    ORDER BY height DESC LIMIT 1
) AS value
FROM distinct_keys WHERE key IS NOT NULL
"""
"""Jumps from key to key in the primary index, so it costs keys, not versions."""
KEPT_STATES = 8
"""States of long ago that are kept in memory: who asks for one mostly asks again."""

_OUTDATED = """
DELETE FROM entries WHERE (key, height) IN (
    SELECT old.key, old.height FROM entries AS newer JOIN entries AS old
    ON old.key = newer.key AND old.height < newer.height
    WHERE newer.height > :first AND newer.height <= :keep_from
)
"""
"""Versions that a newer one had replaced by the lowest height that is kept."""
_REMOVED = """
DELETE FROM entries WHERE value IS NULL AND height > :first AND height <= :keep_from
"""
"""Removals say nothing once there is nothing below them."""
_HEADERS = """
DELETE FROM round_headers
WHERE height >= :first AND height < :keep_from AND round % :checkpoint_rounds <> 0
"""
"""Every 64th header stays, by which nodes that catch up check what peers give them."""


def prune(connection: sqlite3.Connection, first: int, keep_from: int) -> None:
    """
    Forget the heights from `first` up to `keep_from`, that one not included, in one transaction.

    Of the blocks of ParaTimes a few stay for ever: nodes that catch up begin at the first round.
    """
    bounds = {"first": first, "keep_from": keep_from, "checkpoint_rounds": CHECKPOINT_ROUNDS}
    with connection:
        for table in ("blocks", "outcomes"):
            connection.execute(f"DELETE FROM {table} WHERE height < :keep_from", bounds)  # noqa: S608
        for statement in (_OUTDATED, _REMOVED, _HEADERS):
            connection.execute(statement, bounds)


def prune_file(path: Path, first: int, keep_from: int) -> None:
    """Do the same to a database file, from any thread."""
    with closing(sqlite3.connect(path)) as connection:
        prune(connection, first, keep_from)


class OldStates:
    """States by height, read from the database file; safe for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: OrderedDict[tuple[int, int], StateTree] = OrderedDict()

    def load(self, height: int, incarnation: int) -> StateTree | None:
        """State after a height in a life of the chain; None where it is not kept any more."""
        kept = self._kept.get((height, incarnation))
        if kept is not None:
            return kept
        with closing(sqlite3.connect(self._path)) as connection:
            # One transaction: pruning goes on beside it.
            connection.execute("BEGIN")
            outcome = connection.execute(
                "SELECT app_hash FROM outcomes WHERE height = ?", (height,)
            ).fetchone()
            rows = connection.execute(STATE_AT, {"height": height}).fetchall()
        tree = StateTree.empty().with_changes({k: v for k, v in rows if v is not None})
        if outcome is None or tree.root != outcome[0]:
            return None
        self._kept[height, incarnation] = tree
        if len(self._kept) > KEPT_STATES:
            self._kept.popitem(last=False)
        return tree
