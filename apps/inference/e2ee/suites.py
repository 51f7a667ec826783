"""
The two suites: ECDH with a fresh key a field, HKDF-SHA256, AES-256-GCM.

Source: e2ee-v2.md 4.
"""

import os
import re
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apps.inference.errors import E2eeDecryptionFailed, E2eeInvalidPublicKey

X25519 = "x25519-aes-256-gcm-hkdf-sha256"
SECP256K1 = "secp256k1-aes-256-gcm-hkdf-sha256"
ALGORITHMS = (X25519, SECP256K1)
NONCE_BYTES, TAG_BYTES, KEY_BYTES = 12, 16, 32
_HEX = re.compile(r"(0x)?(([0-9a-fA-F]{2})+)")
_CIPHERTEXT = re.compile(r"([0-9a-f]{2})+")


class PrivateKey(Protocol):
    """A key that fields can be opened with, fresh for each process or client."""

    algo: str

    @property
    def public(self) -> bytes:
        """As it stands in front of ciphertexts and in keysets."""
        ...

    def agree(self, public: bytes) -> bytes:
        """Give 32 shared bytes, or raise `ValueError`."""
        ...


class X25519Key:
    """Of the suite for browsers."""

    algo = X25519

    def __init__(self, private: bytes | None = None) -> None:
        self._key = (
            X25519PrivateKey.generate()
            if private is None
            else X25519PrivateKey.from_private_bytes(private)
        )

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def agree(self, public: bytes) -> bytes:
        """Give 32 shared bytes, or raise `ValueError`."""
        return self._key.exchange(X25519PublicKey.from_public_bytes(public))


class Secp256k1Key:
    """Of the suite for clients of EVM chains."""

    algo = SECP256K1

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256K1())

    @property
    def public(self) -> bytes:
        """65 bytes, uncompressed."""
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def agree(self, public: bytes) -> bytes:
        """Give 32 shared bytes, or raise `ValueError`."""
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public)
        return self._key.exchange(ec.ECDH(), point)


_SIZES = {X25519: 32, SECP256K1: 65}
_INFO = {X25519: b"aci.e2ee.v2.x25519", SECP256K1: b"aci.e2ee.v2.secp256k1"}


def fresh_key(algo: str) -> PrivateKey:
    """Draw a key of a suite."""
    return X25519Key() if algo == X25519 else Secp256k1Key()


def read_public_key(algo: str, untrusted: str) -> bytes:
    """Read a public key in hex, in each form that the suite accepts, or raise."""
    found = _HEX.fullmatch(untrusted)
    raw = bytes.fromhex(found.group(2)) if found else b""
    if algo == SECP256K1 and len(raw) == _SIZES[algo] - 1:
        raw = b"\x04" + raw
    if len(raw) != _SIZES[algo]:
        raise E2eeInvalidPublicKey(f"not a public key of {algo}")
    try:
        # Refuses points off the curve, and those of small order.
        fresh_key(algo).agree(raw)
    except ValueError as error:
        raise E2eeInvalidPublicKey(f"not a public key of {algo}") from error
    return raw


def seal(algo: str, recipient: bytes, plaintext: bytes, aad: bytes) -> str:
    """Encrypt a field to a public key that `read_public_key` gave."""
    ephemeral = fresh_key(algo)
    nonce = os.urandom(NONCE_BYTES)
    sealed = _cipher(algo, ephemeral.agree(recipient)).encrypt(nonce, plaintext, aad)
    return (ephemeral.public + nonce + sealed).hex()


def unseal(key: PrivateKey, untrusted: str, aad: bytes) -> bytes:
    """Decrypt a field, or raise `E2eeDecryptionFailed`."""
    if not _CIPHERTEXT.fullmatch(untrusted):
        raise E2eeDecryptionFailed("a field is not lower-case hex")
    raw, size = bytes.fromhex(untrusted), _SIZES[key.algo]
    if len(raw) < size + NONCE_BYTES + TAG_BYTES:
        raise E2eeDecryptionFailed("a field is too short for a ciphertext")
    nonce, sealed = raw[size : size + NONCE_BYTES], raw[size + NONCE_BYTES :]
    try:
        return _cipher(key.algo, key.agree(raw[:size])).decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError) as error:
        raise E2eeDecryptionFailed("a field does not belong to this place") from error


def _cipher(algo: str, shared: bytes) -> AESGCM:
    derived = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=_INFO[algo]).derive(shared)
    return AESGCM(derived)
