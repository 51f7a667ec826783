"""
A transport for OpenAI's own client: verifies before it sends, encrypts, and keeps what proves.

Bodies are hashed as they came off the wire, and handed on in plain.
"""

import time
from collections.abc import Callable, Iterator
from typing import cast

import httpx2

from apps.inference.client.session import (
    ClientChannel,
    Established,
    Receipt,
    establish,
    kept_headers,
    read_answer,
)
from apps.inference.documents.canonical import read_document
from apps.inference.e2ee.fields import CHAT, COMPLETIONS, EMBEDDINGS, compact
from apps.inference.errors import AnswerTooLarge, NoReceipt, ServiceAway
from apps.inference.verify.exchange import Exchange
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import DIGEST_HEADER, RECEIPT_HEADER

PROMPTS = (CHAT, COMPLETIONS, EMBEDDINGS)
MAX_ANSWER_BYTES = 8 << 20
END_OF_STREAM = b"data: [DONE]\n\n"
OK = 200


class VerifyingTransport(httpx2.BaseTransport):
    """
    Stands before another transport.

    One request at a time has the last receipt; use a client for each thread.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        encrypt: bool = True,
        inner: httpx2.BaseTransport | None = None,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self._policy, self._encrypt, self._now_s = policy, encrypt, now_s
        self._inner = inner or httpx2.HTTPTransport()
        self._established: Established | None = None
        self._pending: _Pending | None = None

    def close(self) -> None:
        """Close the transport behind."""
        self._inner.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """
        Send a request.

        Raises
        ------
        Rejected
            The service is not one that the policy accepts; nothing of the prompt was sent.
        """
        endpoint = request.url.path
        if request.method != "POST" or not endpoint.endswith(PROMPTS):
            return self._inner.handle_request(request)
        endpoint = next(one for one in PROMPTS if endpoint.endswith(one))
        plain = request.read()
        established = self.established(request.url)
        response = self._send(request, endpoint, plain, established)
        if response.headers.get(DIGEST_HEADER) != established.service.digest:
            # Another keyset: the service began anew. It is verified again before it hears more.
            response.read()
            response.close()
            self._established = None
            response = self._send(request, endpoint, plain, self.established(request.url))
        return response

    def established(self, url: httpx2.URL) -> Established:
        """Give the verified service, asked anew once its keyset is over."""
        known, now_s = self._established, self._now_s()
        if known is None or known.service.keyset.not_after <= now_s:

            def fetch(nonce: str) -> bytes:
                place = url.copy_with(path="/v1/aci/attestation", params={"nonce": nonce})
                return self._get(place, {})

            known = self._established = establish(fetch, self._policy, now_s)
        return known

    def last_receipt(self) -> Receipt:
        """
        Fetch the receipt of the last answer, which must have been read to its end.

        Raises
        ------
        NoReceipt, ServiceAway
            Nothing was asked, or the answer is not read; the service does not give it.
        """
        pending = self._pending
        if pending is None or not pending.is_whole:
            raise NoReceipt("there is no answer that was read to its end")
        receipt_id = pending.headers.get(RECEIPT_HEADER, "")
        place = pending.url.copy_with(path=f"/v1/aci/receipts/{receipt_id}", query=None)
        document = read_document(self._get(place, pending.authorization))
        known = pending.established
        exchange = Exchange(
            nonce=known.nonce,
            report=known.report,
            receipt=document,
            request=pending.request,
            response=bytes(pending.raw),
            headers=pending.headers,
        )
        return Receipt(exchange, self._policy, self._now_s)

    def _send(
        self, request: httpx2.Request, endpoint: str, plain: bytes, known: Established
    ) -> httpx2.Response:
        body, channel = plain, None
        headers = request.headers.copy()
        if self._encrypt:
            document = read_answer(plain)
            plain = compact(document)
            channel = ClientChannel.open(known, str(document.get("model")), self._now_s())
            body = channel.seal(endpoint, document)
            headers.update(channel.headers)
        headers["accept-encoding"] = "identity"
        for name in ("content-length", "transfer-encoding"):
            headers.pop(name, None)
        sent = httpx2.Request(
            request.method,
            request.url,
            headers=headers,
            content=body,
            extensions=request.extensions,
        )
        response = self._inner.handle_request(sent)
        is_sealed = channel is not None and response.status_code == OK
        pending = self._pending = _Pending(
            request, plain, known, kept_headers(response.headers), channel if is_sealed else None
        )
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        answered = response.headers.copy()
        answered.pop("content-length", None)
        stream = cast("httpx2.SyncByteStream", response.stream)
        return httpx2.Response(
            response.status_code,
            headers=answered,
            stream=_Opened(stream, pending, endpoint, is_stream=is_stream),
            extensions=response.extensions,
        )

    def _get(self, url: httpx2.URL, headers: dict[str, str]) -> bytes:
        response = self._inner.handle_request(httpx2.Request("GET", url, headers=headers))
        try:
            content = response.read()
        finally:
            response.close()
        if response.status_code != OK:
            raise ServiceAway(f"{url.path} answers {response.status_code}")
        return content


class _Pending:
    """The last exchange, while its answer is read."""

    def __init__(
        self,
        request: httpx2.Request,
        plain: bytes,
        established: Established,
        headers: dict[str, str],
        channel: ClientChannel | None,
    ) -> None:
        self.url, self.request, self.established = request.url, plain, established
        self.headers, self.channel = headers, channel
        key = request.headers.get("authorization")
        self.authorization = {} if key is None else {"authorization": key}
        self.raw = bytearray()
        self.is_whole = False

    def keep(self, part: bytes) -> None:
        """Keep what came off the wire, or raise `AnswerTooLarge`."""
        self.raw += part
        # Who reads streams stops here, and asks for no more.
        self.is_whole = self.raw.endswith(END_OF_STREAM)
        if len(self.raw) > MAX_ANSWER_BYTES:
            raise AnswerTooLarge(f"an answer has at most {MAX_ANSWER_BYTES} bytes")


class _Opened(httpx2.SyncByteStream):
    """An answer in plain."""

    def __init__(
        self, inner: httpx2.SyncByteStream, pending: _Pending, endpoint: str, *, is_stream: bool
    ) -> None:
        self._inner, self._pending = inner, pending
        self._endpoint, self._is_stream = endpoint, is_stream

    def __iter__(self) -> Iterator[bytes]:
        channel = self._pending.channel
        rest = b""
        for part in self._inner:
            self._pending.keep(part)
            if channel is None:
                yield part
            elif self._is_stream:
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield channel.open_line(self._endpoint, line + b"\n")
        if channel is not None:
            if self._is_stream:
                yield rest
            else:
                yield channel.open_answer(self._endpoint, bytes(self._pending.raw))
        self._pending.is_whole = True

    def close(self) -> None:
        """Close the connection's stream."""
        self._inner.close()
