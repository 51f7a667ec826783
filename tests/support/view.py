"""`qanat view` over a gateway, in one event loop; what goes to the gateway is kept for a look."""

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from qanat.view.answers import Answers
from qanat.view.chain import find_chain
from qanat.view.endpoint import ViewEndpoint
from qanat.view.gateway import Gateway
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from tests.support.gateway import FIRST_KEY, RunningGateway
from tests.support.networks import SECOND_KEY


class Wiretap(httpx.AsyncBaseTransport):
    """Hears every request on the way to the gateway."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.heard: list[bytes] = []
        self.headers: list[httpx.Headers] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(await request.aread())
        self.headers.append(request.headers)
        return await self._transport.handle_async_request(request)

    def has_heard(self, raw: bytes) -> bool:
        return any(raw.hex().encode() in one.lower() for one in self.heard)


@dataclass
class RunningView:
    """The endpoint, and a client that needs no socket."""

    answers: Answers
    client: httpx.AsyncClient
    wire: Wiretap
    app: ViewEndpoint
    lines: list[str]
    ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    async def ask(self, method: str, *params: Any, **headers: str) -> dict[str, Any]:
        id_ = next(self.ids)
        body = {"jsonrpc": "2.0", "id": id_, "method": method, "params": list(params)}
        answer = (await self.client.post("/", json=body, headers=headers)).json()
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", id_)
        return answer

    async def rpc(self, method: str, *params: Any) -> Any:
        """Give the result; an error fails the test."""
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: Any) -> dict[str, Any]:
        """Give the error; a result fails the test."""
        answer = await self.ask(method, *params)
        assert "result" not in answer, answer
        return answer["error"]


@asynccontextmanager
async def running_view(
    gateway: RunningGateway,
    *,
    keys=(FIRST_KEY, SECOND_KEY),
    passes_foreign=False,
    origins=(),
    gateway_ws="",
    profile=None,
    debug_key=None,
):
    wire, lines = Wiretap(httpx.ASGITransport(gateway.app)), []
    async with Gateway("http://localhost:8545", transport=wire) as upstream:
        answers = Answers(
            upstream,
            await find_chain(upstream),
            Keyring(bytes.fromhex(key[2:]) for key in keys),
            LeakLog(lines.append),
            passes_foreign=passes_foreign,
            debug_key=debug_key,
        )
        app = ViewEndpoint(answers, gateway_ws, origins, profile)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:8547"
        ) as client:
            yield RunningView(answers, client, wire, app, lines)
