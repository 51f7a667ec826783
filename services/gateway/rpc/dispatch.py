"""
JSON-RPC 2.0: bytes in, bytes out. The hot path of the gateway.

Texts and codes follow go-ethereum's server, which the original gateway uses.
"""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import orjson
import structlog

from services.gateway import metrics
from services.gateway.rpc.errors import (
    InvalidRequest,
    ResponseTooLarge,
    UnreadableJson,
    describe_error,
    missing_method,
)
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.methods import Method
from shared.errors import PeerFailed, QanatError
from shared.gateways.awake import Awake

log = structlog.get_logger()

MAX_BATCH_RESPONSE_BYTES = 25_000_000
"""Answers beyond this are replaced by errors [bytes]. Source: go-ethereum's default."""
MAX_BATCH_REQUESTS = 1_000
"""Source: go-ethereum node/defaults.go, `BatchRequestLimit`."""
BATCH_STEP = 64
"""Requests of a batch that run at the same time: enough to overlap, few enough for fairness."""
MAX_TEXT_CHARACTERS = 256
"""Of a method's name that an error repeats."""

REQUEST_FIELDS = frozenset({"jsonrpc", "id", "method", "params"})

_UNKNOWN_REQUESTS = metrics.rpc_requests.labels("unknown")
_UNKNOWN_FAILURES = metrics.rpc_failures.labels("unknown")


class Dispatcher:
    """Finds methods in a table and wraps their answers."""

    def __init__(self, table: Mapping[str, Method], awake: Awake) -> None:
        self._table, self._awake = table, awake

    async def answer(self, body: bytes | str) -> bytes:
        """Answer a request or a batch; empty where only notifications came."""
        if self._awake.is_due:
            await self._awake.renew()
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            why = error if body else "the request is empty"
            return _failure(None, UnreadableJson(f"parse error: {why}"))
        if type(message) is dict:
            return await self._answer_one(message)
        if type(message) is list:
            return await self._answer_batch(message)
        return _failure(None, InvalidRequest("invalid request"))

    async def _answer_batch(self, batch: list[Any]) -> bytes:
        if not batch:
            return _failure(None, InvalidRequest("empty batch"))
        if len(batch) > MAX_BATCH_REQUESTS:
            ids = (one["id"] for one in batch if type(one) is dict and one.get("id") is not None)
            return b"[%b]" % _failure(_safe_id(next(ids, None)), InvalidRequest("batch too large"))
        answers: list[bytes] = []
        size = 0

        async def answer_within(request: Any) -> bytes:
            """Keep no answer beyond the limit, so that a step of large ones holds no more."""
            nonlocal size
            answer = await self._answer_one(request)
            if size > MAX_BATCH_RESPONSE_BYTES:
                return _too_large(request)
            size += len(answer)
            return answer

        for start in range(0, len(batch), BATCH_STEP):
            step = batch[start : start + BATCH_STEP]
            if size > MAX_BATCH_RESPONSE_BYTES:
                answers += filter(None, map(_too_large, step))
                continue
            answers += filter(None, await asyncio.gather(*map(answer_within, step)))
            await asyncio.sleep(0)
        return b"[" + b",".join(answers) + b"]" if answers else b""

    async def _answer_one(self, request: Any) -> bytes:
        if type(request) is not dict:
            return _failure(None, InvalidRequest("invalid request"))
        if not REQUEST_FIELDS.issuperset(request):
            request = fold_names(request)
        id_ = request.get("id")
        if isinstance(id_, dict | list | bool):
            return _failure(None, InvalidRequest("invalid request"))
        name = request.get("method")
        if type(name) is not str:
            return _failure(id_, InvalidRequest("invalid request"))
        method = self._table.get(name)
        if method is None:
            _UNKNOWN_REQUESTS.inc()
            _UNKNOWN_FAILURES.inc()
            answer = _failure(id_, missing_method(name[:MAX_TEXT_CHARACTERS]))
        else:
            answer = await self._call(method, id_, request.get("params"))
        return answer if "id" in request else b""

    async def _call(self, method: Method, id_: Any, params: Any) -> bytes:
        started = perf_counter()
        method.requests.inc()
        try:
            answer = _success(id_, await method.answer(*method.read(params)))
        except QanatError as error:
            method.failures.inc()
            answer = _failure(id_, error)
        except Exception:
            # The service lives on; the client hears of it, and the log has the traceback.
            log.exception("rpc_failed", method=method.name)
            method.failures.inc()
            answer = _failure(id_, PeerFailed("internal error"))
        method.observe_seconds(perf_counter() - started)
        return answer


def _success(id_: Any, result: Any) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (orjson.dumps(id_), orjson.dumps(result))


def _failure(id_: Any, error: QanatError) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (
        orjson.dumps(id_),
        orjson.dumps(describe_error(error)),
    )


def answer_with(error: QanatError) -> bytes:
    """Give the answer to a request that was not read."""
    return _failure(None, error)


def _too_large(request: Any) -> bytes:
    if type(request) is not dict:
        return b""
    request = fold_names(request)
    if "id" not in request:
        return b""
    return _failure(_safe_id(request["id"]), ResponseTooLarge("response too large"))


def _safe_id(id_: Any) -> Any:
    return None if isinstance(id_, dict | list | bool) else id_
