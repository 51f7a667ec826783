"""Blocks of the ParaTimes in the consensus database, with where consensus finalized them."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, bindparam, insert, select, text

from services.consensus.schema import round_headers
from shared.api.consensus import BlockEvents
from shared.encoding.record import decode_record, encode_record
from shared.kit.statements import driver_of, prepare
from shared.types.block import BlockHeader
from shared.types.identity import Epoch, Height, Round

LARGEST_ROUND = 2**63 - 1
"""That SQLite can look for; who asks may name larger ones, which nobody makes."""

_ADD = prepare(insert(round_headers))


def _of_round(column: Column[Any]) -> Select[tuple[Any]]:
    """Select something of one round; built once, which takes as long as to ask."""
    is_it = round_headers.c.runtime_id == bindparam("runtime_id")
    return select(column).where(is_it, round_headers.c.round == bindparam("round"))


_QUERIES = {name: _of_round(round_headers.c[name]) for name in ("header", "epoch", "height")}
_NEWEST_BY = text(
    "SELECT round FROM round_headers INDEXED BY round_headers_by_height "
    "WHERE height <= :height AND runtime_id = :runtime_id "
    "ORDER BY height DESC, round DESC LIMIT 1"
)
"""Of the primary key, by which SQLite would go, it would read the whole window."""


class RoundLog:
    """Reads and writes one table; rewinding and pruning are the store's."""

    def __init__(self, connection: Connection, flush: Callable[[], None]) -> None:
        """Begin with what is written; `flush` has the store write what waits."""
        self._connection, self._driver = connection, driver_of(connection)
        self._flush = flush
        self._waiting: dict[tuple[bytes, int], dict[str, Any]] = {}
        """Rows that are not written yet, by ParaTime and round."""

    def add(self, headers: Sequence[BlockHeader], events: BlockEvents) -> None:
        """Keep the rounds that a consensus block finalized, in memory at first."""
        for header in headers:
            self._waiting[header.namespace, header.round] = {
                "runtime_id": header.namespace,
                "round": header.round,
                "height": events.height,
                "epoch": events.epoch,
                "incarnation": events.incarnation,
                "header": encode_record(header),
            }

    def write(self) -> None:
        """Write what waits. Within a transaction of the store."""
        self._driver.executemany(_ADD, list(self._waiting.values()))

    def forget_written(self) -> None:
        """Note that the transaction with what waited was committed."""
        self._waiting.clear()

    def load_header(self, runtime_id: bytes, round_: int) -> BlockHeader | None:
        """Block of a ParaTime's round; None where it was not finalized."""
        raw = self._load("header", runtime_id, round_)
        return None if raw is None else decode_record(BlockHeader, raw)

    def load_epoch(self, runtime_id: bytes, round_: int) -> Epoch | None:
        """Epoch in which a round was finalized; None where it was not."""
        epoch = self._load("epoch", runtime_id, round_)
        return None if epoch is None else Epoch(epoch)

    def load_height(self, runtime_id: bytes, round_: int) -> Height | None:
        """Consensus block that finalized a round; None where it was not."""
        height = self._load("height", runtime_id, round_)
        return None if height is None else Height(height)

    def _load(self, column: str, runtime_id: bytes, round_: int) -> Any:
        if round_ > LARGEST_ROUND:
            return None
        waiting = self._waiting.get((runtime_id, round_))
        if waiting is not None:
            return waiting[column]
        with self._connection.begin():
            return self._connection.scalar(
                _QUERIES[column], {"runtime_id": runtime_id, "round": round_}
            )

    def load_newest_by(self, runtime_id: bytes, height: int) -> Round:
        """
        Give the newest round known to be finalized at or before a height; 0 where none is.

        Where blocks were forgotten it may be one of up to 63 rounds before.
        """
        self._flush()
        bounds = {"runtime_id": runtime_id, "height": height}
        with self._connection.begin():
            return Round(self._connection.scalar(_NEWEST_BY, bounds) or 0)

    def load_headers(self, runtime_id: bytes, first: int, count: int) -> tuple[BlockHeader, ...]:
        """Blocks of the last rounds in a row that there are among `count` rounds."""
        if first > LARGEST_ROUND:
            return ()
        self._flush()
        last = min(first + count - 1, LARGEST_ROUND)
        query = (
            select(round_headers.c.round, round_headers.c.header)
            .where(
                round_headers.c.runtime_id == runtime_id,
                round_headers.c.round.between(first, last),
            )
            .order_by(round_headers.c.round.desc())
        )
        with self._connection.begin():
            found = self._connection.execute(query).all()
        # Beyond the window there are single ones.
        in_a_row = [row for back, row in enumerate(found) if row.round == found[0].round - back]
        return tuple(decode_record(BlockHeader, row.header) for row in reversed(in_a_row))
