"""Asks nodes over HTTP: every method of their contracts is a `POST` (`docs/http.md`)."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx

from qanat.network import NodePlan
from shared.errors import PeerUnavailable, error_from
from shared.kit.dev_controls import bearer
from shared.kit.plain_http import NOBODY

TIMEOUT_S = 60.0
"""How long an answer may take [s]: a dev control may wait for the whole network."""
CBOR = "application/cbor"


class NodeClient:
    """A `Transport` of contracts to one node, or to one ParaTime of it."""

    def __init__(
        self, plan: NodePlan, *, runtime_id: str = "", dev_token: str | None = None
    ) -> None:
        self._plan = plan
        self._client = httpx.AsyncClient(
            base_url=f"http://{plan.address}/v1/{plan.service}",
            params={"runtime": runtime_id} if runtime_id else {},
            headers={"Content-Type": CBOR} | bearer(dev_token),
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=NOBODY,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def call(self, method: str, body: bytes) -> bytes:
        """Send a request; return the body of its response or raise its error."""
        try:
            response = await self._client.post(f"/{method}", content=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise PeerUnavailable(
                f"{self._plan.name} does not answer at {self._plan.address}: {reason}"
            ) from error
        if response.status_code == httpx.codes.OK:
            return response.content
        try:
            told = response.json()["error"]
            raise error_from(
                str(told["module"]),
                int(told["code"]),
                str(told["message"]),
                may_retry=response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PeerUnavailable(
                f"{self._plan.name} answers {response.status_code}, which is no node of this kind"
            ) from error

    def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        """Streams are for frames."""
        raise NotImplementedError
