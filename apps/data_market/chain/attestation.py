"""
What a worker says of itself, bound to a quote and to the client's challenge.

So rows are sealed to a key that attested code holds, and not to whoever answers at an address.
"""

from typing import Any

from apps.inference.documents.canonical import canonical, read_document
from apps.inference.documents.evidence import read_evidence
from apps.inference.verify.policy import Policy
from apps.inference.verify.quote import verify_quote
from shared.crypto.hashes import tuple_hash256

CONTEXT = b"qanat/data-market: attested worker"
NONCE_BYTES = 32


def bound_to(nonce: bytes, about: dict[str, Any]) -> bytes:
    """Give what a worker's quote must bind: the challenge, and all that it says; 32 bytes."""
    return tuple_hash256(CONTEXT, nonce, canonical(about))


def verify_worker(
    nonce: bytes, about: dict[str, Any], untrusted: bytes, policy: Policy, now_s: int
) -> str:
    """
    Verify a worker's evidence; gives the measurement of its code, hex.

    Raises
    ------
    MalformedDocument, EventLogMismatch, Rejected
        The evidence cannot be read; what `verify_quote` refuses, by its name for it.
    """
    evidence = read_evidence(read_document(untrusted))
    return verify_quote(evidence, bound_to(nonce, about), policy, now_s)
