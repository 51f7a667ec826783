"""
Verification of signatures that several steps of a block look at.

The pool, the proposal and the decided block check the same commitment; each costs 55 us. What
verified once is kept; a refusal is not, so it costs its sender the same each time.
"""

from functools import lru_cache

from shared.crypto.signing import verify_signature

KEPT_SIGNATURES = 512
"""About the commitments of a second under load; with what each verifies it is some 800 bytes."""


@lru_cache(maxsize=KEPT_SIGNATURES)
def verify_known_signature(
    public_key: bytes, context: bytes, message: bytes, signature: bytes
) -> None:
    """Verify a signature as `verify_signature` does, or remember that it was."""
    verify_signature(public_key, context, message, signature)
