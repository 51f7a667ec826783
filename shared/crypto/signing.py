"""
Ed25519 signatures, always under a context.

A signature is over SHA-512/256(context ‖ message), so that what was signed for one purpose, chain
or runtime verifies for no other. All contexts are registered here or where they are used, once.
Source: oasis-core docs/crypto.md @ f9f1fdc; verification is by libsodium's rules, stricter than
ZIP-215, so every process must use this module (ADR 0010). It is native (ADR 0082).
"""

from dataclasses import dataclass
from typing import ClassVar

from evm_native import Ed25519Key, verify_ed25519

from shared.crypto.entropy import Entropy
from shared.encoding.record import Bytes32, Bytes64
from shared.errors import Rejected

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
MAX_CONTEXT_BYTES = 255


class BadSignature(Rejected, module="crypto", code=1):
    """The signature is not by this key over this message in this context."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a signature is for. Make one with `register_context`."""

    base: str

    def for_chain(self, chain_context: str) -> bytes:
        """Bind to one network; `chain_context` is the hex hash of its genesis document."""
        return _checked(f"{self.base} for chain {chain_context}".encode())

    def for_runtime(self, chain_context: str, runtime_id: bytes, incarnation: int) -> bytes:
        """Bind to one ParaTime of one network, in one life of its chain."""
        where = f" for runtime {runtime_id.hex()} in incarnation {incarnation}"
        return _checked(self.for_chain(chain_context) + where.encode())

    def anywhere(self) -> bytes:
        """Without separation, where the signed body itself names its network or none matters."""
        return _checked(self.base.encode())


class _Registry:
    contexts: ClassVar[set[str]] = set()


def register_context(base: str) -> Context:
    """Register a context text; a second registration of the same text is a bug."""
    if base in _Registry.contexts:
        raise ValueError(f"signature context {base!r} is registered twice")
    _Registry.contexts.add(base)
    return Context(base)


def _checked(context: bytes) -> bytes:
    if len(context) > MAX_CONTEXT_BYTES:
        raise ValueError(f"a context has at most {MAX_CONTEXT_BYTES} bytes")
    return context


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature with the key that made it, as it stands in envelopes."""

    public_key: Bytes32
    signature: Bytes64


class Signer:
    """An Ed25519 private key. Does not show itself."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519Key(seed)
        self.public_key = self._key.public_key

    @classmethod
    def generate(cls, entropy: Entropy, label: str) -> "Signer":
        """Draw a new key."""
        return cls(entropy.draw(label, 32))

    def sign_raw(self, message: bytes) -> bytes:
        """Sign bytes as they are: only where a foreign format has its own separation."""
        return self._key.sign(message)

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Sign a message in a context; 64 bytes."""
        return self._key.sign(message, context)

    def endorse(self, context: bytes, message: bytes) -> Signature:
        """Sign and name the key."""
        return Signature(self.public_key, self.sign(context, message))

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key.hex()}, <secret>)"


def verify_signature(public_key: bytes, context: bytes, message: bytes, signature: bytes) -> None:
    """Verify a signature in a context, or raise `BadSignature`."""
    if not verify_ed25519(public_key, message, signature, context):
        raise BadSignature(f"bad signature by {public_key.hex()}")


def verify_raw(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Verify a signature over bytes as they are, or raise `BadSignature`."""
    if not verify_ed25519(public_key, message, signature):
        raise BadSignature(f"bad signature by {public_key.hex()}")
