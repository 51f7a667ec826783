"""
One tool's WebSocket: requests as over HTTP, and subscriptions over a connection of its own to the
gateway, with what they bring shown in plain.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from qanat.view.answers import Answers
from qanat.view.gateway import GatewayRefused, GatewaySilent, Headers
from qanat.view.rpc import Rpc

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
MAX_RUNNING = 64
"""Requests of one connection that are under way; further ones wait."""
MAX_EARLY = 10_000
"""Events of a subscription of which the tool has no answer yet."""
ANSWER_TIMEOUT_S = 10.0
GONE = 1012
"""Close code "service restart": the gateway has gone, and the tool should connect again."""
SUBSCRIPTIONS = ("eth_subscribe", "eth_unsubscribe")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Subscriber:
    """One WebSocket of a tool."""

    def __init__(self, rpc: Rpc, answers: Answers, gateway_ws: str, headers: Headers) -> None:
        self._rpc, self._answers, self._url, self._headers = rpc, answers, gateway_ws, headers
        self._running = asyncio.Semaphore(MAX_RUNNING)
        self._opening = asyncio.Lock()
        self._upstream: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._told: set[str] = set()
        """Subscriptions whose id the tool has."""
        self._early: list[dict[str, Any]] = []
        """Events that came before the tool had the id."""

    async def serve(self, receive: Receive, send: Send) -> None:
        """Serve an accepted connection until either end closes."""
        self._send = send
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._receive_all(receive)
        except* _Closed:
            pass
        finally:
            if self._upstream is not None:
                await self._upstream.close()

    async def _receive_all(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            body = message.get("text")
            await self._running.acquire()
            self._tasks.create_task(self._serve_one(body or message.get("bytes") or b""))
        raise _Closed

    async def _serve_one(self, body: bytes | str) -> None:
        begun: list[str] = []

        async def answer(method: str, params: Any) -> Any:
            if method not in SUBSCRIPTIONS:
                return await self._answers.answer(method, params, self._headers)
            result = await self._ask_upstream(method, params)
            if type(result) is str:
                begun.append(result)
            return result

        try:
            answered = await self._rpc.answer(body, answer)
            if answered:
                await self._send({"type": "websocket.send", "text": answered.decode()})
        finally:
            self._running.release()
        if begun:
            self._told.update(begun)
            early, self._early = self._early, []
            for event in early:
                await self._push(event)

    async def _ask_upstream(self, method: str, params: Any) -> Any:
        async with self._opening:
            if self._upstream is None:
                self._upstream = await self._open()
                self._tasks.create_task(self._read_upstream(self._upstream))
        id_ = next(self._ids)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[id_] = waiting
        request = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params or []}
        try:
            await self._upstream.send(orjson.dumps(request).decode())
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await waiting
        except (TimeoutError, WebSocketException) as error:
            raise GatewaySilent(f"{self._url} does not answer: {error!r}") from None
        finally:
            del self._waiting[id_]
        if type(answer.get("error")) is dict:
            raise GatewayRefused(answer["error"])
        return answer.get("result")

    async def _open(self) -> ClientConnection:
        try:
            return await connect(
                self._url,
                additional_headers=dict(self._headers),
                user_agent_header=None,
                max_size=MAX_MESSAGE_BYTES,
                compression=None,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise GatewaySilent(f"{self._url} takes no WebSocket: {error!r}") from None

    async def _read_upstream(self, upstream: ClientConnection) -> None:
        # A tool that reads slowly holds this up, and so the gateway, which then cuts it off.
        try:
            async for raw in upstream:
                message = orjson.loads(raw)
                if type(message) is not dict:
                    break
                waiting = self._waiting.get(message.get("id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
                elif message.get("method") == "eth_subscription":
                    await self._push(message)
                if len(self._early) > MAX_EARLY:
                    break
        except (WebSocketException, orjson.JSONDecodeError):
            pass
        await self._send({"type": "websocket.close", "code": GONE})
        raise _Closed

    async def _push(self, event: dict[str, Any]) -> None:
        params = event.get("params")
        if type(params) is not dict or params.get("subscription") not in self._told:
            self._early.append(event)
            return
        shown = event | {
            "params": params | {"result": self._answers.journal.show(params.get("result"))}
        }
        await self._send({"type": "websocket.send", "text": orjson.dumps(shown).decode()})


class _Closed(Exception):
    """Ends the tasks of a connection."""
