"""Receipts of the last requests, each readable by the key that made the request."""

import hmac
from collections import OrderedDict
from dataclasses import dataclass

from apps.inference.documents.canonical import Document, text_of
from apps.inference.errors import NoSuchReceipt, ReceiptNeedsKey

MAX_RECEIPTS = 10_000
"""About 1 kB each; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A receipt with whom it is for, and what the older family signs."""

    document: Document
    owner: bytes | None
    """SHA-256 of the API key; None for a service without keys."""
    legacy_text: str
    """`<sha256 of request>:<sha256 of response>`, hex."""


class Receipts:
    """By receipt id, and by the id of the response."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Kept] = OrderedDict()
        self._by_chat: dict[str, str] = {}

    def keep(self, kept: Kept) -> None:
        """Keep a receipt that is whole."""
        while len(self._by_id) >= MAX_RECEIPTS:
            _, oldest = self._by_id.popitem(last=False)
            self._by_chat.pop(str(oldest.document["chat_id"]), None)
        receipt_id = text_of(kept.document, "receipt_id")
        self._by_id[receipt_id] = kept
        chat_id = kept.document["chat_id"]
        if isinstance(chat_id, str):
            self._by_chat[chat_id] = receipt_id

    def find(self, untrusted_id: str, owner: bytes | None) -> Kept:
        """
        Give a receipt to its owner.

        Raises
        ------
        ReceiptNeedsKey, NoSuchReceipt
            No key was shown; no receipt, or another's, which is told apart by nobody.
        """
        kept = self._by_id.get(self._by_chat.get(untrusted_id, untrusted_id))
        if kept is not None and kept.owner is None:
            return kept
        if owner is None:
            raise ReceiptNeedsKey("receipts are shown to the key that made the request")
        if kept is None or not hmac.compare_digest(kept.owner or b"", owner):
            raise NoSuchReceipt("no such receipt")
        return kept
