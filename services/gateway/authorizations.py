"""
Authorizations of transactions of type 4: an account takes on a contract's code. Pure.

Source: EIP-7702.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.index.record import AuthorizationRecord, number
from shared.encoding.quantity import encode_quantity

SET_CODE = 4
"""Type of a transaction that has them."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an account signed."""

    chain_id: int
    """0 is any chain."""
    address: bytes
    """Whose code it takes on; zeros give it up."""
    nonce: int
    """Of the account, when it is used."""
    parity: int
    r: int
    s: int


def of_record(record: AuthorizationRecord) -> Authorization:
    """Read what a result record keeps."""
    chain_id, address, nonce, parity, r, s = record
    return Authorization(number(chain_id), address, nonce, parity, number(r), number(s))


def show_authorizations(authorizations: Sequence[Authorization]) -> list[dict[str, Any]]:
    """Give the list as RPC shows and takes it."""
    return [
        {
            "chainId": hex(one.chain_id),
            "address": "0x" + one.address.hex(),
            "nonce": hex(one.nonce),
            "yParity": hex(one.parity),
            "r": hex(one.r),
            "s": hex(one.s),
        }
        for one in authorizations
    ]


def encode_authorizations(authorizations: Sequence[Authorization]) -> list[list[bytes]]:
    """Give the list as a transaction has it."""
    return [
        [
            encode_quantity(one.chain_id),
            one.address,
            encode_quantity(one.nonce),
            encode_quantity(one.parity),
            encode_quantity(one.r),
            encode_quantity(one.s),
        ]
        for one in authorizations
    ]
