"""
Addresses of the staking ledger.

21 bytes: a version and the first 20 bytes of SHA-512/256(context ‖ version ‖ data), shown in
bech32. Source: oasis-core go/common/crypto/address @ f9f1fdc.
"""

import bech32

from shared.crypto.hashes import sha512_256
from shared.errors import Rejected

ADDRESS_BYTES = 21
HUMAN_READABLE_PART = "oasis"

STAKING = b"oasis-core/address: staking"
RUNTIME = b"oasis-core/address: runtime"
MODULE = b"oasis-core/address: module"
ETHEREUM = b"oasis-runtime-sdk/address: secp256k1eth"
SR25519 = b"oasis-runtime-sdk/address: sr25519"


class MalformedAddress(Rejected, module="crypto", code=2):
    """The text is not an address of this network."""


def address_of(context: bytes, data: bytes, version: int = 0) -> bytes:
    """Derive the 21-byte address of a key, runtime, module or Ethereum account."""
    prefix = bytes([version])
    return prefix + sha512_256(context + prefix + data)[:20]


def staking_address(public_key: bytes) -> bytes:
    """Address of the account that an Ed25519 key controls."""
    return address_of(STAKING, public_key)


def runtime_address(runtime_id: bytes) -> bytes:
    """Address of a ParaTime's account in the consensus ledger."""
    return address_of(RUNTIME, runtime_id)


def ethereum_address(account: bytes) -> bytes:
    """Address by which the runtime knows a 20-byte Ethereum account."""
    return address_of(ETHEREUM, account)


def sr25519_address(public_key: bytes) -> bytes:
    """Address of the account of an Sr25519 key, which only runtimes know."""
    return address_of(SR25519, public_key)


def encode_address(address: bytes) -> str:
    """Bech32 text, `oasis1…`."""
    return to_bech32(HUMAN_READABLE_PART, address)


def decode_address(text: str) -> bytes:
    """Read bech32 text, or raise `MalformedAddress`."""
    return from_bech32(HUMAN_READABLE_PART, text)


def to_bech32(part: str, data: bytes) -> str:
    """Write bytes as `part1…`."""
    return str(bech32.bech32_encode(part, bech32.convertbits(data, 8, 5) or []))


def from_bech32(part: str, text: str) -> bytes:
    """Read 21 bytes from `part1…`, or raise `MalformedAddress`."""
    found, words = bech32.bech32_decode(text)
    data = None if words is None else bech32.convertbits(words, 5, 8, pad=False)
    if found != part or data is None or len(data) != ADDRESS_BYTES:
        raise MalformedAddress(f"{text!r} is not an {part}1… address")
    return bytes(data)
