"""What a client holds of one service: a verified keyset, and a channel for each request."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.inference.documents.canonical import Document, read_document
from apps.inference.e2ee.fields import (
    compact,
    request_aad,
    response_aad,
    seal_request,
    transform_answer,
)
from apps.inference.e2ee.gate import HEADERS, VERSION
from apps.inference.e2ee.suites import ALGORITHMS, PrivateKey, fresh_key, seal, unseal
from apps.inference.errors import E2eeDecryptionFailed, NoChannel
from apps.inference.verify.exchange import Exchange, verify_exchange
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import (
    DIGEST_HEADER,
    RECEIPT_HEADER,
    VERSION_HEADER,
    VerifiedReceipt,
)
from apps.inference.verify.report import VerifiedService, verify_report

NONCE_BYTES = 32
KEPT_HEADERS = (VERSION_HEADER, DIGEST_HEADER, RECEIPT_HEADER)


@dataclass(frozen=True, slots=True)
class Established:
    """A service that passed, with what proves it."""

    service: VerifiedService
    report: Document
    nonce: str


def establish(fetch: Callable[[str], bytes], policy: Policy, now_s: int) -> Established:
    """
    Verify a service by a fresh challenge.

    Parameters
    ----------
    fetch : callable
        Gives the report's bytes for a nonce.

    Raises
    ------
    Rejected
        What `verify_report` raises.
    """
    nonce = os.urandom(NONCE_BYTES).hex()
    report = read_document(fetch(nonce))
    return Established(
        verify_report(report, nonce=nonce, policy=policy, now_s=now_s), report, nonce
    )


@dataclass(frozen=True, slots=True)
class ClientChannel:
    """One request's encryption, as its sender sees it."""

    key: PrivateKey
    service: bytes
    model: str
    nonce: str
    ts: int

    @classmethod
    def open(cls, established: Established, model: str, now_s: int) -> "ClientChannel":
        """Choose the service's first key of a known suite, or raise `NoChannel`."""
        for algo in ALGORITHMS:
            for key in established.service.keyset.e2ee_keys:
                if key.algo == algo:
                    nonce = os.urandom(NONCE_BYTES).hex()
                    public = bytes.fromhex(key.public_key)
                    return cls(fresh_key(algo), public, model, nonce, now_s)
        raise NoChannel("the keyset lists no key of a suite that this client knows")

    @property
    def headers(self) -> dict[str, str]:
        """The five headers of a request."""
        values = (VERSION, self.key.public.hex(), self.service.hex(), self.nonce, str(self.ts))
        return dict(zip(HEADERS, values, strict=True))

    def seal(self, endpoint: str, document: dict[str, Any]) -> bytes:
        """Give the body to send; `document` is changed in place."""

        def sealed(field: str, text: str) -> str:
            aad = request_aad(self.key.algo, self.model, field, self.nonce, self.ts)
            return seal(self.key.algo, self.service, text.encode(), aad)

        seal_request(endpoint, document, sealed)
        return compact(document)

    def open_answer(self, endpoint: str, untrusted: bytes) -> bytes:
        """Give an answer, or a piece of a stream, in plain, or raise `E2eeDecryptionFailed`."""
        document = json.loads(untrusted)
        if "error" in document and "choices" not in document:
            # A stream that failed after its head was sent; errors are in plain.
            return untrusted
        answer_id = str(document.get("id") or "")

        def opened(field: str, text: str) -> str:
            aad = response_aad(self.key.algo, self.model, field, self.nonce, self.ts, answer_id)
            return unseal(self.key, text, aad).decode()

        transform_answer(endpoint, document, opened)
        if endpoint.endswith("/embeddings"):
            for one in document["data"]:
                # A list travels as its JSON; base64 as it is.
                if one["embedding"].startswith("["):
                    one["embedding"] = json.loads(one["embedding"])
        return compact(document)

    def open_line(self, endpoint: str, line: bytes) -> bytes:
        """Give a line of a stream in plain."""
        data = line.removeprefix(b"data: ")
        if data == line or data.strip() == b"[DONE]":
            return line
        return b"data: " + self.open_answer(endpoint, data.strip()) + b"\n"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it was fetched, with the exchange that it must be of."""

    exchange: Exchange
    policy: Policy
    now_s: Callable[[], int]

    def verify(self) -> VerifiedReceipt:
        """Verify all of it, as `qanat verify receipt` does, or raise the named refusal."""
        return verify_exchange(self.exchange, policy=self.policy, now_s=self.now_s())[1]

    def save(self, path: Path) -> None:
        """Keep it, for `qanat verify receipt`. The file holds prompt and answer in plain."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.exchange.encode())


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the protocol's headers of an answer."""
    return {name: headers[name] for name in KEPT_HEADERS if name in headers}


def read_answer(untrusted: bytes) -> dict[str, Any]:
    """Read a body of the client's own, or raise `E2eeDecryptionFailed`."""
    try:
        found = json.loads(untrusted)
    except ValueError as error:
        raise E2eeDecryptionFailed("the body is not JSON") from error
    if not isinstance(found, dict):
        raise E2eeDecryptionFailed("the body is not a JSON object")
    return found
