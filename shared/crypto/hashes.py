"""The hash functions of the network. `sha512_256` is the default; the others are named by use."""

import hashlib

from Crypto.Hash import KMAC256, SHA3_256, TupleHash256, cSHAKE256, keccak

HASH_BYTES = 32
EMPTY_HASH = hashlib.new("sha512_256", b"").digest()


def sha512_256(message: bytes) -> bytes:
    """SHA-512/256 with its own initial value (not a cut SHA-512). Source: FIPS 180-4."""
    return hashlib.new("sha512_256", message).digest()


def sha256(message: bytes) -> bytes:
    """SHA-256, as CometBFT hashes."""
    return hashlib.sha256(message).digest()


def sha3_256(message: bytes) -> bytes:
    """SHA3-256, used for the key ids of sealing."""
    return SHA3_256.new(message).digest()


def keccak256(message: bytes) -> bytes:
    """Keccak-256, as Ethereum hashes."""
    return keccak.new(data=message, digest_bits=256).digest()


def tuple_hash256(custom: bytes, *items: bytes, length: int = 32) -> bytes:
    """Hash a tuple of byte strings without ambiguity. Source: NIST SP 800-185, TupleHash256."""
    state = TupleHash256.new(custom=custom, digest_bytes=length)  # type: ignore[arg-type]
    for item in items:
        state.update(item)
    return state.digest()


def kmac256(key: bytes, message: bytes, custom: bytes, length: int = 32) -> bytes:
    """
    Keyed hash and key derivation. Source: NIST SP 800-185, KMAC256.

    The key has at least 32 bytes: the library refuses shorter ones.
    """
    return KMAC256.new(key=key, data=message, custom=custom, mac_len=length).digest()


def cshake256(message: bytes, custom: bytes, length: int) -> bytes:
    """Give `length` bytes of output for a message. Source: NIST SP 800-185, cSHAKE256."""
    return cSHAKE256.new(data=message, custom=custom).read(length)
