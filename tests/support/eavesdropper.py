"""Records every packet that crosses this machine's interfaces while it runs. Needs root."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

ETH_P_ALL = 3
PACKET_BYTES = 65_600
"""Loopback's largest packet and a little more [bytes]."""


class Eavesdropper:
    """Holds what was heard."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._stop = threading.Event()

    def listen(self, sock: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                self._heard += sock.recv(PACKET_BYTES)
            except TimeoutError:
                continue

    def stop(self) -> None:
        self._stop.set()

    def heard(self) -> bytes:
        return bytes(self._heard)


def missing_eavesdropper() -> str | None:
    """Why packets cannot be recorded here, or None."""
    if os.geteuid() != 0:
        return "recording packets needs root"
    return None


@contextlib.contextmanager
def eavesdrop() -> Iterator[Eavesdropper]:
    """Record packets of all interfaces for the duration of the block."""
    ear = Eavesdropper()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 25)
        sock.settimeout(0.1)
        thread = threading.Thread(target=ear.listen, args=(sock,))
        thread.start()
        try:
            yield ear
        finally:
            ear.stop()
            thread.join()
