"""Records every packet that crosses this machine's interfaces while it runs. Needs root."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

ETH_P_ALL = 3
PACKET_BYTES = 65_600
"""Loopback's largest packet and a little more [bytes]."""
SO_RCVBUFFORCE = 33
"""Source: Linux include/uapi/asm-generic/socket.h. A plain `SO_RCVBUF` ends at `rmem_max`."""
WAITING_BYTES = 1 << 25
"""Packets that may wait while this machine does other things; more are lost."""
LAST_S = 5.0
"""How long what waits at the end is taken up [s]."""


class Eavesdropper:
    """Holds what was heard."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._stop = threading.Event()

    def listen(self, sock: socket.socket) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                self._heard += sock.recv(PACKET_BYTES)
        sock.settimeout(0)
        last_s = time.monotonic() + LAST_S
        with contextlib.suppress(BlockingIOError):
            while time.monotonic() < last_s:
                self._heard += sock.recv(PACKET_BYTES)

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
    """Record packets of all interfaces for the duration of the block; after it, all are heard."""
    ear = Eavesdropper()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING_BYTES)
        with contextlib.suppress(PermissionError):  # without CAP_NET_ADMIN
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WAITING_BYTES)
        sock.settimeout(0.1)
        thread = threading.Thread(target=ear.listen, args=(sock,))
        thread.start()
        try:
            yield ear
        finally:
            ear.stop()
            thread.join()
