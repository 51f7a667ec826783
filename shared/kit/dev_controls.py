"""
Who may move time, rewind and break things: whoever reads the token, and no web page.

The token lies in the data directory with mode 0600. Beside it a request must come from no foreign
page: its `Origin` must be of this machine where it has one, and its `Host` must be an address or a
name of this machine, so that a page cannot rebind a name of its own to it.
"""

import hmac
import ipaddress
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import Rejected

TOKEN_FILE = "dev-token"  # noqa: S105 - the name of the file
SCHEME = "Bearer "


class DevTokenWrong(Rejected, module="dev", code=1):
    """The request does not carry the token of this network."""


class ForeignRequest(Rejected, module="dev", code=2):
    """The request comes from a web page of elsewhere, or names a host that is not this machine."""


def load_dev_token(data_dir: Path) -> str | None:
    """Read the token of a node's directory; None where the network has no dev controls."""
    try:
        return (data_dir / TOKEN_FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def names_of(address: str) -> frozenset[str]:
    """Give the names in `host:port`, by which other nodes call this machine."""
    host = address.rpartition(":")[0].lower()
    return frozenset({host} if host else ())


def bearer(token: str | None) -> dict[str, str]:
    """Headers that carry a token."""
    return {} if token is None else {"Authorization": SCHEME + token}


def verify_dev_token(authorization: str | None, token: str | None) -> None:
    """Verify the `Authorization` of a request, or raise `DevTokenWrong`."""
    if token is None:
        raise DevTokenWrong("this node has no token: its network was made without dev controls")
    given = (authorization or "").encode()
    if not hmac.compare_digest(given, (SCHEME + token).encode()):
        raise DevTokenWrong(
            f"dev controls need `Authorization: Bearer` with the token in {TOKEN_FILE}, in the "
            "network's data directory"
        )


def verify_local_request(host: str | None, origin: str | None, names: Collection[str] = ()) -> None:
    """
    Verify that no web page of elsewhere is behind a request.

    Parameters
    ----------
    host : `str`, optional
        Its `Host` header.
    origin : `str`, optional
        Its `Origin` header, which browsers send and tools do not.
    names : collection of `str`
        Names of this machine beside `localhost`, as other nodes call it.

    Raises
    ------
    ForeignRequest
        One of them is foreign.
    """
    name = _host_of(f"//{host or ''}")
    if not (name == "localhost" or name in names or _address(name) is not None):
        raise ForeignRequest(f"Host {host!r} is no name of this machine")
    if origin is not None and not _is_local(_host_of(origin)):
        raise ForeignRequest(f"pages of {origin!r} may not control this network")


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
