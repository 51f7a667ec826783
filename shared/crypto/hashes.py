"""The hash functions of the network. `sha512_256` is the default; the others are named by use."""

import hashlib

import evm_native

from shared.encoding.quantity import encode_quantity

HASH_BYTES = 32
MIN_KEY_BYTES = 32
CSHAKE256_RATE_BYTES = 136
NATIVE_UP_TO_BYTES = 1024
"""Messages up to here are hashed natively; OpenSSL is faster beyond, and slow to begin."""
EMPTY_HASH = hashlib.new("sha512_256", b"").digest()


def sha512_256(message: bytes) -> bytes:
    """SHA-512/256 with its own initial value (not a cut SHA-512). Source: FIPS 180-4."""
    if len(message) <= NATIVE_UP_TO_BYTES:
        return evm_native.sha512_256(message)
    return hashlib.new("sha512_256", message).digest()


def sha256(message: bytes) -> bytes:
    """SHA-256, as CometBFT hashes."""
    return hashlib.sha256(message).digest()


def sha3_256(message: bytes) -> bytes:
    """SHA3-256, used for the key ids of sealing."""
    return hashlib.sha3_256(message).digest()


def keccak256(message: bytes) -> bytes:
    """Keccak-256, as Ethereum hashes."""
    return evm_native.keccak256(message)


def cshake256(message: bytes, custom: bytes, length: int) -> bytes:
    """Give `length` bytes of output for a message. Source: NIST SP 800-185, cSHAKE256."""
    return evm_native.cshake256(message, b"", custom, length)


def tuple_hash256(custom: bytes, *items: bytes, length: int = 32) -> bytes:
    """Hash a tuple of byte strings without ambiguity. Source: NIST SP 800-185, TupleHash256."""
    message = b"".join(map(_encode_string, items)) + _right_encode(8 * length)
    return evm_native.cshake256(message, b"TupleHash", custom, length)


def kmac256(key: bytes, message: bytes, custom: bytes, length: int = 32) -> bytes:
    """
    Keyed hash and key derivation. Source: NIST SP 800-185, KMAC256.

    The key has at least 32 bytes: a shorter one would not give what the name promises.
    """
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes: at least {MIN_KEY_BYTES}")
    return extract256(key, message, custom, length)


def extract256(salt: bytes, secret: bytes, custom: bytes, length: int = 32) -> bytes:
    """
    KMAC256 whose key is a public salt of any length: what is secret is the message.

    Source: NIST SP 800-56C, one-step derivation with KMAC.
    """
    padded = _left_encode(CSHAKE256_RATE_BYTES) + _encode_string(salt)
    padded += bytes(-len(padded) % CSHAKE256_RATE_BYTES)
    return evm_native.cshake256(
        padded + secret + _right_encode(8 * length), b"KMAC", custom, length
    )


def _encode_string(value: bytes) -> bytes:
    return _left_encode(8 * len(value)) + value


def _left_encode(number: int) -> bytes:
    encoded = _minimal(number)
    return bytes([len(encoded)]) + encoded


def _right_encode(number: int) -> bytes:
    encoded = _minimal(number)
    return encoded + bytes([len(encoded)])


def _minimal(number: int) -> bytes:
    """Big endian, at least one byte. Source: NIST SP 800-185, section 2.3.1."""
    return encode_quantity(number) or b"\0"
