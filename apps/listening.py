"""Where an app serves: on the address and the ports that its worker has for it."""

import os
import socket

from shared.kit.sockets import PortTaken, open_sockets

HOST, PORTS = "APP_HOST", "APP_PORTS"
"""Variables of a worker: an address, and the ports that a container publishes, as `8700-8715`."""
LOOPBACK = "127.0.0.1"


def listen(port: int, before: int = 0) -> list[socket.socket]:
    """
    Listen where the worker says, or on the loopback.

    Parameters
    ----------
    port : `int`
        0 takes a free one: of those that the worker publishes, where it publishes any.
    before : `int`
        Taken again in place of a free one, where it can be: the port of an earlier start.

    Raises
    ------
    PortTaken
        Another process has the port, or all that are published.
    """
    host = os.environ.get(HOST, LOOPBACK)
    if port:
        return open_sockets(host, port)
    published = _published()
    if before and (before in published or not published):
        try:
            return open_sockets(host, before)
        except PortTaken:
            pass
    for one in published:
        try:
            return open_sockets(host, one)
        except PortTaken:
            continue
    if published:
        raise PortTaken(f"other apps have all of {published[0]} to {published[-1]}")
    return open_sockets(host, 0)


def _published() -> range:
    first, _, last = os.environ.get(PORTS, "").partition("-")
    return range(int(first), int(last) + 1) if first else range(0)
