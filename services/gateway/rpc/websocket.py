"""JSON-RPC over WebSocket: requests of one connection overlap, events are pushed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from services.gateway import metrics
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.dispatch import Dispatcher
from services.gateway.rpc.methods import Method, methods_of
from services.gateway.rpc.subscriptions import NewRound, Subscriptions
from shared.gateways.awake import Awake

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Source: go-ethereum rpc/websocket.go."""
MAX_RUNNING = 64
"""Requests of one connection that are under way; further ones wait."""
MAX_QUEUED = 20_000
"""Messages that may wait for a slow client; one further behind is cut off."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
TOO_SLOW = 1013
"""Close code "try again later"."""

Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]


class WebSocketConnection:
    """One client."""

    def __init__(self, table: Mapping[str, Method], awake: Awake) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queued_bytes = 0
        self._is_too_slow = asyncio.Event()
        self._running = asyncio.Semaphore(MAX_RUNNING)
        self.subscriptions = Subscriptions(self._enqueue)
        self._dispatcher = Dispatcher(dict(table) | methods_of(self.subscriptions), awake)

    def push(self, new: NewRound) -> None:
        """Send what a new round means for this client."""
        self.subscriptions.push(new)

    def push_rewind(self, dropped: list[IndexedRound]) -> None:
        """Say which events are void."""
        self.subscriptions.push_rewind(dropped)

    def push_pending(self, tx_hash: bytes) -> None:
        """Send the hash of a transaction that waits."""
        self.subscriptions.push_pending(tx_hash)

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve an accepted connection until it closes."""
        metrics.websockets_open.inc()
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send_all(send))
                guard = tasks.create_task(self._cut_off(send))
                await self._receive_all(receive, tasks)
                sender.cancel()
                guard.cancel()
        finally:
            self.subscriptions.close()
            metrics.websockets_open.dec()

    async def _receive_all(self, receive: Receive, tasks: asyncio.TaskGroup) -> None:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            body = message.get("text")
            if body is None:
                body = message.get("bytes") or b""
            await self._running.acquire()
            tasks.create_task(self._answer(body))

    async def _answer(self, body: str | bytes) -> None:
        try:
            answer = await self._dispatcher.answer(body)
        finally:
            self._running.release()
        if answer:
            self._enqueue(answer)

    def _enqueue(self, message: bytes) -> None:
        if self._is_too_slow.is_set():
            return
        self._queued_bytes += len(message)
        if self._queue.qsize() >= MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
            self._is_too_slow.set()
            return
        self._queue.put_nowait(message)

    async def _send_all(self, send: Send) -> None:
        while True:
            message = await self._queue.get()
            await send({"type": "websocket.send", "text": message.decode()})
            self._queued_bytes -= len(message)

    async def _cut_off(self, send: Send) -> None:
        await self._is_too_slow.wait()
        metrics.websockets_dropped.inc()
        log.warning("websocket_too_slow", queued_bytes=self._queued_bytes)
        await send({"type": "websocket.close", "code": TOO_SLOW})
