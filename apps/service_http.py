"""HTTP to an app's instance, as its clients speak it: one connection, typed refusals."""

from typing import Self

import httpx

from shared.errors import Unavailable
from shared.kit.plain_http import trust_for

TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0
"""An instance reads and checks up to 32 MiB of rows in what others leave of a processor [s]."""
SHOWN_CHARACTERS = 500


class ServiceHttp:
    """A connection to one instance; what goes wrong is raised as the client's own error."""

    def __init__(self, url: str, away: type[Unavailable]) -> None:
        self.url, self._away = url, away
        self._http = httpx.Client(
            base_url=url, timeout=TIMEOUT_S, trust_env=False, verify=trust_for(url)
        )

    def __enter__(self) -> Self:
        """Use it as a context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Give the answer's body, or raise the error of this client with what is said."""
        try:
            timeout = TIMEOUT_S if body is None else UPLOAD_TIMEOUT_S
            answer = self._http.request(method, path, content=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._away(f"{self.url} does not answer: {error!r}") from error
        if answer.is_error:
            raise self._away(f"{self.url} refuses: {answer.text[:SHOWN_CHARACTERS]}")
        return answer.content
