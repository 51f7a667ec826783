"""
P-256 keys of the mock hardware.

Keys come from an `Entropy`, and signatures take their nonce from key and message (RFC 6979), so a
network made from a seed has the same certificates and quotes on every run.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from shared.crypto.entropy import Entropy

CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of P-256. Source: FIPS 186-4, D.1.2.3."""
SCALAR_BYTES = 32

DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def draw_scalar(entropy: Entropy, label: str) -> bytes:
    """Draw a private key: 32 bytes, big-endian; the wider draw makes the bias negligible."""
    number = int.from_bytes(entropy.draw(label, 48), "big") % (CURVE_ORDER - 1) + 1
    return number.to_bytes(SCALAR_BYTES, "big")


def private_key(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    """Make the library's key of a scalar."""
    return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Sign SHA-256 of a message: r ‖ s, 64 bytes, as DCAP writes signatures."""
    r, s = decode_dss_signature(key.sign(message, DETERMINISTIC))
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Public key as x ‖ y, 64 bytes."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(SCALAR_BYTES, "big") + numbers.y.to_bytes(SCALAR_BYTES, "big")
