"""
What an app asks of the daemon beside it; nothing else of its surroundings is used.

Source: ROFL's `/rofl/v1/*` and dstack's `/GetQuote`, `/EmitEvent`, of `services/worker/appd`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from apps.errors import AppdAway
from apps.inference.documents.canonical import Document, object_of, read_document
from apps.inference.documents.evidence import MockEvidence, read_evidence
from apps.inference.errors import MalformedDocument

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 4 << 20
KEY_BYTES = 32
T = TypeVar("T")


class Appd:
    """The app daemon on its socket, of both dialects."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)),
            base_url="http://localhost",
            timeout=TIMEOUT_S,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def app_id(self) -> str:
        """Give `rofl1…`. Raises `AppdAway`."""
        return (await self._ask("GET", "/rofl/v1/app/id")).decode()

    async def derive(self, key_id: str, kind: str) -> bytes:
        """Derive 32 bytes that every replica of the app gets alike. Raises `AppdAway`."""
        answer = await self._json("/rofl/v1/keys/generate", {"key_id": key_id, "kind": kind})
        try:
            key = bytes.fromhex(str(answer.get("key")))
        except ValueError as error:
            raise AppdAway("the app daemon gives no key") from error
        if len(key) != KEY_BYTES:
            raise AppdAway(f"the app daemon gives a key of {len(key)} bytes")
        return key

    async def emit(self, name: str, payload: bytes) -> None:
        """Measure an event; all later quotes show it. Raises `AppdAway`."""
        await self._ask("POST", "/EmitEvent", {"event": name, "payload": payload.hex()})

    async def quote(self, report_data: bytes) -> MockEvidence:
        """Quote this instance with up to 64 bytes of its own. Raises `AppdAway`."""
        quoted = await self._json("/GetQuote", {"report_data": report_data.hex()})
        platform = await self._json("/GetCollateral", {})
        try:
            log = read_document(b'{"log":' + str(quoted.get("event_log")).encode() + b"}")
            return read_evidence(
                {
                    "quote": quoted.get("quote"),
                    "event_log": log["log"],
                    "collateral": object_of(platform, "collateral"),
                    "root_ca": platform.get("root_ca"),
                }
            )
        except MalformedDocument as error:
            raise AppdAway(f"the app daemon gives no evidence: {error.message}") from error

    async def _json(self, path: str, body: dict[str, Any]) -> Document:
        try:
            return read_document(await self._ask("POST", path, body), MAX_ANSWER_BYTES)
        except MalformedDocument as error:
            raise AppdAway(f"the app daemon answers no JSON to {path}") from error

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        try:
            answer = await self._http.request(method, path, json=body)
            return answer.raise_for_status().content
        except httpx.HTTPError as error:
            raise AppdAway(f"the app daemon does not answer {path}: {error!r}") from error


class BlockingAppd:
    """The daemon for code that has no event loop; a connection a question."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def derive(self, key_id: str, kind: str = "raw-256") -> bytes:
        """As `Appd.derive`."""
        return self._run(lambda appd: appd.derive(key_id, kind))

    def quote(self, report_data: bytes) -> MockEvidence:
        """As `Appd.quote`."""
        return self._run(lambda appd: appd.quote(report_data))

    def _run(self, ask: Callable[[Appd], Awaitable[T]]) -> T:
        async def run() -> T:
            appd = Appd(self._socket)
            try:
                return await ask(appd)
            finally:
                await appd.close()

        return asyncio.run(run())
