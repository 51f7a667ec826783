"""
Questions to an enclave, and opening its answers; pure, but for keys that it draws.

What may be seen is the enclave's to decide: `runtimes/evm/views.py` of what a transaction did,
`questions.py` of all else.
"""

import secrets
from dataclasses import dataclass, field

from evm_native import (
    InvalidTag,
    deoxysii_open,
    deoxysii_seal,
    mrae_key,
    sign_digest,
    x25519_public,
)

from qanat.view.envelopes import KEY_BYTES, EpochKey, NotSealedToUs
from qanat.view.errors import QuestionTooLarge
from shared.crypto.signing import Signer
from shared.encoding.record import MalformedRecord, decode_record, encode_record
from shared.errors import error_from
from shared.rules.sight import (
    QUESTION_BINDING,
    answer_binding,
    owner_answer_binding,
    view_digest,
)
from shared.types.identity import Epoch, Round
from shared.types.sight import (
    MAX_QUESTION_BYTES,
    NONCE_BYTES,
    OWNER_QUESTION,
    VIEW_REQUEST,
    OwnerAnswer,
    OwnerQuestion,
    Question,
    SealedView,
    View,
    ViewRequest,
)

TAG_BYTES = 16


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


# -- questions of the owner --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealedQuestion:
    """A question on its way, and what opens the answer to it."""

    question: OwnerQuestion
    secret: bytes = field(repr=False)
    """X25519 secret of `question.asker`."""


def seal_question(question: Question, round_: int, expires_s: int, key: EpochKey) -> SealedQuestion:
    """
    Seal a question to the calldata key of an epoch, with a key and nonce of its own.

    Raises
    ------
    QuestionTooLarge
        It has more than `MAX_QUESTION_BYTES`, sealed.
    """
    secret, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    plain = encode_record(question)
    if len(plain) + TAG_BYTES > MAX_QUESTION_BYTES:
        raise QuestionTooLarge(f"the question has over {MAX_QUESTION_BYTES} bytes")
    data = deoxysii_seal(mrae_key(secret, key.key), nonce, plain, QUESTION_BINDING)
    sealed = OwnerQuestion(
        x25519_public(secret), expires_s, Round(round_), Epoch(key.epoch), nonce, data
    )
    return SealedQuestion(sealed, secret)


def sign_question(question: OwnerQuestion, debug_key: Signer, place: Place) -> bytes:
    """Sign with the network's debug key; 64 bytes."""
    domain = OWNER_QUESTION.for_runtime(place.chain_context, place.runtime_id, place.incarnation)
    return debug_key.sign(domain, encode_record(question))


def open_owner_answer(sealed: SealedView, asked: SealedQuestion, key: EpochKey) -> bytes:
    """
    Open an answer; what the method gives.

    Raises
    ------
    NotSealedToUs
        It was not made by an enclave for this question, or was changed on its way.
    QanatError
        What the enclave says in the place of an answer, such as a revert.
    """
    if sealed.epoch != key.epoch:
        raise NotSealedToUs(f"the answer is sealed in epoch {sealed.epoch}, not {key.epoch}")
    shared = mrae_key(asked.secret, key.key)
    binding = owner_answer_binding(asked.question)
    try:
        answer = decode_record(
            OwnerAnswer, deoxysii_open(shared, sealed.nonce, sealed.data, binding)
        )
    except (InvalidTag, MalformedRecord):
        raise NotSealedToUs("the answer is not an enclave's to this question") from None
    if (failure := answer.failure) is not None:
        raise error_from(failure.module, failure.code, failure.message, failure.data)
    return answer.value
