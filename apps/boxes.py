"""
Records in sealed boxes of libsodium (X25519, XSalsa20, Poly1305): anybody seals, one key opens.

Source: https://doc.libsodium.org/public-key_cryptography/sealed_boxes.
"""

from typing import TypeVar

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from apps.errors import BadBox
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected

U = TypeVar("U")


def seal_to(key: bytes, document: object) -> bytes:
    """Seal a record to an X25519 key of 32 bytes."""
    return bytes(SealedBox(PublicKey(key)).encrypt(encode_record(document)))


def open_box(secret: PrivateKey, kind: type[U], untrusted: bytes, max_bytes: int) -> U:
    """Open what was sealed to a key, or raise `BadBox`, which repeats nothing of it."""
    if len(untrusted) > max_bytes:
        raise BadBox(f"{len(untrusted)} bytes: at most {max_bytes}")
    try:
        return decode_record(kind, SealedBox(secret).decrypt(untrusted))
    except CryptoError as error:
        raise BadBox("it is not sealed to the key of this app") from error
    except Rejected as error:
        raise BadBox(f"what is sealed is no {kind.__name__}: {error.message}") from error
