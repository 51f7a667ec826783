"""A service on a real port, reached as a program reaches it: by frames, or by `POST`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.errors import error_from
from shared.kit.dialing import ANONYMOUS, Credentials
from shared.kit.front import Door
from shared.kit.link import Link
from shared.kit.node_app import NodeApp
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.kit.wire_json import load_json, to_json

DEV_TOKEN = "token of tests"
SERVER = Signer(b"server".ljust(32))
CLIENT = Signer(b"client".ljust(32))


async def healthy() -> tuple[bool, dict[str, Any]]:
    return True, {"service": "tests"}


@asynccontextmanager
async def serving(
    service: Service, name: str = "tests", **options: Any
) -> AsyncIterator[NodeServer]:
    """A node's port, with everything that hosts have on it."""
    door = Door(service, signer=SERVER, dev_token=DEV_TOKEN)
    app = NodeApp(
        name, service, options.pop("health", healthy), dev_token=DEV_TOKEN, signer=SERVER, **options
    )
    server = NodeServer(door, "127.0.0.1", 0, app)
    await server.start()
    yield server
    await server.close()


@asynccontextmanager
async def linked(
    server: NodeServer, credentials: Credentials = ANONYMOUS, expected: Signer | None = None
) -> AsyncIterator[Link]:
    keys = None if expected is None else frozenset((expected.public_key,))
    link = Link("a node", f"127.0.0.1:{server.port}", credentials=credentials, expected=keys)
    yield link
    link.close()


class PostTransport:
    """A `Transport` of contracts by `POST /v1/<service>/<method>`, in JSON or CBOR."""

    def __init__(self, client: httpx.AsyncClient, service: str, *, is_binary: bool) -> None:
        self._client, self._service, self._is_binary = client, service, is_binary

    def _request(self, method: str, body: bytes, *, is_binary: bool) -> httpx.Request:
        content = body if is_binary else json.dumps(to_json(cbor.decode_loosely(body)))
        kind = "application/cbor" if is_binary else "application/json"
        return self._client.build_request(
            "POST",
            f"/v1/{self._service}/{method}",
            content=content,
            headers={"Content-Type": kind},
        )

    async def call(self, method: str, body: bytes) -> bytes:
        response = await self._client.send(self._request(method, body, is_binary=self._is_binary))
        if response.status_code != 200:
            raise _error(response.json())
        is_binary = response.headers["content-type"] == "application/cbor"
        raw = response.content
        return raw if is_binary else cbor.encode_loosely(load_json(raw))

    async def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        request = self._request(method, body, is_binary=False)
        response = await self._client.send(request, stream=True)
        try:
            async for line in response.aiter_lines():
                item = load_json(line.encode())
                if isinstance(item, dict) and "error" in item:
                    raise _error(item)
                yield cbor.encode_loosely(item)
        finally:
            await response.aclose()


def _error(body: dict[str, Any]) -> Exception:
    error = body["error"]
    return error_from(error["module"], error["code"], error["message"])


@asynccontextmanager
async def posting(
    server: NodeServer, service: str = "tests", *, is_binary: bool = False, token: str = DEV_TOKEN
) -> AsyncIterator[PostTransport]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield PostTransport(client, service, is_binary=is_binary)
