"""
The block index in SQL: what is found no longer in memory, and what a restart begins with.

Every call blocks; `index.chain_index` calls from threads. Rows are written once, in one transaction
for all the rounds of a call. `rollback` makes those of later rounds void, which is at once; they
leave when rounds of the same numbers take their places.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from services.gateway.database import open_database
from services.gateway.index.log_filter import LogFilter
from services.gateway.index.record import decode_transaction_record
from services.gateway.index.rounds import (
    IndexedRound,
    IndexedTransaction,
    LogEntry,
    build_round,
)
from services.gateway.schema import TOPIC_COLUMNS, logs, rounds, runtimes, transactions
from shared.encoding.record import decode_record, encode_record
from shared.types.block import BlockHeader
from shared.types.identity import Incarnation

READ_ROWS = 1000
"""Rows that a search holds at a time."""


class BlockStore:
    """Rounds, transactions and logs of one ParaTime."""

    def __init__(self, url: str, runtime_id: bytes) -> None:
        """Open the database, or raise `DatabaseUnusable`."""
        self._engine = open_database(url)
        with self._engine.begin() as connection:
            self._runtime = _find_or_add_runtime(connection, runtime_id)
            query = select(runtimes.c.newest_valid).where(runtimes.c.id == self._runtime)
            self._newest_valid: int | None = connection.scalar(query)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    # -- writing -------------------------------------------------------------------------------

    def save_rounds(self, batch: Sequence[IndexedRound]) -> None:
        """Add rounds, all or none."""
        last = batch[-1].number
        with self._engine.begin() as connection:
            newest_valid = self._take_places(connection, last)
            _insert(connection, rounds, [self._round_row(one) for one in batch])
            _insert(
                connection,
                transactions,
                [
                    self._transaction_row(transaction, raw)
                    for one in batch
                    for transaction, raw in zip(one.in_order(), one.raw_records, strict=True)
                ],
            )
            _insert(connection, logs, [self._log_row(log) for one in batch for log in one.logs()])
        self._newest_valid = newest_valid

    def _take_places(self, connection: Connection, last: int) -> int | None:
        """Drop void rows up to a round; gives the newest valid round, None where none is void."""
        if self._newest_valid is None:
            return None
        for table in (logs, transactions, rounds):
            connection.execute(
                delete(table).where(
                    table.c.runtime == self._runtime,
                    table.c.round > self._newest_valid,
                    table.c.round <= last,
                )
            )
        void = select(rounds.c.round).where(
            rounds.c.runtime == self._runtime, rounds.c.round > last
        )
        newest_valid = last if connection.execute(void.limit(1)).first() else None
        self._note_newest_valid(connection, newest_valid)
        return newest_valid

    def rollback(self, number: int) -> None:
        """
        Forget every round after one.

        To delete 10,000 transactions takes 0.1 s, for which whoever goes back would wait.
        """
        known = self._newest_valid
        newest_valid = number if known is None else min(number, known)
        with self._engine.begin() as connection:
            self._note_newest_valid(connection, newest_valid)
        self._newest_valid = newest_valid

    def _note_newest_valid(self, connection: Connection, number: int | None) -> None:
        connection.execute(
            update(runtimes).where(runtimes.c.id == self._runtime).values(newest_valid=number)
        )

    def save_incarnation(self, incarnation: Incarnation) -> None:
        """Note to which life of the chain the rounds belong."""
        with self._engine.begin() as connection:
            connection.execute(
                update(runtimes)
                .where(runtimes.c.id == self._runtime)
                .values(incarnation=incarnation)
            )

    def load_incarnation(self) -> Incarnation:
        """Life of the chain to which the rounds belong."""
        query = select(runtimes.c.incarnation).where(runtimes.c.id == self._runtime)
        with self._engine.connect() as connection:
            return Incarnation(connection.scalars(query).one())

    def _round_row(self, one: IndexedRound) -> dict[str, Any]:
        return {
            "runtime": self._runtime,
            "round": one.number,
            "hash": one.hash,
            "header": encode_record(one.header),
            "size_bytes": one.size_bytes,
            "ethereum_root": one.ethereum_root,
        }

    def _transaction_row(self, transaction: IndexedTransaction, raw: bytes) -> dict[str, Any]:
        return {
            "runtime": self._runtime,
            "round": transaction.round,
            "position": transaction.position,
            "hash": transaction.record.hash,
            "first_log": transaction.first_log,
            "record": raw,
        }

    def _log_row(self, log: LogEntry) -> dict[str, Any]:
        topics = dict(zip(("topic0", "topic1", "topic2", "topic3"), log.topics, strict=False))
        return {
            "runtime": self._runtime,
            "round": log.round,
            "log_index": log.index,
            "position": log.position,
            "transaction_hash": log.transaction_hash,
            "address": log.address,
            "topic0": None,
            "topic1": None,
            "topic2": None,
            "topic3": None,
            "data": log.data,
        } | topics

    # -- reading -------------------------------------------------------------------------------

    def load_bounds(self) -> tuple[int, int] | None:
        """First and last round; None where there is none."""
        query = select(func.min(rounds.c.round), func.max(rounds.c.round)).where(
            *self._valid(rounds)
        )
        with self._engine.connect() as connection:
            first, last = connection.execute(query).one()
        return None if first is None else (first, last)

    def load_newest(self, count: int) -> list[IndexedRound]:
        """The last rounds, in rising order."""
        query = self._rounds_query().order_by(rounds.c.round.desc()).limit(count)
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
            return [self._assemble(connection, row) for row in reversed(found)]

    def load_round(self, number: int) -> IndexedRound | None:
        """One round by number."""
        return self._load_one(self._rounds_query().where(rounds.c.round == number))

    def load_round_by_hash(self, hash_: bytes) -> IndexedRound | None:
        """One round by the hash of its header."""
        return self._load_one(self._rounds_query().where(rounds.c.hash == hash_))

    def load_transaction(self, hash_: bytes) -> IndexedTransaction | None:
        """One transaction by hash."""
        query = (
            self._transactions_query()
            .where(transactions.c.hash == hash_)
            .order_by(transactions.c.round.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _indexed_transaction(row)

    def load_transactions_of(
        self, account: bytes, first: int, last: int, count: int, *, newest_first: bool
    ) -> tuple[list[IndexedTransaction], bool]:
        """
        Transactions of Ethereum in rounds `first` to `last` that name an account, in that order.

        There is no index by account: every record of these rounds is read until there are `count`
        and their round is whole. Also says whether there are more.
        """
        order = (transactions.c.round, transactions.c.position)
        query = (
            self._transactions_query()
            .where(transactions.c.round.between(first, last))
            .order_by(*(one.desc() if newest_first else one for one in order))
        )
        found: list[IndexedTransaction] = []
        query = query.execution_options(yield_per=READ_ROWS)
        with self._engine.connect() as connection, closing(connection.execute(query)) as rows:
            for row in rows:
                # Most name others, which the bytes tell before they are read.
                if account not in row.record:
                    continue
                one = _indexed_transaction(row)
                named = (one.record.sender, one.record.to, one.record.contract_address)
                if account not in named or one.record.is_native:
                    continue
                if len(found) >= count and one.round != found[-1].round:
                    return found, True
                found.append(one)
        return found, False

    def load_accounts(self) -> set[bytes]:
        """Addresses that transactions name as sender, receiver or new contract, and logs'."""
        of_transactions = select(transactions.c.record).where(*self._valid(transactions))
        of_logs = select(logs.c.address).where(*self._valid(logs)).distinct()
        with self._engine.begin() as connection:
            found = {bytes(one) for one in connection.execute(of_logs).scalars()}
            for raw in connection.execute(of_transactions).scalars():
                record = decode_transaction_record(bytes(raw))
                named = (record.sender, record.to, record.contract_address)
                found.update(one for one in named if one is not None)
        return found

    def load_logs(self, wanted: LogFilter, first: int, last: int) -> list[LogEntry]:
        """Events of rounds `first` to `last` that a filter wants, in order."""
        query = (
            select(logs, rounds.c.hash.label("round_hash"), rounds.c.header)
            .join(rounds, (rounds.c.runtime == logs.c.runtime) & (rounds.c.round == logs.c.round))
            .where(*self._valid(logs), logs.c.round.between(first, last))
            .order_by(logs.c.round, logs.c.log_index)
        )
        if wanted.addresses:
            query = query.where(logs.c.address.in_(wanted.addresses))
        if len(wanted.topics) > len(TOPIC_COLUMNS):
            return []
        for column, alternatives in zip(TOPIC_COLUMNS, wanted.topics, strict=False):
            query = query.where(column.in_(alternatives) if alternatives else column.is_not(None))
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        times: dict[int, int] = {}
        for row in found:
            if row.round not in times:
                times[row.round] = decode_record(BlockHeader, row.header).timestamp
        return [_log_entry(row, times[row.round]) for row in found]

    def _transactions_query(self) -> Select[Any]:
        return (
            select(transactions, rounds.c.hash.label("round_hash"), rounds.c.header)
            .join(
                rounds,
                (rounds.c.runtime == transactions.c.runtime)
                & (rounds.c.round == transactions.c.round),
            )
            .where(*self._valid(transactions))
        )

    def _rounds_query(self) -> Select[Any]:
        columns = rounds.c.round, rounds.c.header, rounds.c.size_bytes, rounds.c.ethereum_root
        return select(*columns).where(*self._valid(rounds))

    def _valid(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        """Conditions on a table's rows: those of this ParaTime that are not void."""
        own = table.c.runtime == self._runtime
        newest_valid = self._newest_valid
        return (own,) if newest_valid is None else (own, table.c.round <= newest_valid)

    def _load_one(self, query: Select[Any]) -> IndexedRound | None:
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else self._assemble(connection, row)

    def _assemble(self, connection: Connection, row: Row[Any]) -> IndexedRound:
        records = connection.scalars(
            select(transactions.c.record)
            .where(transactions.c.runtime == self._runtime, transactions.c.round == row.round)
            .order_by(transactions.c.position)
        ).all()
        header = decode_record(BlockHeader, row.header)
        return build_round(header, records, row.size_bytes, row.ethereum_root)


def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _find_or_add_runtime(connection: Connection, runtime_id: bytes) -> int:
    query = select(runtimes.c.id).where(runtimes.c.runtime_id == runtime_id)
    found = connection.scalar(query)
    if found is None:
        connection.execute(insert(runtimes).values(runtime_id=runtime_id))
        found = connection.scalar(query)
    assert isinstance(found, int)  # noqa: S101 - inserted above
    return found


def _indexed_transaction(row: Row[Any]) -> IndexedTransaction:
    return IndexedTransaction(
        round=row.round,
        round_hash=row.round_hash,
        timestamp=decode_record(BlockHeader, row.header).timestamp,
        position=row.position,
        first_log=row.first_log,
        record=decode_transaction_record(row.record),
    )


def _log_entry(row: Row[Any], timestamp: int) -> LogEntry:
    topics = (row.topic0, row.topic1, row.topic2, row.topic3)
    return LogEntry(
        round=row.round,
        round_hash=row.round_hash,
        timestamp=timestamp,
        position=row.position,
        transaction_hash=row.transaction_hash,
        index=row.log_index,
        address=row.address,
        topics=tuple(topic for topic in topics if topic is not None),
        data=row.data,
    )
