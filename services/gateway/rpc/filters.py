"""
Filters: what a client without a WebSocket polls for.

Each keeps a place in the chain and not the events themselves, so that one which nobody polls costs
nothing; it ends after five minutes. After a rewind a log filter gives the events that are void once
more, marked as removed, and every filter goes on from where the chains part.
"""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field, replace

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.log_range import query_logs
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import LogQuery, log_query
from services.gateway.rpc.parameters import anything, optional, text
from services.gateway.rpc.shapes import Json, show_bytes, show_log
from services.gateway.submitter import Submitter

LIFE_S = 300.0
"""How long a filter lives that nobody polls [s]. Source: go-ethereum eth/filters/api.go."""
MAX_FILTERS = 1_000
"""Of all clients together; those that nobody polls make room."""
MAX_ROUNDS = 1_000
"""Rounds of one answer; what is left comes with the next."""
MAX_REMOVED = 10_000
"""Removed events that a filter keeps; of more, the newest."""
MAX_PENDING = 10_000
"""Transactions that are remembered for pending filters; of more, the newest."""
ID_BITS = 127
"""Of an id, below a bit that is set: the specification allows no leading zeros."""


@dataclass(slots=True)
class _Filter:
    """A place in the chain, and what has become void before it."""

    next_round: int
    used_at_s: float
    query: LogQuery | None = None
    """None of a block filter."""
    first_round: int = 0
    """Where the events of a query without a first block begin: as the filter was made."""
    removed: deque[Json] = field(default_factory=lambda: deque(maxlen=MAX_REMOVED))


@dataclass(slots=True)
class _PendingFilter:
    """A place among the transactions that were handed in."""

    next_number: int
    used_at_s: float


class FilterMethods:
    """Answers of the namespace that concern filters."""

    def __init__(self, index: ChainIndex, submitter: Submitter, logs_max_rounds: int) -> None:
        self._index, self._logs_max_rounds = index, logs_max_rounds
        self._filters: dict[str, _Filter | _PendingFilter] = {}
        self._pending: deque[bytes] = deque(maxlen=MAX_PENDING)
        self._pending_count = 0
        index.listen_to_rewinds(self._go_back)
        submitter.listen(self._note_pending)

    # -- making them ---------------------------------------------------------------------------

    @rpc_method("eth_newFilter", log_query)
    async def new_filter(self, query: LogQuery) -> str:
        """Begin to collect events from the next block on; the id of the filter."""
        if query.block_hash is not None:
            raise QueryRejected("cannot filter the events to come by a block hash")
        following = self._next_round()
        return self._add(_Filter(following, _now_s(), query, following))

    @rpc_method("eth_newBlockFilter")
    async def new_block_filter(self) -> str:
        """Begin to collect hashes of blocks; the id of the filter."""
        return self._add(_Filter(self._next_round(), _now_s()))

    @rpc_method("eth_newPendingTransactionFilter", optional(anything))
    async def new_pending_transaction_filter(self, _is_full: object) -> str:
        """Begin to collect hashes of transactions that this gateway's clients hand in."""
        return self._add(_PendingFilter(self._pending_count, _now_s()))

    @rpc_method("eth_uninstallFilter", text)
    async def uninstall_filter(self, id_: str) -> bool:
        """End a filter; whether there was one."""
        return self._filters.pop(id_, None) is not None

    # -- asking them ---------------------------------------------------------------------------

    @rpc_method("eth_getFilterChanges", text)
    async def get_filter_changes(self, id_: str) -> list[str] | list[Json]:
        """What has come since the filter was asked last."""
        found = self._find(id_)
        if isinstance(found, _PendingFilter):
            return self._take_pending(found)
        first, end = found.next_round, self._end_of_answer(found.next_round)
        # Before anything is awaited: two polls at once must not give the same twice.
        found.next_round = end
        if found.query is None:
            return [show_bytes(one.hash) for one in await self._rounds(first, end)]
        removed = list(found.removed)
        found.removed.clear()
        return removed + await self._logs(found.query, first, end)

    @rpc_method("eth_getFilterLogs", text)
    async def get_filter_logs(self, id_: str) -> list[Json]:
        """
        All events that a log filter wants, also from before it was made where it names a block.

        Without a first block it gives those since it was made: the range has a limit, and a chain
        soon has more blocks.
        """
        found = self._find(id_)
        if isinstance(found, _PendingFilter) or found.query is None:
            raise QueryRejected("filter not found")
        query = found.query
        if query.from_block is None:
            if found.first_round >= self._next_round():
                return []
            query = replace(query, from_block=found.first_round)
        return await query_logs(self._index, query, self._logs_max_rounds)

    # -- inside --------------------------------------------------------------------------------

    def _add(self, made: _Filter | _PendingFilter) -> str:
        if len(self._filters) >= MAX_FILTERS:
            oldest_s = _now_s() - LIFE_S
            live = {i: f for i, f in self._filters.items() if f.used_at_s > oldest_s}
            self._filters = live
        if len(self._filters) >= MAX_FILTERS:
            raise QueryRejected(f"too many filters, at most {MAX_FILTERS}")
        id_ = hex(secrets.randbits(ID_BITS) | 1 << ID_BITS)
        self._filters[id_] = made
        return id_

    def _find(self, id_: str) -> _Filter | _PendingFilter:
        found = self._filters.get(id_)
        if found is None or found.used_at_s <= _now_s() - LIFE_S:
            self._filters.pop(id_, None)
            raise QueryRejected("filter not found")
        found.used_at_s = _now_s()
        return found

    def _next_round(self) -> int:
        return self._index.require_newest().number + 1

    def _end_of_answer(self, first: int) -> int:
        return max(first, min(first + MAX_ROUNDS, self._next_round()))

    async def _rounds(self, first: int, end: int) -> list[IndexedRound]:
        found = [await self._index.find_round(number) for number in range(first, end)]
        return [one for one in found if one is not None]

    async def _logs(self, query: LogQuery, first: int, end: int) -> list[Json]:
        """New events in the range of blocks that the query names by number."""
        low, high = query.from_block, query.to_block
        first = max(first, low) if isinstance(low, int) else first
        last = min(end - 1, high) if isinstance(high, int) else end - 1
        if last < first:
            return []
        return [show_log(log) for log in await self._index.find_logs(query.wanted, first, last)]

    def _take_pending(self, found: _PendingFilter) -> list[str]:
        count = min(self._pending_count - found.next_number, len(self._pending))
        found.next_number = self._pending_count
        return [show_bytes(one) for one in list(self._pending)[len(self._pending) - count :]]

    def _note_pending(self, tx_hash: bytes) -> None:
        self._pending_count += 1
        if self._filters:
            self._pending.append(tx_hash)
        else:
            self._pending.clear()

    def _go_back(self, number: int, dropped: list[IndexedRound]) -> None:
        for one in self._filters.values():
            if isinstance(one, _PendingFilter) or one.next_round <= number + 1:
                continue
            if one.query is not None:
                first, last = _range_of(one.query, one.first_round, one.next_round - 1)
                given = [round_ for round_ in dropped if first <= round_.number <= last]
                for round_ in given:
                    one.removed += [
                        show_log(log, is_removed=True) for log in one.query.wanted.select(round_)
                    ]
            one.next_round = number + 1
            one.first_round = min(one.first_round, number + 1)


def _range_of(query: LogQuery, first: int, last: int) -> tuple[int, int]:
    """Rounds of the query among these; `first` counts only where it names no first block."""
    low, high = query.from_block, query.to_block
    if isinstance(low, int):
        first = low
    return first, min(last, high) if isinstance(high, int) else last


def _now_s() -> float:
    return asyncio.get_running_loop().time()
