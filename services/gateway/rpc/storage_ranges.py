"""`debug_storageRangeAt`: what is asked of a contract's storage, in go-ethereum's words. Pure."""

from typing import Any

from services.gateway.rpc.parameters import HASH_BYTES, BadParameter, count, data, hash32
from services.gateway.rpc.shapes import show_bytes

MAX_LIMIT = 2**32 - 1


def transaction_place(value: Any) -> int | bytes:
    """Transaction of a block, by its index, or by its hash, as Remix names it."""
    if type(value) is str and len(value) == 2 + 2 * HASH_BYTES:
        return hash32(value)
    return count(value)


def first_key(value: Any) -> bytes:
    """Hash of a slot from which on storage is shown, or what it begins with: up to 32 bytes."""
    raw = data(value)
    if len(raw) > HASH_BYTES:
        raise BadParameter(f"hex string has length {2 * len(raw)}, want at most {2 * HASH_BYTES}")
    return raw.ljust(HASH_BYTES, b"\0")


def storage_style(account: bytes, start: bytes, limit: int) -> dict[str, Any]:
    """Give the form in which an enclave shows a part of a storage: `evm_core::tracing::Style`."""
    return {
        "storage": {
            "address": show_bytes(account),
            "start": show_bytes(start),
            "limit": min(limit, MAX_LIMIT),
        }
    }


def out_of_range(place: int | bytes, block: str) -> str:
    """Say that a block has no such transaction."""
    shown = f"index {place}" if isinstance(place, int) else show_bytes(place)
    return f"transaction {shown} out of range for block {block}"
