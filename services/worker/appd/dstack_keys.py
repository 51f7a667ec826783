"""
Keys and signatures of dstack apps.

Source: dstack `guest-agent/src/rpc_service.rs`, `kms/src/crypto.rs`, `ra-tls/src/kdf.rs`. Differs:
the key of an app and the one that vouches for it stand under the app's root of the key manager.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from evm_native import sign_digest

from services.worker.appd.errors import InvalidArgument, UnsupportedAlgorithm
from shared.crypto.hashes import keccak256, kmac256, sha256

_CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_SIGNING_PATH, _SIGNING_PURPOSE = "vms", "signing"
SECP256K1, PREHASHED, ED25519 = "secp256k1", "secp256k1_prehashed", "ed25519"
_DIGEST_BYTES = 32
_SCALAR_BYTES = 32


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """A key of an app, with the signatures that lead from it to the root of all apps."""

    secret: bytes = field(repr=False)
    public: bytes
    """33 bytes of secp256k1, 32 of Ed25519."""
    chain: tuple[bytes, bytes]
    """By the app's key over the public key; by the issuer's key over the app's key."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature by the instance's signing key."""

    signature: bytes
    public: bytes
    chain: tuple[bytes, bytes, bytes]


class AppKey:
    """The secp256k1 key of an app, from which its others are derived."""

    def __init__(self, root: bytes, app_id: bytes) -> None:
        """Take the app's root and its 20-byte name."""
        issuer = _scalar(root, b"qanat/appd: dstack issuer")
        self._key = _scalar(root, b"qanat/appd: dstack app key")
        issued = b"dstack-kms-issued:" + app_id + _secp256k1_public(self._key)
        self._issued = sign_digest(issuer, keccak256(issued))

    def derive(self, path: str, purpose: str, algorithm: str) -> DerivedKey:
        """
        Derive a key; the path alone makes it another, the purpose is signed along.

        Raises
        ------
        UnsupportedAlgorithm
            Neither secp256k1 nor Ed25519.
        """
        kind = _normal(algorithm)
        if kind not in (SECP256K1, ED25519):
            raise UnsupportedAlgorithm(f"Unsupported algorithm {algorithm!r}")
        secret = _expand(self._key, path.encode())
        if kind == ED25519:
            public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        else:
            public = _secp256k1_public(secret)
        message = f"{purpose}:{public.hex()}".encode()
        return DerivedKey(
            secret, public, (sign_digest(self._key, keccak256(message)), self._issued)
        )

    def sign(self, algorithm: str, data: bytes) -> Signed:
        """
        Sign by the key of path `vms`.

        Raises
        ------
        UnsupportedAlgorithm, InvalidArgument
            No such algorithm; a digest that has not 32 bytes.
        """
        kind = _normal(algorithm)
        key = self.derive(_SIGNING_PATH, _SIGNING_PURPOSE, SECP256K1 if kind == PREHASHED else kind)
        if kind == ED25519:
            signature = Ed25519PrivateKey.from_private_bytes(key.secret).sign(data)
        else:
            digest = data if kind == PREHASHED else sha256(data)
            if len(digest) != _DIGEST_BYTES:
                raise InvalidArgument(f"a digest has {_DIGEST_BYTES} bytes, this one {len(data)}")
            signature = sign_digest(key.secret, digest)[:64]
        return Signed(signature, key.public, (signature, *key.chain))


def verify(algorithm: str, data: bytes, signature: bytes, public_key: bytes) -> bool:
    """
    Say whether a signature holds.

    Raises
    ------
    UnsupportedAlgorithm, InvalidArgument
        No such algorithm; a key or digest that is none.
    """
    kind = _normal(algorithm)
    if kind not in (SECP256K1, PREHASHED, ED25519):
        raise UnsupportedAlgorithm(f"Unsupported algorithm {algorithm!r}")
    try:
        if kind == ED25519:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
            return True
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    except InvalidSignature:
        return False
    except ValueError as error:
        raise InvalidArgument("invalid public key") from error
    digest = data if kind == PREHASHED else sha256(data)
    if len(digest) != _DIGEST_BYTES:
        raise InvalidArgument(f"a digest has {_DIGEST_BYTES} bytes, this one {len(data)}")
    if len(signature) != 2 * _SCALAR_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def _normal(algorithm: str) -> str:
    return SECP256K1 if algorithm in ("", "k256") else algorithm


def _scalar(root: bytes, custom: bytes) -> bytes:
    drawn = int.from_bytes(kmac256(root, b"", custom, 48), "big")
    return (drawn % (_CURVE_ORDER - 1) + 1).to_bytes(_SCALAR_BYTES, "big")


def _expand(key: bytes, context: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=b"RATLS", info=context).derive(key)


def _secp256k1_public(secret: bytes) -> bytes:
    key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256K1())
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
