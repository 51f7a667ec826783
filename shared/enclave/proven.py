"""Reading proven values of consensus state as records."""

from collections.abc import Mapping
from typing import TypeVar

from shared.enclave.errors import IncompleteProof
from shared.encoding.record import decode_record

R = TypeVar("R")


def read_required(kind: type[R], values: Mapping[bytes, bytes | None], key: bytes) -> R:
    """Read a proven value as a record, or raise `IncompleteProof`."""
    value = values.get(key)
    if value is None:
        raise IncompleteProof(f"the proof does not show {kind.__name__}")
    return decode_record(kind, value)
