"""Who may use dev controls over JSON-RPC: local tools, and who knows the token; no web page."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from services.gateway.rpc.methods import Method
from shared.errors import Rejected
from shared.kit.dev_controls import verify_dev_token, verify_local_request

DEV_NAMESPACES = (
    "evm_",
    "hardhat_",
    "anvil_",
    "qanat_",
    "eth_sendTransaction",
    "eth_sendUnsigned",
    "eth_sign",
)
"""How the names of dev controls begin; `eth_sign` stands for all that sign."""
MAX_KNOWN = 256
"""Pairs of `Host` and `Origin` whose verdict is remembered."""


class DevControlRefused(Rejected, module="rpc", code=12):
    """The request is none of a local tool, and does not carry the network's token."""


class Callers:
    """Tells requests that may use dev controls from others, by who sends them and their headers."""

    def __init__(self, token: str | None, *, only_loopback: bool = True) -> None:
        """
        Say who is local.

        Parameters
        ----------
        token : `str`, optional
            Of the network; without one only local tools may.
        only_loopback : `bool`
            Whether local tools come by loopback. Not in a container, whose port is forwarded from
            loopback.
        """
        self._token, self._only_loopback = token, only_loopback
        self._known: dict[tuple[bytes, bytes], bool] = {}
        """Verdicts by (host, origin), so that most requests cost one look."""

    def may_control(self, headers: Mapping[bytes, bytes], peer: tuple[str, int] | None) -> bool:
        """Say whether a request may use dev controls; `peer` is its (address, port), if known."""
        if self._only_loopback and peer is not None and not _is_loopback(peer[0]):
            return self._has_token(headers.get(b"authorization"))
        host, origin = headers.get(b"host", b""), headers.get(b"origin", b"")
        verdict = self._known.get((host, origin))
        if verdict is None:
            verdict = _is_local(host, origin)
            if len(self._known) < MAX_KNOWN:
                self._known[host, origin] = verdict
        return verdict or self._has_token(headers.get(b"authorization"))

    def _has_token(self, authorization: bytes | None) -> bool:
        if authorization is None:
            return False
        try:
            verify_dev_token(authorization.decode("latin-1"), self._token)
        except Rejected:
            return False
        return True


def without_controls(table: Mapping[str, Method]) -> dict[str, Method]:
    """Give the methods as others see them: dev controls refuse."""
    return {
        name: replace(method, answer=_refuse) if name.startswith(DEV_NAMESPACES) else method
        for name, method in table.items()
    }


async def _refuse(*_: object) -> None:
    raise DevControlRefused(
        "dev controls answer local tools, and who sends the token in `dev-token` of the network's "
        "data directory as `Authorization: Bearer`; no pages of other origins"
    )


@lru_cache(MAX_KNOWN)
def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def _is_local(host: bytes, origin: bytes) -> bool:
    try:
        verify_local_request(host.decode("latin-1"), origin.decode("latin-1") if origin else None)
    except Rejected:
        return False
    return True
