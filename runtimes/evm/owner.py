"""
Who the network's owner is, and how he is answered: by the debug key that the measured configuration
pins, and sealed to the key that he names.
"""

from dataclasses import dataclass

import evm_native

from shared.crypto.hashes import kmac256
from shared.crypto.signing import BadSignature, Context, verify_signature
from shared.enclave.round_context import RoundContext
from shared.errors import RuntimeRejected
from shared.types.identity import PublicKey
from shared.types.sight import NONCE_BYTES, SealedView

SIGHT = "sight"
"""Module of what is refused to who asks what others may not see."""
NONCE_LABEL = b"qanat/evm: nonce of an answer"


@dataclass(frozen=True, slots=True)
class Viewers:
    """Who may see what is secret."""

    chain_id: int
    """Of the EVM; what senders sign names it."""
    debug_key: PublicKey | None
    """Ed25519 key of the network's owner; None where there is none."""


def refused(code: int, why: str) -> RuntimeRejected:
    """Make a refusal of module `sight`."""
    return RuntimeRejected(SIGHT, code, why)


def forbid_public(*, is_confidential: bool) -> None:
    """Refuse on a ParaTime where everything is everybody's, and no key seals anything."""
    if not is_confidential:
        raise refused(
            1, "nothing is secret on this ParaTime: debug_traceTransaction and the like show it"
        )


def verify_owner(
    debug_key: PublicKey | None,
    purpose: Context,
    body: bytes,
    signature: bytes,
    context: RoundContext,
) -> None:
    """Verify that the network's owner signed a body for this ParaTime in this life, or refuse."""
    if debug_key is None:
        raise refused(5, "this network has no debug key: only the sender sees his own call")
    domain = purpose.for_runtime(context.chain_context, context.runtime_id, context.identity[2])
    try:
        verify_signature(debug_key, domain, body, signature)
    except BadSignature:
        raise refused(5, "the view request is not signed by this network's debug key") from None


def seal_to(asker: bytes, plain: bytes, binding: bytes, context: RoundContext) -> SealedView:
    """
    Seal an answer by the calldata key of the epoch, so that it can only come from an enclave.

    The nonce follows from the key and what is sealed: a request that is put again gets the same
    answer, and no nonce serves two.

    Parameters
    ----------
    asker : `bytes`
        X25519 key of who opens it.
    binding : `bytes`
        Associated data, which names the request.
    """
    epoch = context.epoch
    key = evm_native.mrae_key(context.keys().call_secrets[int(epoch)], asker)
    nonce = kmac256(key, binding + plain, NONCE_LABEL)[:NONCE_BYTES]
    return SealedView(epoch, nonce, evm_native.deoxysii_seal(key, nonce, plain, binding))
