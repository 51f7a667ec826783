"""
Receipts: what happened to one request, over bytes seen inside, signed.

Source: aci.md 7.
"""

from dataclasses import dataclass

import nacl.exceptions
from nacl.signing import SigningKey, VerifyKey

from apps.inference.documents.canonical import VERSION, Document, canonical
from apps.inference.errors import BadReceiptSignature

RECEIVED, FORWARDED, RETURNED = "request.received", "request.forwarded", "response.returned"
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class ReceiptDraft:
    """A receipt before it is signed; hashes are `sha256:` with hex."""

    receipt_id: str
    chat_id: str | None
    """`id` of the response, None where it has none."""
    model: str | None
    """As the client asked for it."""
    endpoint: str
    method: str
    served_at: int
    """[Unix s]"""
    received: str
    forwarded: str | None
    """None for a request that was refused before any model saw it."""
    returned: str

    def sign(self, keyset_digest: str, key_id: str, key: SigningKey) -> Document:
        """Give the signed document."""
        events: list[Document] = [{"type": RECEIVED, "body_hash": self.received}]
        if self.forwarded is not None:
            events.append({"type": FORWARDED, "body_hash": self.forwarded})
        events.append({"type": RETURNED, "body_hash": self.returned})
        document: Document = {
            "api_version": VERSION,
            "receipt_id": self.receipt_id,
            "chat_id": self.chat_id,
            "model": self.model,
            "workload_keyset_digest": keyset_digest,
            "endpoint": self.endpoint,
            "method": self.method,
            "served_at": self.served_at,
            "event_log": list(events),
            "key_id": key_id,
        }
        return document | {"signature": key.sign(canonical(document)).signature.hex()}


def signed_bytes(document: Document) -> bytes:
    """Give what the signature of a receipt is over."""
    return canonical({name: one for name, one in document.items() if name != "signature"})


def verify_signature(document: Document, signature: bytes, public_key: bytes) -> None:
    """Verify the signature of a receipt, or raise `BadReceiptSignature`."""
    try:
        VerifyKey(public_key).verify(signed_bytes(document), signature)
    except (nacl.exceptions.BadSignatureError, ValueError) as error:
        raise BadReceiptSignature("the signature is not of this receipt") from error
