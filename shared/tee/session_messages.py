"""Messages of attested sessions: their kinds, what is wrong with one, and how they are sealed."""

import nacl.bindings
import nacl.exceptions

from shared.crypto.hashes import sha512_256
from shared.errors import Rejected

HELLO, ANSWER, PROOF, CONFIRMATION, REQUEST, RESPONSE = range(1, 7)
KEY_BYTES = 32
COUNTER_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16


class MalformedSessionMessage(Rejected, module="session", code=1):
    """The bytes are not a session message of the kind that is due."""


class SessionMessageForged(Rejected, module="session", code=2):
    """The message was not sealed by the other end of this session, or was changed on the way."""


def expect_body(untrusted: bytes, kind: int, least: int = 0) -> bytes:
    """Give what follows the kind, at least so many bytes, or raise `MalformedSessionMessage`."""
    if len(untrusted) < 1 + least or untrusted[0] != kind:
        raise MalformedSessionMessage(f"not a session message of kind {kind}")
    return untrusted[1:]


def advance_transcript(transcript: bytes, message: bytes) -> bytes:
    """Hash a message onto what was said before (32 bytes)."""
    return sha512_256(sha512_256(transcript) + sha512_256(message))


def exchange_keys(secret: bytes, peer_key: bytes) -> bytes:
    """X25519 with an untrusted key, or `MalformedSessionMessage`."""
    if len(peer_key) != KEY_BYTES:
        raise MalformedSessionMessage(f"an ephemeral key has {KEY_BYTES} bytes")
    try:
        return nacl.bindings.crypto_scalarmult(secret, peer_key)
    except nacl.exceptions.RuntimeError:
        # A point of small order would make the secret known to everybody.
        raise MalformedSessionMessage("the ephemeral key is of small order") from None


def seal_message(key: bytes, counter: int, head: bytes, plaintext: bytes) -> bytes:
    """Encrypt under a key and a counter that it was never used with; `head` is bound to it."""
    nonce = counter.to_bytes(NONCE_BYTES, "big")
    return nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, head, nonce, key)


def open_message(key: bytes, counter: int, head: bytes, sealed: bytes) -> bytes:
    """Give what was sealed; raises `SessionMessageForged` or `MalformedSessionMessage`."""
    if len(sealed) < TAG_BYTES:
        raise MalformedSessionMessage("the message is shorter than its own tag")
    nonce = counter.to_bytes(NONCE_BYTES, "big")
    try:
        return nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(sealed, head, nonce, key)
    except nacl.exceptions.CryptoError:
        raise SessionMessageForged("the message is not the other end's") from None
