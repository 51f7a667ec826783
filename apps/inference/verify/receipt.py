"""
Did this service see exactly the bytes I sent, and send exactly those I got?

Source: aci.md 9.3, for a direct service: one without a hop behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.inference.documents.canonical import (
    VERSION,
    Document,
    digest,
    digest_of,
    hex_of,
    integer_of,
    objects_of,
    optional_text_of,
    text_of,
)
from apps.inference.documents.keyset import ED25519
from apps.inference.documents.receipt import FORWARDED, RECEIVED, RETURNED, verify_signature
from apps.inference.errors import (
    HeaderMismatch,
    MalformedDocument,
    ReceiptOfAnotherKeyset,
    RequestMismatch,
    RequestRewritten,
    ResponseMismatch,
    UnknownReceiptKey,
    UnknownVersion,
)
from apps.inference.verify.report import VerifiedService

VERSION_HEADER, DIGEST_HEADER, RECEIPT_HEADER = (
    "x-aci-version",
    "x-aci-keyset-digest",
    "x-receipt-id",
)


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt says, once its signature holds."""

    receipt_id: str
    chat_id: str | None
    model: str | None
    endpoint: str
    method: str
    served_at: int
    """As the service says [Unix s]."""
    is_refusal: bool
    """No model saw the request."""


def verify_receipt(
    receipt: Document,
    service: VerifiedService,
    *,
    request: bytes | None = None,
    response: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> VerifiedReceipt:
    """
    Verify a receipt, and that it is of this exchange.

    Parameters
    ----------
    receipt : `Document`
        As served at `/v1/aci/receipts/{id}`.
    service : `VerifiedService`
        Whose receipt it must be.
    request : `bytes`, optional
        The body as it was sent; under E2EE, the compact JSON with its fields in plain.
    response : `bytes`, optional
        The body as it came off the wire; of a stream, with its framing.
    headers : mapping, optional
        Response headers by lower-case name; each of the protocol's must be there.

    Raises
    ------
    MalformedDocument, UnknownVersion, ReceiptOfAnotherKeyset, UnknownReceiptKey,
    BadReceiptSignature, RequestMismatch, ResponseMismatch, RequestRewritten, HeaderMismatch
        See each class.
    """
    if text_of(receipt, "api_version") != VERSION:
        raise UnknownVersion("not a receipt of aci/1")
    if digest_of(receipt, "workload_keyset_digest") != service.digest:
        raise ReceiptOfAnotherKeyset("the receipt names another keyset")
    verify_signature(receipt, hex_of(receipt, "signature"), _key_of(receipt, service))
    received, forwarded, returned = _hashes_of(receipt)
    if request is not None and digest(request) != received:
        raise RequestMismatch("the service received another request")
    if response is not None and digest(response) != returned:
        raise ResponseMismatch("the service returned another response")
    if forwarded is not None and forwarded != received:
        raise RequestRewritten("the service computed on other bytes than it received")
    found = VerifiedReceipt(
        receipt_id=text_of(receipt, "receipt_id"),
        chat_id=optional_text_of(receipt, "chat_id"),
        model=optional_text_of(receipt, "model"),
        endpoint=text_of(receipt, "endpoint"),
        method=text_of(receipt, "method"),
        served_at=integer_of(receipt, "served_at"),
        is_refusal=forwarded is None,
    )
    if headers is not None:
        _verify_headers(headers, found, service)
    return found


def _key_of(receipt: Document, service: VerifiedService) -> bytes:
    key_id = text_of(receipt, "key_id")
    for key in service.keyset.receipt_keys:
        if key.key_id == key_id:
            if key.algo != ED25519:
                raise UnknownReceiptKey(f"key {key_id} is of {key.algo}, which nobody reads here")
            return bytes.fromhex(key.public_key)
    raise UnknownReceiptKey(f"the keyset has no key {key_id}")


def _hashes_of(receipt: Document) -> tuple[str, str | None, str]:
    events = objects_of(receipt, "event_log")
    by_type: dict[str, str] = {}
    for at, event in enumerate(events):
        kind = text_of(event, "type")
        if (kind == RECEIVED) != (at == 0):
            raise MalformedDocument("the first event, and no other, is request.received")
        if kind in (RECEIVED, FORWARDED, RETURNED):
            if kind in by_type:
                raise MalformedDocument(f"{kind} stands twice")
            by_type[kind] = digest_of(event, "body_hash")
    if RECEIVED not in by_type or RETURNED not in by_type:
        raise MalformedDocument("a receipt has request.received and response.returned")
    return by_type[RECEIVED], by_type.get(FORWARDED), by_type[RETURNED]


def _verify_headers(
    headers: Mapping[str, str], receipt: VerifiedReceipt, service: VerifiedService
) -> None:
    wanted = {
        VERSION_HEADER: VERSION,
        DIGEST_HEADER: service.digest,
        RECEIPT_HEADER: receipt.receipt_id,
    }
    for name, value in wanted.items():
        if headers.get(name) != value:
            raise HeaderMismatch(f"{name} contradicts the receipt")
