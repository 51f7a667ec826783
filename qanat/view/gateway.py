"""The gateway, as a client sees it: untrusted, over HTTP."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx
import orjson

from services.gateway.rpc.parameters import BadParameter
from shared.errors import Rejected, Unavailable
from shared.kit.plain_http import trust_for

TIMEOUT = httpx.Timeout(70.0, connect=5.0)
"""A gateway may hold an answer for a minute (`eth_sendRawTransactionSync`) [s]."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ANSWERS_BYTES = 256 * 1024 * 1024
"""Of all answers together that are being read."""
CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=64)
T = TypeVar("T")
Headers = Mapping[str, str]
"""Of a tool's request, as far as they are handed on."""


class GatewaySilent(Unavailable, module="view", code=4):
    """The gateway does not answer, or with something that is no JSON-RPC."""


class GatewayRefused(Rejected, module="view", code=5):
    """The gateway answered with an error, which is the tool's."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.error = error


class Unwritable(Rejected, module="view", code=13):
    """JSON that was read cannot be written again: it nests deeper than is written."""


def dump_json(value: Any) -> bytes:
    """Write JSON, or raise `Unwritable`."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise Unwritable(f"this JSON cannot be handed on: {error}") from None


class Gateway:
    """One gateway."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Name it; nothing is asked yet. `transport` is for tests."""
        self.url = url
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT,
            limits=CONNECTIONS,
            transport=transport,
            trust_env=False,
            verify=trust_for(url),
        )
        self._ids = itertools.count(1)
        self._bytes = 0
        """Of answers that are being read."""

    async def __aenter__(self) -> Self:
        """Use it as a context."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close connections."""
        await self._http.aclose()

    async def ask(self, method: str, params: Any, headers: Headers) -> Any:
        """
        Ask for one thing.

        Raises
        ------
        GatewayRefused
            The answer is an error.
        GatewaySilent
            There is no answer.
        """
        request = self._request(method, params)
        return _result(await self._post(request, headers))

    async def ask_all(self, wanted: Sequence[tuple[str, list[Any]]], headers: Headers) -> list[Any]:
        """Ask for several things at once; errors as `ask`, of the first that has one."""
        requests = [self._request(method, params) for method, params in wanted]
        answers = await self._post(requests, headers)
        if type(answers) is not list:
            # A gateway that takes no batches says so once.
            return [_result(answers)]
        by_id = {one.get("id"): one for one in answers if type(one) is dict}
        return [_result(by_id.get(request["id"])) for request in requests]

    def _request(self, method: str, params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    async def _post(self, request: Any, headers: Headers) -> Any:
        body, content = bytearray(), dump_json(request)
        try:
            async with self._http.stream(
                "POST",
                self.url,
                content=content,
                headers={"content-type": "application/json", **headers},
            ) as answer:
                async for part in answer.aiter_bytes():
                    body += part
                    self._bytes += len(part)
                    if len(body) > MAX_ANSWER_BYTES or self._bytes > MAX_ANSWERS_BYTES:
                        raise GatewaySilent(f"{self.url} answers with too many bytes")
        except httpx.HTTPError as error:
            raise GatewaySilent(f"{self.url} does not answer: {error!r}") from None
        finally:
            self._bytes -= len(body)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            text = bytes(body[:100]).decode("utf-8", "replace")
            raise GatewaySilent(f"{self.url} answers {answer.status_code}: {text}") from None


def read_answer(read: Callable[[Any], T], untrusted: Any) -> T:
    """Read what a gateway answered; `GatewaySilent` where it is not what was asked for."""
    try:
        return read(untrusted)
    except BadParameter as error:
        raise GatewaySilent(f"the gateway's answer {error}") from None


def _result(untrusted: Any) -> Any:
    if type(untrusted) is dict:
        error = untrusted.get("error")
        if type(error) is dict:
            raise GatewayRefused(error)
        if "result" in untrusted:
            return untrusted["result"]
    raise GatewaySilent("the gateway's answer is no JSON-RPC")
