"""
The run-time measurement of an instance: events that extend its fourth register.

Source: dstack `cc-eventlog/src/runtime_events.rs` (version 1), Intel TDX module: an extension is
SHA-384(register ‖ digest).
"""

import hashlib
from dataclasses import dataclass

from services.worker.appd.errors import TooManyEvents

RUNTIME_EVENT = 0x0800_0001
RUNTIME_REGISTER = 3
REGISTER_BYTES = 48
MAX_EVENTS = 1024
MAX_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """What an app wants to be measured by."""

    name: str
    payload: bytes

    @property
    def digest(self) -> bytes:
        """48 bytes that extend the register."""
        head = RUNTIME_EVENT.to_bytes(4, "little") + b":" + self.name.encode() + b":"
        return hashlib.sha384(head + self.payload).digest()

    def show(self) -> dict[str, str | int]:
        """Give the form of event logs."""
        return {
            "imr": RUNTIME_REGISTER,
            "event_type": RUNTIME_EVENT,
            "digest": self.digest.hex(),
            "event": self.name,
            "event_payload": self.payload.hex(),
        }


class EventLog:
    """Events of an instance, and the register that they lead to. An event cannot be taken back."""

    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []
        self.register = bytes(REGISTER_BYTES)
        self._size_bytes = 0

    def extend(self, event: RuntimeEvent) -> None:
        """Add an event, or raise `TooManyEvents`."""
        size_bytes = len(event.name.encode()) + len(event.payload)
        if len(self.events) >= MAX_EVENTS or self._size_bytes + size_bytes > MAX_LOG_BYTES:
            raise TooManyEvents(f"at most {MAX_EVENTS} events of {MAX_LOG_BYTES} bytes together")
        self.events.append(event)
        self._size_bytes += size_bytes
        self.register = hashlib.sha384(self.register + event.digest).digest()
