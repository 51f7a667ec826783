"""Says which requests would have shown their calldata to everybody on the way."""

import time
from collections.abc import Callable

Print = Callable[[str], None]

SELECTOR_BYTES = 4


class LeakLog:
    """One line a request; silent without a printer."""

    def __init__(self, write: Print | None = None) -> None:
        self._write = write

    def note(self, method: str, to: bytes | None, calldata: bytes, what: str) -> None:
        """Tell of a request that came in plain, and what was done with it."""
        if self._write is None:
            return
        target = "a new contract" if to is None else f"0x{to.hex()}"
        selector = "" if to is None else f" 0x{calldata[:SELECTOR_BYTES].hex()}"
        now = time.strftime("%H:%M:%S")
        self._write(f"{now} {method} to {target}{selector}, {len(calldata)} bytes: {what}")
