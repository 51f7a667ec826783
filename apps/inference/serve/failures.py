"""Errors in OpenAI's shape. Nothing of a request is repeated in them."""

import json

from apps.inference.errors import (
    BadApiKey,
    BadCompletion,
    E2eeRefused,
    MalformedNonce,
    NoCredit,
    NoSuchReceipt,
    ReceiptNeedsKey,
    SessionNotAccepted,
    TooBusy,
    UnknownModel,
)
from shared.errors import PeerBusy, QanatError, Rejected
from shared.kit.bodies import BodyCut, BodyTooLarge, BodyTooSlow

INVALID = "invalid_request_error"
_STATUS: tuple[tuple[type[QanatError], int, str, str | None], ...] = (
    (BadApiKey, 401, INVALID, "invalid_api_key"),
    (ReceiptNeedsKey, 401, "unauthorized", None),
    (NoSuchReceipt, 404, "not_found", None),
    (UnknownModel, 404, INVALID, "model_not_found"),
    (SessionNotAccepted, 412, "session_not_accepted", None),
    (NoCredit, 429, "insufficient_quota", "insufficient_quota"),
    (TooBusy, 429, "rate_limit_error", "rate_limit_exceeded"),
    (PeerBusy, 429, "rate_limit_error", "rate_limit_exceeded"),
    (BodyTooLarge, 413, INVALID, "body_too_large"),
    (BodyTooSlow, 408, INVALID, None),
    (BodyCut, 400, INVALID, None),
    (BadCompletion, 400, INVALID, None),
    (MalformedNonce, 400, INVALID, None),
)


def show_failure(error: QanatError) -> tuple[int, bytes]:
    """Give the status and the body of an error."""
    status, kind, code = 503, "server_error", None
    if isinstance(error, Rejected):
        status, kind = 400, INVALID
    for known, known_status, known_kind, known_code in _STATUS:
        if isinstance(error, known):
            status, kind, code = known_status, known_kind, known_code
            break
    if isinstance(error, E2eeRefused):
        kind = error.kind
    param = error.param if isinstance(error, BadCompletion) else None
    body = {"error": {"message": error.message, "type": kind, "param": param, "code": code}}
    return status, json.dumps(body).encode()
