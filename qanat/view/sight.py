"""
Asking an enclave what a transaction did, and opening its answer; pure, but for keys that it draws.

What may be seen is the enclave's to decide: `runtimes/evm/views.py`.
"""

import secrets
from dataclasses import dataclass, field

from evm_native import InvalidTag, deoxysii_open, mrae_key, sign_digest, x25519_public

from qanat.view.envelopes import KEY_BYTES, EpochKey, NotSealedToUs
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.rules.sight import answer_binding, view_digest
from shared.types.sight import VIEW_REQUEST, SealedView, View, ViewRequest


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what opens the answer to it."""

    request: ViewRequest
    secret: bytes = field(repr=False)
    """X25519 secret of `request.asker`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request of the debug key is good: one ParaTime, in one life of one chain."""

    chain_context: str
    runtime_id: bytes
    incarnation: int


def ask(
    transaction: bytes, expires_s: int, *, style: bytes = b"", secret: bytes | None = None
) -> Asked:
    """
    Make a request.

    Parameters
    ----------
    expires_s : `int`
        Consensus time until which it is answered [Unix s].
    style : `bytes`, optional
        JSON of a form of trace, of the debug key only.
    secret : `bytes`, optional
        The X25519 secret with which the transaction's envelope was made: a sender needs it, the
        debug key does not. Without it a new one is drawn.
    """
    own = secrets.token_bytes(KEY_BYTES) if secret is None else secret
    return Asked(ViewRequest(transaction, x25519_public(own), expires_s, style), own)


def sign_as_owner(request: ViewRequest, debug_key: Signer, place: Place) -> bytes:
    """Sign with the network's debug key; 64 bytes."""
    domain = VIEW_REQUEST.for_runtime(place.chain_context, place.runtime_id, place.incarnation)
    return debug_key.sign(domain, encode_record(request))


def sign_as_sender(request: ViewRequest, secret: bytes, chain_id: int) -> bytes:
    """Sign with the account that sent the transaction; r ‖ s ‖ v, 65 bytes."""
    return sign_digest(secret, view_digest(request, chain_id))


def open_view(sealed: SealedView, asked: Asked, key: EpochKey) -> View:
    """
    Open an answer.

    Parameters
    ----------
    key : `EpochKey`
        The calldata key of the epoch that the answer names: only enclaves have its secret.

    Raises
    ------
    NotSealedToUs
        It was not made by an enclave for this request, or was changed on its way.
    """
    if sealed.epoch != key.epoch:
        raise NotSealedToUs(f"the answer is sealed in epoch {sealed.epoch}, not {key.epoch}")
    shared = mrae_key(asked.secret, key.key)
    try:
        plain = deoxysii_open(shared, sealed.nonce, sealed.data, answer_binding(asked.request))
    except InvalidTag:
        raise NotSealedToUs("the answer is not an enclave's to this request") from None
    return decode_record(View, plain)
