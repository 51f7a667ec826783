"""What a method of a module knows about the call, and what it may do."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runtimes.python import errors
from runtimes.python.metering import Meter
from runtimes.python.overlay import Overlay
from shared.encoding import cbor
from shared.encoding.values import to_wire
from shared.types.identity import Epoch, Round

EVENT_GAS = 100
EVENT_BYTE_GAS = 15
RANDOM_GAS = 1_000
MAX_RANDOM_BYTES = 1024
MAX_EVENTS = 256
"""Of one transaction."""

Address = bytes
"""21 bytes, as the SDK has addresses."""


@dataclass(slots=True)
class Context:
    """One call of a transaction, or one query."""

    state: Overlay
    meter: Meter
    sender: Address | None
    """Who signed; None in a query."""
    round: Round
    """The round that the call is part of; a query runs as if it were in the next."""
    epoch: Epoch
    timestamp: int
    """Of the block before [s since the Unix epoch]: consensus says it, no clock."""
    tx_hash: bytes
    random_root: Callable[[], bytes]
    """The round's randomness, secret where the ParaTime is confidential; fetched on use."""
    is_query: bool = False
    module: str = ""
    """Whose method runs."""
    events: list[tuple[str, int, Any]] = field(default_factory=list)
    drawn: int = 0

    def emit(self, event: object) -> None:
        """Emit an event, a record that `@event` has given a code; events are public."""
        code = getattr(type(event), "event_code", None)
        if code is None:
            raise TypeError("only what @event declares can be emitted")
        self.emit_value(code, to_wire(type(event), event))

    def emit_value(self, code: int, value: Any) -> None:
        """Emit an event of this module by its code and wire value."""
        if self.state.is_read_only:
            raise errors.read_only()
        if len(self.events) >= MAX_EVENTS:
            raise errors.invalid_argument("too many events")
        self.meter.use(EVENT_GAS + EVENT_BYTE_GAS * len(cbor.encode(value)))
        self.events.append((self.module, code, value))

    def use_gas(self, gas: int) -> None:
        """Take gas for work that is dear, or end the transaction."""
        if gas < 0:
            raise errors.invalid_argument("gas is never given back")
        self.meter.use(gas)

    def random_bytes(self, length: int) -> bytes:
        """
        Draw bytes that all replicas draw alike and nobody foresees.

        Not in queries, whose asker could learn what the next round draws. Without confidentiality
        everybody can compute them.
        """
        if self.is_query or self.state.is_read_only:
            raise errors.invalid_argument("queries draw no random bytes")
        if not 0 <= length <= MAX_RANDOM_BYTES:
            raise errors.invalid_argument(f"at most {MAX_RANDOM_BYTES} random bytes")
        self.meter.use(RANDOM_GAS)
        self.drawn += 1
        label = b"qanat/python: random" + self.tx_hash + self.drawn.to_bytes(8, "big")
        seed = hmac.digest(self.random_root(), label, "sha512_256")
        blocks = range((length + 31) // 32)
        return b"".join(hmac.digest(seed, bytes([i]), "sha512_256") for i in blocks)[:length]

    def require_sender(self) -> Address:
        """Give the sender, or refuse: a query has none."""
        if self.sender is None:
            raise errors.not_authenticated()
        return self.sender
