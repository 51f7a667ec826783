"""
The consensus database. SQLite in WAL mode; SQLAlchemy does not leave it and the logs that it keeps.

A block is written in two steps, as under CometBFT: `BlockLog.save` (the engine, before execution)
and `save_block` (the application's `commit`, everything the block made). What it made can be made
again, so some blocks may wait to be written together; a process that dies finds their decisions at
its next start and executes them again. `synchronous=NORMAL` keeps what is written across `kill -9`;
a power cut may take the newest blocks as a whole.

The newest versions of the state stay in memory as trees that share their structure.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import delete, event, func, insert, select, text, update

from services.consensus.abci import BlockResult
from services.consensus.engine.block_log import BlockLog, DecidedBlocks
from services.consensus.history import STATE_AT, OldStates, prune, prune_file
from services.consensus.proofs import KeptProof, build_proven_state, prove_items
from services.consensus.round_log import RoundLog
from services.consensus.schema import (
    SCHEMA_VERSION,
    blocks,
    entries,
    life,
    outcomes,
    round_headers,
    snapshots,
    tables,
)
from services.consensus.snapshot_log import SnapshotLog
from shared.api.consensus import START_SNAPSHOT, BlockEvents, Snapshot, UnknownHeight
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.kit.statements import driver_of, prepare
from shared.rules.state_keys import last_block_key
from shared.types.block import BlockHeader
from shared.types.identity import Incarnation
from shared.types.proof import ProvenBytes, ProvenState

RECENT_BLOCKS = 256
"""Heights whose tree and events are answered from memory; a few seconds of a busy network."""
IN_MEMORY = ":memory:"
MAX_WAITING_BYTES = 1024 * 1024
"""Changes of blocks that wait to be written, at most [bytes]."""
MAX_WAL_PAGES = 8_192
"""A write that finds the log this long moves it into the database itself, and is slow [4 KiB]."""

_STATE_AT = text(STATE_AT)
_ADD_OUTCOME, _ADD_ENTRY = prepare(insert(outcomes)), prepare(insert(entries))


class ForeignDatabase(Rejected, module="consensus", code=3):
    """The file is a database of another program or version."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a block made, as rows."""

    outcome: dict[str, Any]
    versions: list[dict[str, Any]]

    def size_bytes(self) -> int:
        """Give the bytes of its changes."""
        return sum(len(one["key"]) + len(one["value"] or b"") for one in self.versions)


class Store:
    """Everything that consensus remembers. One writer, one thread."""

    def __init__(self, path: Path | str = IN_MEMORY, *, may_wait: int = 0) -> None:
        """
        Open the database, or make one.

        `may_wait` is how many executed blocks are kept in memory before they are written; who lets
        them wait calls `flush` when there is time.
        """
        self._path, self._may_wait = str(path), may_wait
        self._database = sqlalchemy.create_engine(
            f"sqlite:///{path}", poolclass=sqlalchemy.pool.StaticPool
        )
        event.listen(self._database, "connect", _set_pragmas)
        self._connection = self._database.connect()
        self._driver = driver_of(self._connection)
        self._create_schema()
        self._waiting: list[_Outcome] = []
        self._waiting_bytes = 0
        self._trees: dict[int, StateTree] = {}
        self._events: dict[int, BlockEvents] = {}
        self.blocks: DecidedBlocks = BlockLog(self._connection)
        """What the engine decided; one that keeps its blocks elsewhere puts itself here."""
        self.rounds = RoundLog(self._connection, self.flush)
        self.snapshots = SnapshotLog(self._connection)
        self._old_states = OldStates(Path(path))
        with self._connection.begin():
            bounds = self._connection.execute(
                select(func.min(outcomes.c.height), func.max(outcomes.c.height))
            ).one()
            self.incarnation = Incarnation(self._connection.scalar(select(life.c.incarnation)) or 0)
            """How often the chain was rewound."""
        self.first_height: int = bounds[0] or 0
        """Oldest height that was executed; 0 before the first block."""
        self.height: int = bounds[1] or 0
        """Newest height that was executed; 0 before the first block."""

    def close(self) -> None:
        """Write what waits and close the database."""
        try:
            self.flush()
        finally:
            self._connection.close()
            self._database.dispose()

    def _create_schema(self) -> None:
        with self._connection.begin():
            version = self._connection.scalar(text("PRAGMA user_version"))
            if version not in (0, SCHEMA_VERSION):
                raise ForeignDatabase(f"schema {version}, this program has {SCHEMA_VERSION}")
            tables.create_all(self._connection)
            for index in round_headers.indexes:  # which databases of before do not have
                index.create(self._connection, checkfirst=True)
            if version == 0:
                self._connection.execute(insert(life), {"incarnation": 0})
            self._connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))

    def checkpoint(self) -> None:
        """
        Move the write-ahead log into the database file. For another thread.

        It flushes the disk, which takes milliseconds; writers and readers go on meanwhile.
        """
        if self._path == IN_MEMORY:
            return
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    # -- what it made --------------------------------------------------------------------------

    def save_block(
        self,
        height: int,
        *,
        result: BlockResult,
        tree: StateTree,
        changes: Mapping[bytes, bytes | None],
        events: BlockEvents,
        finalized_rounds: Sequence[BlockHeader] = (),
    ) -> None:
        """
        Keep all that an executed block made; see `may_wait` for when it is written.

        Parameters
        ----------
        height : `int`
            One above the last one; the first may be any.
        result : `BlockResult`
            What `finalize_block` returned; its `app_hash` is the root of `tree`.
        tree : `StateTree`
            State after the block.
        changes : mapping
            Entries that differ from the state before; None removes. All of them at the first block.
        events : `BlockEvents`
            With `proven` left None: it is joined on when the events are loaded.
        finalized_rounds : sequence of `BlockHeader`
            New ParaTime blocks of any type.
        """
        proven_keys = sorted({last_block_key(block.runtime_id) for block in events.finalized})
        proof = prove_items(tree, proven_keys) if proven_keys else None
        outcome = {
            "height": height,
            "app_hash": result.app_hash,
            "result": encode_record(result),
            "events": encode_record(events),
            "proof": None if proof is None else encode_record(proof),
        }
        versions = [{"key": k, "height": height, "value": v} for k, v in changes.items()]
        made = _Outcome(outcome, versions)
        self._waiting.append(made)
        self._waiting_bytes += made.size_bytes()
        self.rounds.add(finalized_rounds, events)
        if self.waiting > self._may_wait or self._waiting_bytes > MAX_WAITING_BYTES:
            self.flush()
        self.height = height
        self.first_height = self.first_height or height
        self._remember(height, tree, self._with_proof(events, proof))

    @property
    def waiting(self) -> int:
        """Number of executed blocks that are not written yet."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what the blocks that wait have made, in one transaction."""
        if not self._waiting:
            return
        versions = [row for made in self._waiting for row in made.versions]
        with self._driver:
            self._driver.executemany(_ADD_OUTCOME, [made.outcome for made in self._waiting])
            self._driver.executemany(_ADD_ENTRY, versions)
            self.rounds.write()
        self._waiting, self._waiting_bytes = [], 0
        self.rounds.forget_written()

    def load_result(self, height: int) -> BlockResult:
        """What executing a block returned, or `UnknownHeight`."""
        row = self._load_outcome(height)
        return decode_record(BlockResult, row.result)

    def load_events(self, height: int) -> BlockEvents:
        """What a block changed, with proofs of the rounds it finalized, or `UnknownHeight`."""
        recent = self._events.get(height)
        if recent is not None:
            return recent
        row = self._load_outcome(height)
        proof = None if row.proof is None else decode_record(KeptProof, row.proof)
        return self._with_proof(decode_record(BlockEvents, row.events), proof)

    def newest_time_ns(self) -> int:
        """Time of the newest block [ns]; 0 before the first."""
        return self.load_events(self.height).time_ns if self.height else 0

    def load_tree(self, height: int | None = None) -> StateTree:
        """State after a height, by default the newest; empty before the first block."""
        if height is None:
            height = self.height
        if height == 0:
            return StateTree.empty()
        recent = self._trees.get(height)
        if recent is not None:
            return recent
        self._expect_height(height)
        with self._connection.begin():
            rows = self._connection.execute(_STATE_AT, {"height": height}).all()
        return StateTree.empty().with_changes(
            {key: value for key, value in rows if value is not None}
        )

    def load_proven_state(self, keys: Sequence[bytes], height: int | None = None) -> ProvenState:
        """Values of keys after a height, by default the newest, with proof from the header down."""
        height = self.height if height is None else height
        return self.prove(self.load_tree(height), keys, height)

    def is_recent(self, height: int) -> bool:
        """Say whether the state of a height is in memory, so that reading it costs nothing."""
        return height in self._trees or height == 0 or self._path == IN_MEMORY

    def load_old_tree(self, height: int) -> StateTree:
        """Give what `load_tree` gives, from another thread; one at a time. Or `UnknownHeight`."""
        self._expect_height(height)
        tree = self._old_states.load(height, self.incarnation)
        if tree is None:
            raise UnknownHeight(height)
        return tree

    def prove(self, tree: StateTree, keys: Sequence[bytes], height: int) -> ProvenState:
        """Prove values of keys in the state after a height, from the header down."""
        self._expect_height(height)
        block = self.blocks.load(height)
        if block is None:
            raise UnknownHeight(height)
        return build_proven_state(block.light_block, block.transactions, prove_items(tree, keys))

    # -- forgetting ----------------------------------------------------------------------------

    def plan_pruning(self, keep_heights: int, most: int) -> tuple[int, int] | None:
        """
        Decide which heights to forget next, and refuse to read them from now on.

        Parameters
        ----------
        keep_heights : `int`
            Newest heights that stay; more where a snapshot needs them.
        most : `int`
            Heights that one step forgets, at most.

        Returns
        -------
        bounds : (first, keep_from) or None
            For `prune`; None where nothing is to be forgotten.
        """
        # The blocks of heights that wait are needed to execute them again.
        self.flush()
        keep_from = self.height - keep_heights + 1
        first = self.first_height
        # One below a snapshot stays too: the engine resumes from two heights.
        pinned = [one.height - 1 for one in self.snapshots.load() if one.id != START_SNAPSHOT]
        keep_from = min(keep_from, first + most, *pinned)
        if first == 0 or keep_from <= first:
            return None
        self.first_height = keep_from
        return first, keep_from

    def prune(self, first: int, keep_from: int) -> None:
        """Forget what was planned. Another method for another thread."""
        if self._path == IN_MEMORY:
            prune(self._driver, first, keep_from)
        else:
            prune_file(Path(self._path), first, keep_from)

    # -- going back ----------------------------------------------------------------------------

    def rollback(self, height: int) -> None:
        """
        Forget everything above a height and count a new incarnation, in one transaction.

        Raises
        ------
        UnknownHeight
            The store has no such height; nothing changed.
        """
        self._expect_height(height)
        self.flush()
        with self._connection.begin():
            for table in (blocks, outcomes, entries, round_headers, snapshots):
                self._connection.execute(delete(table).where(table.c.height > height))
            self._connection.execute(update(life).values(incarnation=life.c.incarnation + 1))
        self.height = height
        self.incarnation = Incarnation(self.incarnation + 1)
        self.blocks.forget_newest()
        for recent in (self._trees, self._events):
            for above in [known for known in recent if known > height]:
                del recent[above]

    def add_snapshot(self) -> Snapshot:
        """Remember the newest height, or raise `UnknownHeight` before the first block."""
        self.flush()
        return self.snapshots.add(self.load_events(self.height), self.incarnation)

    def add_start(self, *, since: int = 0) -> None:
        """Remember the newest height as the start, unless one of this epoch or later is known."""
        self.flush()
        known = next((one for one in self.snapshots.load() if one.id == START_SNAPSHOT), None)
        if known is not None and known.epoch < since:
            self.snapshots.drop(START_SNAPSHOT)
            known = None
        if known is None:
            self.snapshots.add(self.load_events(self.height), self.incarnation, id_=START_SNAPSHOT)

    def _remember(self, height: int, tree: StateTree, events: BlockEvents) -> None:
        self._trees[height], self._events[height] = tree, events
        for recent in (self._trees, self._events):
            recent.pop(height - RECENT_BLOCKS, None)

    def _with_proof(self, events: BlockEvents, proof: KeptProof | None) -> BlockEvents:
        block = None if proof is None else self.blocks.load(events.height)
        if proof is None or block is None:
            return events
        proven = build_proven_state(block.light_block, block.transactions, proof)
        return replace(events, proven=ProvenBytes(encode_record(proven)))

    def _expect_height(self, height: int) -> None:
        if not 0 < self.first_height <= height <= self.height:
            raise UnknownHeight(height)

    def _load_outcome(self, height: int) -> Any:
        self.flush()
        with self._connection.begin():
            query = select(outcomes).where(outcomes.c.height == height)
            row = self._connection.execute(query).one_or_none()
        if row is None:
            raise UnknownHeight(height)
        return row


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "temp_store=MEMORY",
        f"wal_autocheckpoint={MAX_WAL_PAGES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
