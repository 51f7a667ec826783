"""
Keys of ROFL apps, all from one root that the key manager gives to an app.

Source: oasis-sdk `rofl-appd/src/services/kms.rs` @ 00da39c.
"""

import enum

from shared.crypto.hashes import extract256, kmac256

_PREFIX = b"oasis-runtime-sdk/rofl-appd: "
_KEY_DERIVATION_KEY = _PREFIX + b"derive key derivation key"
ROOT_KEY_ID = _PREFIX + b"root key v1"
"""Key id by which the root is asked of the chain."""
MOCK_ROOT_KEY = _PREFIX + b"mock root key"
"""Upstream's root of daemons without a chain: everybody has it."""


class KeyKind(enum.Enum):
    """What a key is for."""

    RAW_256 = "raw-256"
    RAW_384 = "raw-384"
    ED25519 = "ed25519"
    SECP256K1 = "secp256k1"


_NUMBERS = {
    KeyKind.RAW_256: 1,
    KeyKind.RAW_384: 2,
    KeyKind.ED25519: 3,
    KeyKind.SECP256K1: 4,
}


def derive_key(root: bytes, kind: KeyKind, key_id: str) -> bytes:
    """Derive 32 bytes, or 48 of `RAW_384`: an Ed25519 seed, a secp256k1 scalar, or plain bytes."""
    named = bytes([_NUMBERS[kind]]) + key_id.encode()
    derivation_key = extract256(named, root, _KEY_DERIVATION_KEY, 32)
    custom = _PREFIX + b"derive subkey " + kind.value.encode()
    return kmac256(derivation_key, named, custom, 48 if kind is KeyKind.RAW_384 else 32)
