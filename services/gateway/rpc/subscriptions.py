"""`eth_subscribe` and `eth_unsubscribe`: events that are pushed over a WebSocket."""

import secrets
from collections.abc import Callable
from functools import cached_property
from typing import Any

import orjson

from services.gateway import metrics
from services.gateway.index.log_filter import LogFilter
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.errors import InvalidParameters, MethodMissing, QueryRejected
from services.gateway.rpc.methods import Method, methods_of, rpc_method
from services.gateway.rpc.objects import LogQuery, log_query
from services.gateway.rpc.parameters import BadParameter, anything, optional, text
from services.gateway.rpc.shapes import show_bytes, show_log, show_new_head

MAX_SUBSCRIPTIONS = 1000
"""Of one connection."""
ID_BYTES = 16
NO_QUERY = LogQuery(LogFilter(), None, None, None)


class UnsupportedSubscriptions:
    """The answers where nothing can be pushed."""

    @rpc_method("eth_subscribe", text, optional(anything))
    async def subscribe(self, _kind: str, _query: Any) -> str:
        """Only a WebSocket can."""
        raise MethodMissing("notifications not supported")

    @rpc_method("eth_unsubscribe", text)
    async def unsubscribe(self, _id: str) -> bool:
        """Only a WebSocket can."""
        raise MethodMissing("notifications not supported")


def unsupported_methods() -> dict[str, Method]:
    """Give the answers over HTTP."""
    return methods_of(UnsupportedSubscriptions())


class NewRound:
    """A round as it is pushed: what all subscribers get alike is made once."""

    def __init__(self, round_: IndexedRound, min_price_wei: int) -> None:
        """Take the round, and the least price of gas while it is new [wei]."""
        self.round, self._min_price_wei = round_, min_price_wei

    @cached_property
    def head(self) -> bytes:
        """JSON of its head."""
        return orjson.dumps(show_new_head(self.round, self._min_price_wei))


class Subscriptions:
    """Subscriptions of one connection."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """Take the function that queues a message for the client."""
        self._send = send
        self._heads: set[str] = set()
        self._logs: dict[str, LogFilter] = {}
        self._pending: set[str] = set()

    @rpc_method("eth_subscribe", text, optional(anything))
    async def subscribe(self, kind: str, details: object) -> str:
        """Begin to push `newHeads`, `logs` or `newPendingTransactions`; the subscription's id."""
        if len(self._heads) + len(self._logs) + len(self._pending) >= MAX_SUBSCRIPTIONS:
            raise QueryRejected(f"too many subscriptions, at most {MAX_SUBSCRIPTIONS}")
        id_ = "0x" + secrets.token_hex(ID_BYTES)
        match kind:
            case "newHeads":
                self._heads.add(id_)
            case "logs":
                self._logs[id_] = _read_query(details).wanted
            case "newPendingTransactions":
                self._pending.add(id_)
            case _:
                raise MethodMissing(f'no "{kind[:64]}" subscription in eth namespace')
        metrics.subscriptions_open.labels(kind).inc()
        return id_

    @rpc_method("eth_unsubscribe", text)
    async def unsubscribe(self, id_: str) -> bool:
        """End a subscription."""
        if id_ in self._heads:
            self._heads.remove(id_)
            metrics.subscriptions_open.labels("newHeads").dec()
        elif self._logs.pop(id_, None) is not None:
            metrics.subscriptions_open.labels("logs").dec()
        elif id_ in self._pending:
            self._pending.remove(id_)
            metrics.subscriptions_open.labels("newPendingTransactions").dec()
        else:
            raise QueryRejected("subscription not found")
        return True

    def close(self) -> None:
        """End all, because the connection is gone."""
        metrics.subscriptions_open.labels("newHeads").dec(len(self._heads))
        metrics.subscriptions_open.labels("logs").dec(len(self._logs))
        metrics.subscriptions_open.labels("newPendingTransactions").dec(len(self._pending))
        self._pending.clear()
        self._heads.clear()
        self._logs.clear()

    def push(self, new: NewRound) -> None:
        """Send what a new round means for each subscription."""
        for id_ in self._heads:
            self._send(_notification(id_, new.head))
        for id_, wanted in self._logs.items():
            for log in wanted.select(new.round):
                self._send(_notification(id_, orjson.dumps(show_log(log))))

    def push_rewind(self, dropped: list[IndexedRound]) -> None:
        """Send the events of void rounds once more, marked as removed; the newest first."""
        for id_, wanted in self._logs.items():
            for round_ in reversed(dropped):
                for log in wanted.select(round_):
                    shown = orjson.dumps(show_log(log, is_removed=True))
                    self._send(_notification(id_, shown))

    def push_pending(self, tx_hash: bytes) -> None:
        """Send the hash of a transaction that a pool took."""
        for id_ in self._pending:
            self._send(_notification(id_, orjson.dumps(show_bytes(tx_hash))))


def _read_query(details: object) -> LogQuery:
    if details is None:
        return NO_QUERY
    try:
        return log_query(details)
    except BadParameter as error:
        raise InvalidParameters(f"invalid argument 1: {error}") from None


def _notification(id_: str, result: bytes) -> bytes:
    return (
        b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b","result":%b}}'
        % (id_.encode(), result)
    )
