"""Listening: on IPv4 and IPv6 where the machine has both, and plain words where a port is taken."""

import errno
import socket

from shared.errors import Rejected

BACKLOG = 1024
FAMILIES = {
    "127.0.0.1": ("127.0.0.1", "::1"),
    "localhost": ("127.0.0.1", "::1"),
    "0.0.0.0": ("0.0.0.0", "::"),
}
"""Hosts that stand for an address of each family: `localhost` names both, so both must answer."""
NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
PORT_TRIES = 16


class PortTaken(Rejected, module="settings", code=3):
    """Another process listens on the port."""


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """
    Listen on a port, on every address that the host stands for.

    Parameters
    ----------
    host : `str`
        An address or name; the loopback and "every address" mean both families.
    port : `int`
        0 chooses one that is free on all of them.

    Raises
    ------
    PortTaken
        Another process has the port.
    """
    for _ in range(PORT_TRIES - 1 if port == 0 else 0):
        try:
            return _open_all(host, port)
        except PortTaken:
            # The port that IPv4 chose is taken on IPv6.
            continue
    return _open_all(host, port)


def _open_all(host: str, port: int) -> list[socket.socket]:
    first, *others = FAMILIES.get(host, (host,))
    sockets = [_open(first, port)]
    chosen = sockets[0].getsockname()[1]
    try:
        for other in others:
            try:
                sockets.append(_open(other, chosen))
            except OSError as error:
                if error.errno not in NO_IPV6:
                    raise
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


def _open(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {host} is taken by another process") from error
        raise
    # Accepted connections inherit this. asyncio sets it only on sockets that name their
    # protocol; without it an answer in two writes waits 40 ms for the client's delayed ACK.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened
