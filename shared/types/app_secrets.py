"""
A secret of an attested app (ROFL), as the chain stores it.

Source: oasisprotocol/cli `build/rofl/secrets.go`, oasis-sdk `rofl-appd/src/secrets.rs`.
"""

from dataclasses import dataclass
from typing import Annotated

from shared.encoding import cbor
from shared.encoding.notes import Size
from shared.encoding.record import Bytes32
from shared.encoding.values import from_wire, to_wire

NAME_CONTEXT, VALUE_CONTEXT = b"name", b"value"
"""Associated data of the two ciphertexts."""


@dataclass(frozen=True, slots=True)
class SecretEnvelope:
    """Name and value, sealed by Deoxys-II under one key and nonce to the app's key (SEK)."""

    pk: Bytes32
    """X25519, made for this envelope."""
    nonce: Annotated[bytes, Size(15)]
    name: bytes
    value: bytes


def encode_envelope(envelope: SecretEnvelope) -> bytes:
    """Bytes that the chain stores."""
    return cbor.encode(to_wire(SecretEnvelope, envelope))


def decode_envelope(untrusted: bytes) -> SecretEnvelope:
    """Read an envelope, or raise `MalformedCbor`, `MalformedRecord`."""
    envelope: SecretEnvelope = from_wire(SecretEnvelope, cbor.decode(untrusted))
    return envelope
