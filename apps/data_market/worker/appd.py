"""Keys of the app, from the daemon that stands beside it: ROFL's `/rofl/v1/keys/generate`."""

from pathlib import Path
from typing import Self

import httpx

from apps.data_market.errors import AppdAway

TIMEOUT_S = 30.0
KEY_BYTES = 32


class Appd:
    """The app daemon on its socket."""

    def __init__(self, socket: Path) -> None:
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://localhost",
            timeout=TIMEOUT_S,
        )

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def derive(self, key_id: str, kind: str = "raw-256") -> bytes:
        """Derive 32 bytes that every replica of the app gets alike. Raises `AppdAway`."""
        try:
            answer = self._http.post(
                "/rofl/v1/keys/generate", json={"key_id": key_id, "kind": kind}
            )
            key = bytes.fromhex(answer.raise_for_status().json()["key"])
        except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
            raise AppdAway(f"the app daemon gives no key: {error!r}") from error
        if len(key) != KEY_BYTES:
            raise AppdAway(f"the app daemon gives a key of {len(key)} bytes")
        return key
