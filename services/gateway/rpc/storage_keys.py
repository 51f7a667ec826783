"""Storage keys as clients write them and as proofs repeat them. Pure."""

from typing import Any

from services.gateway.rpc.errors import INVALID_PARAMETERS_CODE, EthereumRejected
from services.gateway.rpc.parameters import HASH_BYTES, BadParameter
from services.gateway.rpc.shapes import show_bytes
from shared.types.evm import MAX_PROVEN_SLOTS

MAX_SLOTS = MAX_PROVEN_SLOTS
"""Slots of one question."""


def slot_list(value: Any) -> list[str]:
    """Storage keys as the client wrote them."""
    if type(value) is not list or not all(type(one) is str for one in value):
        raise BadParameter("must be a list of storage keys")
    if len(value) > MAX_SLOTS:
        raise BadParameter(f"too many slots (max {MAX_SLOTS})")
    return value


def read_slot(text: str) -> bytes:
    """
    Read a storage key.

    Source: go-ethereum internal/ethapi/api.go (`decodeStorageKey`).
    """
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if len(digits) > 2 * HASH_BYTES:
        why = f'storage key too long (want at most 32 bytes): "{text}"'
        raise EthereumRejected(why, INVALID_PARAMETERS_CODE)
    try:
        return bytes.fromhex(digits.rjust(2 * HASH_BYTES, "0"))
    except ValueError:
        why = f'invalid hex in storage key: "{text}"'
        raise EthereumRejected(why, INVALID_PARAMETERS_CODE) from None


def show_slot(text: str) -> str:
    """A slot as a proof repeats it: short ones as numbers, as go-ethereum does."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    whole = len(digits) == 2 * HASH_BYTES
    return show_bytes(read_slot(text)) if whole else hex(int.from_bytes(read_slot(text), "big"))
