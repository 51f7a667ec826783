"""JSON-RPC 2.0 of the local endpoint: bytes in, bytes out. Limits and texts are the gateway's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog

from qanat.view.errors import BadRpcRequest, UnreadableJson, describe_error
from qanat.view.gateway import Unwritable, dump_json
from shared.errors import PeerFailed, QanatError

log = structlog.get_logger()

MAX_BATCH_REQUESTS = 1_000
MAX_BATCH_RESPONSE_BYTES = 25_000_000
BATCH_STEP = 64
"""Requests of a batch that run at the same time."""
MAX_RUNNING = 256
"""Requests of all tools that run at the same time; others wait."""

Answer = Callable[[str, Any], Awaitable[Any]]
"""Gives the result of a method with its parameters, or raises `QanatError`."""


class Rpc:
    """Reads requests and writes answers."""

    def __init__(self) -> None:
        self._running = asyncio.Semaphore(MAX_RUNNING)

    async def answer(self, body: bytes | str, answer: Answer) -> bytes:
        """Answer a request or a batch; empty where only notifications came."""
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _failure(None, UnreadableJson("parse error"))
        if type(message) is not list:
            return await self._answer_one(message, answer)
        if not message or len(message) > MAX_BATCH_REQUESTS:
            why = "batch too large" if message else "empty batch"
            return _failure(None, BadRpcRequest(why))
        answers: list[bytes] = []
        for start in range(0, len(message), BATCH_STEP):
            step = message[start : start + BATCH_STEP]
            if sum(map(len, answers)) > MAX_BATCH_RESPONSE_BYTES:
                return _failure(None, BadRpcRequest("response too large"))
            done = await asyncio.gather(*(self._answer_one(one, answer) for one in step))
            answers += filter(None, done)
        return b"[" + b",".join(answers) + b"]" if answers else b""

    async def _answer_one(self, request: Any, answer: Answer) -> bytes:
        if type(request) is not dict:
            return _failure(None, BadRpcRequest("invalid request"))
        id_, method = request.get("id"), request.get("method")
        if isinstance(id_, dict | list | bool):
            return _failure(None, BadRpcRequest("invalid request"))
        if type(method) is not str:
            return _failure(id_, BadRpcRequest("invalid request"))
        try:
            async with self._running:
                result = await answer(method, request.get("params"))
            shown = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (
                orjson.dumps(id_),
                dump_json(result),
            )
        except QanatError as error:
            shown = _failure(id_, error)
        except Exception:
            # The endpoint lives on, as a service does; the terminal has the traceback.
            log.exception("view_failed", method=method[:64])
            shown = _failure(id_, PeerFailed("internal error of `qanat view`"))
        return shown if "id" in request else b""


def _failure(id_: Any, error: QanatError) -> bytes:
    try:
        written = dump_json(describe_error(error))
    except Unwritable as unwritable:
        written = dump_json(describe_error(unwritable))
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (orjson.dumps(id_), written)
