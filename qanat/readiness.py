"""Waits until a network is truly ready, and says what it waits for."""

import http.client
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from shared.errors import Unavailable

POLL_S = 0.02


class NotReady(Unavailable, module="launcher", code=3):
    """The network did not become ready in time."""


def fetch_gateway_status(http_port: int, host: str = "127.0.0.1") -> dict[str, Any] | None:
    """Give the gateway's own account of the network, or None while it does not listen."""
    # The standard library's client: importing a larger one would cost a tenth of a start.
    connection = http.client.HTTPConnection(host, http_port, timeout=5)
    try:
        connection.request("GET", "/status")
        status: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return status


def fetch_network_status(http_ports: dict[str, int]) -> dict[str, dict[str, Any] | None]:
    """Give what each gateway, by name, says of its ParaTime."""
    return {name: fetch_gateway_status(port) for name, port in http_ports.items()}


def wait_until_ready(
    http_ports: Sequence[int],
    *,
    timeout_s: float,
    on_progress: Callable[[str], None],
    is_alive: Callable[[], bool],
) -> None:
    """
    Wait for each gateway to say that a call went through every compute node of its ParaTime.

    Raises
    ------
    NotReady
        The launcher died, or the time is up; the message says what was missing.
    """
    deadline = time.monotonic() + timeout_s
    waiting_for = "the gateway"
    unready = list(http_ports)
    while time.monotonic() < deadline:
        if not is_alive():
            raise NotReady("the launcher stopped; its log says why")
        status = fetch_gateway_status(unready[0])
        if status is not None:
            if status["ready"]:
                del unready[0]
                if not unready:
                    return
                continue
            waiting_for = str(status.get("waiting_for") or "the gateway")
        on_progress(waiting_for)
        time.sleep(POLL_S)
    raise NotReady(f"not ready after {timeout_s:g} s: still waiting for {waiting_for}")
