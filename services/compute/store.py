"""
The node's database. SQLite in WAL mode; SQLAlchemy does not leave this module.

What must survive `kill -9`: a proposal before it is sent and a vote before it is sent, so that a
node that restarts never says two things about one round; the transactions and results of what it
voted for; and every finalized round. A finalized round may be published before it is written here,
since what it holds was written with the vote. `synchronous=NORMAL` syncs at checkpoints only: a
process may die at any moment, a power cut may take the newest rounds, which peers then give again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.kit.statements import driver_of, prepare
from shared.types.block import BlockHeader, RoundBlock
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import Epoch, Incarnation, Round
from shared.types.runtime import SpentSequence

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

_votes = Table(
    "votes",
    _metadata,
    Column("round", Integer, primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("state_root", LargeBinary),
    Column("io_root", LargeBinary),
    Column("outputs", LargeBinary, nullable=False),
    Column("proposal", LargeBinary, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
)
"""What the node voted for in rounds that are not final yet; the roots of a failure are null."""

_proposals = Table(
    "proposals",
    _metadata,
    Column("round", Integer, primary_key=True),
    Column("proposal", LargeBinary, nullable=False),
)
"""What the node itself proposed in rounds that are not final yet."""

_life = Table("life", _metadata, Column("incarnation", Integer, nullable=False))
"""One row: the life of the chain to which everything here belongs; `rollback` alone changes it."""

_SAVE_PROPOSAL, _SAVE_VOTE = prepare(insert(_proposals)), prepare(insert(_votes))
_SAVE_ROUND = prepare(upsert(_rounds).on_conflict_do_nothing())
_SETTLE = prepare(
    insert(_rounds).from_select(
        ["round", "incarnation", "epoch", "header", "outputs"],
        select(
            bindparam("at", type_=Integer),
            bindparam("incarnation", type_=Integer),
            bindparam("epoch", type_=Integer),
            bindparam("header", type_=LargeBinary),
            _votes.c.outputs,
        )
        .where(
            _votes.c.round == bindparam("at", type_=Integer),
            _votes.c.state_root == bindparam("state_root"),
            _votes.c.io_root == bindparam("io_root"),
        )
        # Votes with the same roots have the same outputs, whatever rank: any one of them.
        .group_by(_votes.c.round),
    )
)
_FORGET_VOTES = prepare(delete(_votes).where(_votes.c.round <= bindparam("at")))
_FORGET_PROPOSALS = prepare(delete(_proposals).where(_proposals.c.round <= bindparam("at")))


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote with what it is about."""

    rank: int
    """Of the proposal's scheduler."""
    proposal: Proposal
    commitment: ExecutorCommitment
    transactions: tuple[bytes, ...] = ()
    results: tuple[bytes, ...] = ()
    spent: tuple[SpentSequence, ...] = ()
    """Not kept: for the pool, which is empty after a restart."""


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
        self._final: list[tuple[BlockHeader, Epoch | None]] = []
        with self._connection.begin():
            known = self._connection.scalar(select(_life.c.incarnation))
            if known is None:
                self._connection.execute(insert(_life), {"incarnation": 0})
        self.incarnation = Incarnation(known or 0)
        """Life of the chain to which everything here belongs."""

    # -- the open round ------------------------------------------------------------------------

    def save_proposal(self, proposal: Proposal) -> None:
        """Keep the node's own proposal, before it is sent."""
        values = {"round": proposal.header.round, "proposal": encode_record(proposal)}
        with self._writing() as driver:
            driver.execute(_SAVE_PROPOSAL, values)

    def load_proposal(self, round_: Round) -> Proposal | None:
        """Give the node's own proposal for a round that is not final."""
        query = select(_proposals.c.proposal).where(_proposals.c.round == round_)
        with self._connection.begin():
            raw = self._connection.execute(query).scalar()
        return None if raw is None else decode_record(Proposal, raw)

    def save_vote(self, vote: Vote) -> None:
        """Keep a vote, before it is sent."""
        results = vote.commitment.header.results
        values = {
            "round": vote.commitment.round,
            "rank": vote.rank,
            "state_root": None if results is None else results.state_root,
            "io_root": None if results is None else results.io_root,
            "outputs": _encode_outputs(vote.transactions, vote.results),
            "proposal": encode_record(vote.proposal),
            "commitment": encode_record(vote.commitment),
        }
        with self._writing() as driver:
            driver.execute(_SAVE_VOTE, values)

    def load_votes(self, round_: Round) -> tuple[Vote, ...]:
        """Give the votes for a round that is not final, best rank first."""
        query = select(_votes).where(_votes.c.round == round_).order_by(_votes.c.rank)
        with self._connection.begin():
            rows = self._connection.execute(query).all()
        return tuple(
            Vote(
                row.rank,
                decode_record(Proposal, row.proposal),
                decode_record(ExecutorCommitment, row.commitment),
                *_decode_outputs(row.outputs),
            )
            for row in rows
        )

    # -- finalized rounds ----------------------------------------------------------------------

    def load_newest_round(self) -> Round | None:
        """Give the newest finalized round; None in a new database."""
        with self._connection.begin():
            newest: int | None = self._connection.scalar(select(func.max(_rounds.c.round)))
        return None if newest is None else Round(newest)

    def load_block(self, round_: Round) -> RoundBlock | None:
        """Give a finalized round."""
        self._flush()
        columns = _rounds.c.header, _rounds.c.outputs, _rounds.c.epoch
        query = select(*columns).where(_rounds.c.round == round_)
        with self._connection.begin():
            row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        header = decode_record(BlockHeader, row.header)
        outputs = ((), ()) if row.outputs is None else _decode_outputs(row.outputs)
        return RoundBlock(header, *outputs, epoch=row.epoch)

    def load_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:
        """Give headers of finalized rounds in a row."""
        self._flush()
        query = (
            select(_rounds.c.header)
            .where(_rounds.c.round.between(first, first + count - 1))
            .order_by(_rounds.c.round)
        )
        with self._connection.begin():
            found = self._connection.scalars(query).all()
        return tuple(decode_record(BlockHeader, raw) for raw in found)

    def note_final(self, header: BlockHeader, epoch: Epoch | None) -> None:
        """
        Keep a finalized round whose transactions and results were kept with the vote for it.

        It is written together with whatever is written next, since that alone is not lost by a
        crash: the vote stands in the database, and consensus knows that it became final.
        """
        self._final.append((header, epoch))

    def _flush(self) -> None:
        if self._final:
            with self._writing():
                pass

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction, and in the same what has become final before."""
        final, self._final = self._final, []
        with self._driver as driver:
            for header, epoch in final:
                at = {"at": header.round}
                row = at | {
                    "incarnation": self.incarnation,
                    "epoch": epoch,
                    "header": encode_record(header),
                    "state_root": header.state_root,
                    "io_root": header.io_root,
                }
                driver.execute(_SETTLE, row)
                driver.execute(_FORGET_VOTES, at)
                driver.execute(_FORGET_PROPOSALS, at)
            yield driver

    def save_blocks(self, blocks: tuple[RoundBlock, ...]) -> None:
        """Keep finalized rounds that were executed elsewhere, or that are empty."""
        rows = [
            {
                "round": block.header.round,
                "incarnation": self.incarnation,
                "epoch": block.epoch,
                "header": encode_record(block.header),
                "outputs": _encode_outputs(block.transactions, block.results)
                if block.results
                else None,
            }
            for block in blocks
        ]
        with self._writing() as driver:
            driver.executemany(_SAVE_ROUND, rows)
            newest = {"at": blocks[-1].header.round}
            driver.execute(_FORGET_VOTES, newest)
            driver.execute(_FORGET_PROPOSALS, newest)

    def rollback(self, round_: Round, incarnation: Incarnation) -> None:
        """Forget every round after one, and all votes: the chain is in another life."""
        self._final = [entry for entry in self._final if entry[0].round <= round_]
        with self._writing(), self._connection.begin():
            self._connection.execute(delete(_rounds).where(_rounds.c.round > round_))
            self._connection.execute(delete(_votes))
            self._connection.execute(delete(_proposals))
            self._connection.execute(update(_life).values(incarnation=incarnation))
        self.incarnation = incarnation

    def close(self) -> None:
        """Close the file."""
        self._flush()
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


def _encode_outputs(transactions: tuple[bytes, ...], results: tuple[bytes, ...]) -> bytes:
    return cbor.encode_loosely([transactions, results])


def _decode_outputs(raw: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    transactions, results = cbor.decode_loosely(raw)  # type: ignore[misc]
    return tuple(transactions), tuple(results)  # type: ignore[arg-type]
