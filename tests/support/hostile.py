"""Records as an attacker writes them: with values that the codec itself refuses to encode."""

from typing import Any

import cbor2

from shared.encoding.values import to_wire


def hostile_bytes(record: object, **changes: Any) -> bytes:
    """Canonical bytes of a record with some of its fields replaced; None removes one."""
    wire = to_wire(type(record), record) | changes
    return cbor2.dumps({k: v for k, v in wire.items() if v is not None}, canonical=True)
