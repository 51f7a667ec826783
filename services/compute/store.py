"""
The node's database. SQLite in WAL mode; SQLAlchemy does not leave this module.

Every finalized round must survive `kill -9`. One that the node voted for may be published before it
is written here, and is written with others: what it holds was kept with the vote, in the log of
`open_rounds`. `synchronous=NORMAL` syncs at checkpoints only: a process may die at any moment, a
power cut may take the newest rounds, which peers then give again.
"""

from pathlib import Path

import sqlalchemy
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from services.compute.earlier_store import adopt_votes
from services.compute.open_rounds import OpenRounds
from services.compute.outputs import decode_outputs, encode_outputs
from shared.encoding.record import decode_record, encode_record
from shared.kit.statements import driver_of, prepare
from shared.types.block import BlockHeader, RoundBlock
from shared.types.identity import Incarnation, Round

IN_MEMORY = Path(":memory:")
CACHE_KIB = 512
"""Pages in memory [KiB]: what is read was mostly just written, or is older than any cache."""
_metadata = MetaData()

_rounds = Table(
    "rounds",
    _metadata,
    Column("round", Integer, primary_key=True),
    Column("incarnation", Integer, nullable=False),
    Column("epoch", Integer),
    Column("header", LargeBinary, nullable=False),
    Column("outputs", LargeBinary),
)
"""
Finalized rounds, each with the life of the chain in which the node took it up, and its epoch.

`outputs` is CBOR `[transactions, results]`, null where there are none.
"""

_life = Table("life", _metadata, Column("incarnation", Integer, nullable=False))
"""One row: the life of the chain to which everything here belongs; `rollback` alone changes it."""

_SAVE_ROUND = prepare(upsert(_rounds).on_conflict_do_nothing())

ROUNDS_TOGETHER = 16
"""Finalized rounds that wait for each other before they are written."""
BYTES_TOGETHER = 1024 * 1024
"""What these may hold [bytes]."""


class Store:
    """Rounds, votes and proposals of one node in one ParaTime."""

    def __init__(self, path: Path) -> None:
        """Open the file; `IN_MEMORY` keeps nothing."""
        if path == IN_MEMORY:
            self._engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
        else:
            self._engine = sqlalchemy.create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _configure)
        _metadata.create_all(self._engine)
        # One connection for all: taking one from the pool costs more than most statements.
        self._connection = self._engine.connect()
        self._driver = driver_of(self._connection)
        with self._connection.begin():
            known = self._connection.scalar(select(_life.c.incarnation))
            if known is None:
                self._connection.execute(insert(_life), {"incarnation": 0})
        self.incarnation = Incarnation(known or 0)
        """Life of the chain to which everything here belongs."""
        votes = None if path == IN_MEMORY else path.with_suffix(".votes")
        self.open_rounds = OpenRounds(votes, self.incarnation)
        """What the node said in rounds that are not written here yet."""
        adopt_votes(self._connection, self.open_rounds)
        self._final: list[RoundBlock] = []
        self._final_bytes = 0

    def load_newest_round(self) -> Round | None:
        """Give the newest finalized round; None in a new database."""
        with self._connection.begin():
            newest: int | None = self._connection.scalar(select(func.max(_rounds.c.round)))
        return None if newest is None else Round(newest)

    def load_block(self, round_: Round) -> RoundBlock | None:
        """Give a finalized round."""
        self.flush()
        columns = _rounds.c.header, _rounds.c.outputs, _rounds.c.epoch
        query = select(*columns).where(_rounds.c.round == round_)
        with self._connection.begin():
            row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        header = decode_record(BlockHeader, row.header)
        outputs = ((), ()) if row.outputs is None else decode_outputs(row.outputs)
        return RoundBlock(header, *outputs, epoch=row.epoch)

    def load_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:
        """Give headers of finalized rounds in a row."""
        self.flush()
        query = (
            select(_rounds.c.header)
            .where(_rounds.c.round.between(first, first + count - 1))
            .order_by(_rounds.c.round)
        )
        with self._connection.begin():
            found = self._connection.scalars(query).all()
        return tuple(decode_record(BlockHeader, raw) for raw in found)

    def note_final(self, block: RoundBlock) -> bool:
        """
        Keep a finalized round whose transactions and results were kept with the vote for it.

        It is written together with others, since it alone is not lost by a crash: the vote stands
        in the log, and consensus knows that it became final.

        Returns
        -------
        is_due : `bool`
            Whether there is enough to be written soon, by `flush`.
        """
        self._final.append(block)
        self._final_bytes += block.contents_bytes
        return len(self._final) >= ROUNDS_TOGETHER or self._final_bytes > BYTES_TOGETHER

    def save_blocks(self, blocks: tuple[RoundBlock, ...]) -> None:
        """Keep finalized rounds that were executed elsewhere, or that are empty."""
        self._final.extend(blocks)
        self.flush()

    def flush(self) -> None:
        """Write what waits for others."""
        if not self._final:
            return
        with self._driver as driver:
            driver.executemany(_SAVE_ROUND, map(self._row_of, self._final))
        newest = self._final[-1].header.round
        self._final, self._final_bytes = [], 0
        self.open_rounds.forget(newest)

    def _row_of(self, block: RoundBlock) -> dict[str, object]:
        outputs = encode_outputs(block.transactions, block.results) if block.results else None
        return {
            "round": block.header.round,
            "incarnation": self.incarnation,
            "epoch": block.epoch,
            "header": encode_record(block.header),
            "outputs": outputs,
        }

    def rollback(self, round_: Round, incarnation: Incarnation) -> None:
        """Forget every round after one, and all votes: the chain is in another life."""
        self.flush()
        with self._connection.begin():
            self._connection.execute(delete(_rounds).where(_rounds.c.round > round_))
            self._connection.execute(update(_life).values(incarnation=incarnation))
        self.incarnation = incarnation
        self.open_rounds.enter(incarnation)

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self.open_rounds.close()
        self._connection.close()
        self._engine.dispose()


def _configure(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"cache_size=-{CACHE_KIB}",
        # Some systems' SQLite overwrites what is deleted: a rollback would write all it drops.
        "secure_delete=OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
