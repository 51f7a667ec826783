"""
What an app asks of the daemon beside it; nothing else of its surroundings is used.

Source: ROFL's `/rofl/v1/*` and dstack's `/GetQuote`, `/EmitEvent`, of `services/worker/appd`.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from apps.errors import AppdAway, CallRefused
from apps.inference.documents.canonical import Document, object_of, read_document
from apps.inference.documents.evidence import MockEvidence, read_evidence
from apps.inference.errors import MalformedDocument
from shared.encoding import cbor
from shared.errors import Rejected
from shared.kit.plain_http import NOBODY

TIMEOUT_S = 30.0
SUBMIT_TIMEOUT_S = 60.0
"""How long a transaction may take [s]; the daemon itself gives up after 45."""
REVERTED = "reverted: "
"""Before what a contract reverted with, in base64. Source: oasis-sdk `modules/evm`."""
MAX_ANSWER_BYTES = 4 << 20
KEY_BYTES = 32
T = TypeVar("T")


class Appd:
    """The app daemon on its socket, of both dialects."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), verify=NOBODY),
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

    async def submit(self, to: str, data: bytes, gas: int) -> bytes:
        """
        Send a contract a transaction as this instance, encrypted; gives what the contract returns.

        The app pays. Success is the ParaTime's own word, while a refusal may be that of the host,
        who carries it.

        Raises
        ------
        CallRefused
            The contract reverts, or the chain does not take the transaction.
        AppdAway
            The daemon does not answer, or the transaction is in no block in time.
        """
        sent = {"gas_limit": gas, "to": to, "value": 0, "data": "0x" + data.hex()}
        body = {"tx": {"kind": "eth", "data": sent}, "encrypt": True}
        answer = await self._json("/rofl/v1/tx/sign-submit", body, SUBMIT_TIMEOUT_S)
        return read_outcome(str(answer.get("data")))

    async def _json(
        self, path: str, body: dict[str, Any], timeout_s: float = TIMEOUT_S
    ) -> Document:
        try:
            return read_document(await self._ask("POST", path, body, timeout_s), MAX_ANSWER_BYTES)
        except MalformedDocument as error:
            raise AppdAway(f"the app daemon answers no JSON to {path}") from error

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> bytes:
        try:
            answer = await self._http.request(method, path, json=body, timeout=timeout_s)
            return answer.raise_for_status().content
        except httpx.HTTPError as error:
            raise AppdAway(f"the app daemon does not answer {path}: {error!r}") from error


def read_outcome(text: str) -> bytes:
    """Give what a call returned, of its result as hex of CBOR; raises as `Appd.submit`."""
    try:
        outcome = cbor.decode(bytes.fromhex(text))
    except (ValueError, Rejected) as error:
        raise AppdAway("the app daemon gives no result of a transaction") from error
    match outcome:
        case {"ok": bytes(returned)}:
            return returned
        case {"fail": {"message": str(message)}}:
            raise CallRefused(message[:200], _reverted(message))
        case _:
            raise AppdAway("the app daemon gives no result of a transaction")


def _reverted(message: str) -> bytes:
    """Give what a contract reverted with."""
    if not message.startswith(REVERTED):
        return b""
    try:
        return base64.b64decode(message.removeprefix(REVERTED), validate=True)
    except binascii.Error:
        return b""


class BlockingAppd:
    """The daemon for code that has no event loop; a connection a question."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def app_id(self) -> str:
        """As `Appd.app_id`."""
        return self._run(lambda appd: appd.app_id())

    def derive(self, key_id: str, kind: str = "raw-256") -> bytes:
        """As `Appd.derive`."""
        return self._run(lambda appd: appd.derive(key_id, kind))

    def quote(self, report_data: bytes) -> MockEvidence:
        """As `Appd.quote`."""
        return self._run(lambda appd: appd.quote(report_data))

    def submit(self, to: str, data: bytes, gas: int) -> bytes:
        """As `Appd.submit`."""
        return self._run(lambda appd: appd.submit(to, data, gas))

    def _run(self, ask: Callable[[Appd], Awaitable[T]]) -> T:
        async def run() -> T:
            appd = Appd(self._socket)
            try:
                return await ask(appd)
            finally:
                await appd.close()

        return asyncio.run(run())
