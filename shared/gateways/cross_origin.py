"""Which web pages may use the gateway (CORS). Pure."""

from collections.abc import Mapping

MAX_AGE_S = b"600"
"""How long a browser may keep a preflight [s]. Source: go-ethereum node/rpcstack.go."""
Headers = list[tuple[bytes, bytes]]


class CrossOrigin:
    """The rule for a list of origins; `*` is any."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._any = "*" in allowed
        self._allowed = frozenset(origin.lower().encode() for origin in allowed)

    def is_allowed(self, origin: bytes | None) -> bool:
        """Say whether a page may read answers; clients that are no browsers send no origin."""
        return origin is None or self._any or origin.lower() in self._allowed

    def answer_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Headers that let the page read the answer; none where it may not."""
        origin = headers.get(b"origin")
        if origin is None:
            return []
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        vary = (b"vary", b"Origin")
        if not self.is_allowed(origin):
            return [vary]
        return [(b"access-control-allow-origin", origin), vary]

    def preflight_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """
        Headers that let the page send a JSON request.

        A page of the wide world that asks something of this machine is let in where its origin is:
        Chromium asks whether by a header of its own (Private Network Access).
        """
        if not headers.get(b"origin") or not self.is_allowed(headers[b"origin"]):
            return []
        wanted = headers.get(b"access-control-request-headers", b"content-type")
        is_from_outside = headers.get(b"access-control-request-private-network") == b"true"
        inwards = [(b"access-control-allow-private-network", b"true")] if is_from_outside else []
        return [
            *inwards,
            (b"access-control-allow-methods", b"POST, GET"),
            (b"access-control-allow-headers", wanted),
            (b"access-control-max-age", MAX_AGE_S),
        ]
