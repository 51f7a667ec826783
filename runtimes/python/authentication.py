"""
Who signed a transaction.

Source: oasis-sdk `runtime-sdk/src/{crypto/signature,types/address}` @ 00da39c.
"""

from dataclasses import dataclass

import evm_native

from runtimes.python import errors
from shared.crypto.address import ethereum_address, sr25519_address, staking_address
from shared.crypto.hashes import keccak256, sha512_256
from shared.crypto.signing import BadSignature, verify_signature
from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord
from shared.types.sdk_transaction import (
    TRANSACTION_VERSION,
    SignatureSpec,
    Transaction,
    decode_signed,
)


@dataclass(frozen=True, slots=True)
class Authentic:
    """A transaction whose signature is right."""

    raw: bytes
    hash: bytes
    transaction: Transaction
    sender: bytes
    """Address of the signer, 21 bytes."""

    @property
    def nonce(self) -> int:
        """Its place in the sender's sequence."""
        return self.transaction.ai.si[0].nonce


def authenticate(raw: bytes, context: bytes) -> Authentic:
    """
    Read a raw transaction and verify its signature.

    Raises
    ------
    RuntimeRejected
        `core` 1, or 15 where it has more than one signer.
    """
    try:
        body, transaction, proofs = decode_signed(raw)
    except (MalformedCbor, MalformedRecord) as error:
        raise errors.malformed_transaction(error.message) from None
    verify_form(transaction)
    if len(proofs) != 1 or (signature := proofs[0].signature) is None:
        raise errors.malformed_transaction("one signature is needed")
    spec = transaction.ai.si[0].address_spec.signature
    _verify(spec, context, body, signature)
    return Authentic(raw, sha512_256(raw), transaction, address_of(spec))


def verify_form(transaction: Transaction) -> None:
    """Verify what can be seen without a signature, or raise `RuntimeRejected`."""
    if transaction.v != TRANSACTION_VERSION:
        raise errors.malformed_transaction(f"version {transaction.v}")
    if len(transaction.ai.si) > 1:
        raise errors.too_many_authentication_slots()
    if not transaction.ai.si:
        raise errors.malformed_transaction("nobody signs")
    if transaction.ai.fee.proxy is not None:
        raise errors.malformed_transaction("nobody pays for others")
    if transaction.ai.fee.consensus_messages:
        raise errors.out_of_message_slots()
    spec = transaction.ai.si[0].address_spec.signature
    if [spec.ed25519, spec.secp256k1eth, spec.sr25519].count(None) != 2:
        raise errors.malformed_transaction("a signer has one key")


def address_of(spec: SignatureSpec) -> bytes:
    """Address of a signer, or raise `RuntimeRejected` where the key is none."""
    if spec.ed25519 is not None:
        return staking_address(spec.ed25519)
    if spec.sr25519 is not None:
        return sr25519_address(spec.sr25519)
    point = _uncompressed(spec.secp256k1eth or b"")
    return ethereum_address(keccak256(point)[-20:])


def _verify(spec: SignatureSpec, context: bytes, body: bytes, signature: bytes) -> None:
    if spec.ed25519 is not None:
        try:
            verify_signature(spec.ed25519, context, body, signature)
        except BadSignature:
            raise errors.malformed_transaction("signature verification failed") from None
        return
    scheme, key = ("sr25519", spec.sr25519) if spec.sr25519 else ("secp256k1", spec.secp256k1eth)
    try:
        valid = evm_native.verify_separated(scheme, key or b"", context, body, signature)
    except evm_native.ConfigError:
        valid = False
    if not valid:
        raise errors.malformed_transaction("signature verification failed")


_P = 2**256 - 2**32 - 977


def _uncompressed(compressed: bytes) -> bytes:
    """X ‖ y of a point of secp256k1 (SEC 1, 2.3.4)."""
    x = int.from_bytes(compressed[1:], "big")
    square = (pow(x, 3, _P) + 7) % _P
    y = pow(square, (_P + 1) // 4, _P)
    if compressed[:1] not in (b"\x02", b"\x03") or x >= _P or y * y % _P != square:
        raise errors.malformed_transaction("not a point of secp256k1")
    if y % 2 != compressed[0] % 2:
        y = _P - y
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")
