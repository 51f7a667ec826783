"""
One exchange in one file: challenge, report, request, response, receipt.

What a client keeps to show later what it was answered. It holds the prompt and the answer in
plain: it is the client's own.
"""

import base64
from dataclasses import dataclass

from apps.inference.documents.canonical import (
    Document,
    canonical,
    object_of,
    optional_text_of,
    read_document,
    text_of,
)
from apps.inference.errors import MalformedDocument, UnknownVersion
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import VerifiedReceipt, verify_receipt
from apps.inference.verify.report import VerifiedService, verify_report

FORMAT = "qanat/exchange/1"
MAX_EXCHANGE_BYTES = 16 << 20
_NAMES = frozenset({"format", "nonce", "report", "receipt", "request", "response", "headers"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and answered, with what proves it."""

    nonce: str
    report: Document
    receipt: Document
    request: bytes
    """The body that the service hashed; under E2EE with its fields in plain."""
    response: bytes
    """As it came off the wire."""
    headers: dict[str, str]
    """The protocol's response headers, by lower-case name."""

    def encode(self) -> bytes:
        """Give the file's bytes."""
        return canonical(
            {
                "format": FORMAT,
                "nonce": self.nonce,
                "report": self.report,
                "receipt": self.receipt,
                "request": base64.b64encode(self.request).decode(),
                "response": base64.b64encode(self.response).decode(),
                "headers": dict(self.headers),
            }
        )

    @classmethod
    def decode(cls, untrusted: bytes) -> "Exchange":
        """Read a file, or raise `MalformedDocument` or `UnknownVersion`."""
        document = read_document(untrusted, MAX_EXCHANGE_BYTES)
        if document.get("format") != FORMAT:
            raise UnknownVersion(f"not a file of {FORMAT}")
        if document.keys() != _NAMES:
            raise MalformedDocument(f"an exchange has exactly {', '.join(sorted(_NAMES))}")
        headers = object_of(document, "headers")
        return cls(
            nonce=optional_text_of(document, "nonce") or "",
            report=object_of(document, "report"),
            receipt=object_of(document, "receipt"),
            request=_bytes_of(document, "request"),
            response=_bytes_of(document, "response"),
            headers={name: text_of(headers, name) for name in headers},
        )


def verify_exchange(
    exchange: Exchange, *, policy: Policy, now_s: int
) -> tuple[VerifiedService, VerifiedReceipt]:
    """Verify all of it, or raise what `verify_report` and `verify_receipt` raise."""
    service = verify_report(exchange.report, nonce=exchange.nonce, policy=policy, now_s=now_s)
    receipt = verify_receipt(
        exchange.receipt,
        service,
        request=exchange.request,
        response=exchange.response,
        headers=exchange.headers,
    )
    return service, receipt


def _bytes_of(document: Document, name: str) -> bytes:
    try:
        return base64.b64decode(text_of(document, name), validate=True)
    except ValueError as error:
        raise MalformedDocument(f"{name} is not base64") from error
