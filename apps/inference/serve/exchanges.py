"""
One request from its bytes to its receipt.

Whatever is answered, refusals included, has a receipt over exactly the bytes that were seen and
sent. Only who shows no valid key gets none: strangers fill no table.
"""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from apps.inference.documents.canonical import VERSION, digest
from apps.inference.documents.receipt import ReceiptDraft
from apps.inference.e2ee.fields import CHAT, COMPLETIONS, EMBEDDINGS
from apps.inference.e2ee.gate import Channel, Gate
from apps.inference.errors import (
    BadCompletion,
    E2eeUnsupportedEndpoint,
    NobodyListens,
    UnknownModel,
)
from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Pays
from apps.inference.models.answered import Answered, OnText
from apps.inference.serve.answers import Answering, embedding_answer
from apps.inference.serve.engine import Engine, IsGone, Models, stays
from apps.inference.serve.failures import show_failure
from apps.inference.serve.identity import Identity
from apps.inference.serve.pauses import with_pauses
from apps.inference.serve.receipts import Kept, Receipts
from apps.inference.serve.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    read_request,
)
from shared.crypto.entropy import Entropy
from shared.crypto.hashes import sha256
from shared.errors import QanatError

JSON_TYPE, STREAM_TYPE = "application/json", "text/event-stream"
END_OF_STREAM = b"data: [DONE]\n\n"
Compute = Callable[[OnText], Answered]
KEEP_ALIVE = b": keep-alive\n\n"
"""
A comment, which readers of event streams pass over. Source: WHATWG HTML, 9.2.6. It is hashed
into the receipt as all that is sent.
"""
KEEP_ALIVE_S = 10.0
"""A stream says this much, at least, in so long [s]; it begins after so long without a word."""
GONE_S = 1.0
"""So often is asked whether who waits for a whole answer is still there [s]."""
BYTES_A_TOKEN = 4
"""About so many; counted where a client goes before the model has said how many there were."""


@dataclass
class Seen:
    """What is known of a request while it is served."""

    endpoint: str
    owner: bytes | None
    receipt_id: str
    received: bytes
    is_gone: IsGone = stays
    chat_id: str | None = None
    model: str | None = None
    was_computed: bool = False
    channel: Channel | None = None
    how: Answered | None = None
    """How the answer ended, once it has."""
    is_reserved: bool = False
    """Whether credit is set aside for it."""
    pays: Pays = ()
    """What its sources are paid, once it is answered."""
    headers: dict[str, str] = field(default_factory=dict)


class Exchanges:
    """Serves prompts."""

    def __init__(
        self,
        identity: Identity,
        gate: Gate,
        engine: Engine,
        models: Models,
        entropy: Entropy,
        now_s: Callable[[], int],
        meter: Meter | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self.meter, self._keep_alive_s = meter, keep_alive_s
        self._identity, self._gate, self._engine = identity, gate, engine
        self._models, self._entropy, self._now_s = models, entropy, now_s
        self.receipts = Receipts()

    async def answer(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        body: bytes,
        owner: bytes | None,
        is_gone: IsGone = stays,
    ) -> Response:
        """Answer a prompt, or refuse it, with a receipt for either; the gone get no answer."""
        seen = Seen(endpoint, owner, f"rcpt-{self._draw('receipt')}", body, is_gone)
        seen.headers["X-Receipt-Id"] = seen.receipt_id
        try:
            if self._gate.is_encrypted(headers):
                self._open(seen, headers)
            return await self._serve(seen)
        except QanatError as error:
            status, shown = show_failure(error)
            seen.was_computed, seen.channel = False, None
            return self._buffered(seen, shown, status)

    def _open(self, seen: Seen, headers: Mapping[str, str]) -> None:
        if seen.endpoint not in (CHAT, COMPLETIONS, EMBEDDINGS):
            raise E2eeUnsupportedEndpoint("this route has no encrypted form")
        opened, channel = self._gate.open(seen.endpoint, headers, seen.received)
        seen.received, seen.channel = opened, channel

    async def _serve(self, seen: Seen) -> Response:
        if seen.endpoint == EMBEDDINGS:
            return await self._embed(seen)
        is_chat = seen.endpoint == CHAT
        request = (
            read_request(ChatRequest, seen.received)
            if is_chat
            else read_request(CompletionRequest, seen.received)
        )
        sourced = self._models.sourced if is_chat else None
        if sourced is not None and request.model == sourced.model_id:
            self._admit(seen, request.model, sourced.model_id)
        else:
            sourced = None
            self._admit(seen, request.model, self._models.chat_id)
        request.verify_provider()
        await self._reserve(seen)
        asked = request.for_model()
        if sourced is None:
            chat = self._models.chat
            compute: Compute = partial(chat.chat if is_chat else chat.complete, asked)
        else:
            prepared = await sourced.prepare(seen.owner, asked)
            compute, seen.pays = prepared.run, prepared.pays
        prefix = "chatcmpl" if is_chat else "cmpl"
        seen.chat_id = f"{prefix}-{self._draw('answer')}"
        answering = Answering(seen.chat_id, request.model, self._now_s(), is_chat=is_chat)
        pieces = self._engine.stream(compute, seen.is_gone)
        if request.stream:
            has_usage = request.stream_options is not None and request.stream_options.include_usage
            return await self._stream(seen, answering, pieces, is_chat, has_usage)
        text, seen.how = await self._whole(seen, pieces)
        return self._computed(seen, answering.whole(text, seen.how))

    async def _whole(
        self, seen: Seen, pieces: AsyncGenerator[str | Answered, None]
    ) -> tuple[str, Answered]:
        """Wait for all of an answer; raises `NobodyListens` where nobody does any more."""
        texts, how = list[str](), Answered("stop", 0, 0)
        asked_s = time.monotonic()
        async with aclosing(with_pauses(pieces, GONE_S)) as waited:
            async for one in waited:
                if isinstance(one, Answered):
                    how = one
                elif one is not None:
                    texts.append(one)
                if time.monotonic() - asked_s >= GONE_S:
                    asked_s = time.monotonic()
                    if await seen.is_gone():
                        raise NobodyListens("who asked is gone")
        return "".join(texts), how

    async def _embed(self, seen: Seen) -> Response:
        request = read_request(EmbeddingRequest, seen.received)
        self._admit(seen, request.model, self._models.embedding_id)
        request.verify_provider()
        await self._reserve(seen)
        embed = self._models.embeddings.embed
        each = await self._engine.run_each(
            [partial(embed, [text]) for text in request.texts], seen.is_gone
        )
        vectors, tokens = [one for (one,), _ in each], sum(read for _, read in each)
        seen.how = Answered("stop", tokens, 0)
        as_base64 = request.encoding_format == "base64"
        return self._computed(
            seen, embedding_answer(vectors, tokens, request.model, as_base64=as_base64)
        )

    def _admit(self, seen: Seen, model: str, known: str) -> None:
        seen.model = model
        if model not in self._models.digests:
            raise UnknownModel(f"no model {model[:80]!r}")
        if model != known:
            raise BadCompletion(f"{model} does not serve {seen.endpoint}", "model")

    def _computed(self, seen: Seen, answer: dict[str, Any]) -> Response:
        seen.was_computed = True
        return self._buffered(seen, self._encode(seen, answer), 200)

    def _buffered(self, seen: Seen, content: bytes, status: int) -> Response:
        self._close(seen, content)
        return Response(content, status, self._headers(seen), JSON_TYPE)

    async def _stream(
        self,
        seen: Seen,
        answering: Answering,
        pieces: AsyncGenerator[str | Answered, None],
        is_chat: bool,
        has_usage: bool,
    ) -> Response:
        # The first piece is waited for, though not for long: what the model refuses has a status
        # of its own then.
        waited = with_pauses(pieces, self._keep_alive_s)
        first = await anext(waited)
        seen.was_computed = first is not None

        async def sent() -> AsyncGenerator[bytes, None]:
            emitted, pieces_sent = bytearray(), 0
            prompt_tokens = len(seen.received) // BYTES_A_TOKEN

            def event(shape: dict[str, Any]) -> bytes:
                return line(b"data: " + self._encode(seen, shape) + b"\n\n")

            def line(content: bytes) -> bytes:
                emitted.extend(content)
                return content

            one: str | Answered | None = first
            has_begun = False
            try:
                while not isinstance(one, Answered):
                    if one is None:
                        yield line(KEEP_ALIVE)
                    else:
                        seen.was_computed = True
                        if is_chat and not has_begun:
                            yield event(answering.first())
                        has_begun = True
                        pieces_sent += 1
                        seen.how = Answered("stop", prompt_tokens, pieces_sent)
                        yield event(answering.piece(one))
                    one = await anext(waited)
                seen.was_computed, seen.how = True, one
                if is_chat and not has_begun:
                    yield event(answering.first())
                yield event(answering.last(one))
                if has_usage:
                    yield event(answering.usage(one))
                # Before the end is sent: who has it all finds the receipt.
                end = line(END_OF_STREAM)
                self._close(seen, bytes(emitted))
                yield end
            except QanatError as error:
                # The status was sent; whoever reads is told, and pays for nothing that failed.
                seen.how = None
                told = line(b"data: " + show_failure(error)[1] + b"\n\n" + END_OF_STREAM)
                self._close(seen, bytes(emitted))
                yield told
            finally:
                if not emitted.endswith(END_OF_STREAM):
                    # Who went early pays for what he got.
                    self._close(seen, bytes(emitted))
                await waited.aclose()

        # Begun here, so that its end is reached even where nobody listens from the start.
        stream = sent()
        head = await anext(stream)

        async def body() -> AsyncIterator[bytes]:
            async with aclosing(stream):
                yield head
                async for part in stream:
                    yield part

        return StreamingResponse(body(), 200, self._headers(seen), STREAM_TYPE)

    async def _reserve(self, seen: Seen) -> None:
        if self.meter is not None:
            await self.meter.admit(seen.owner)
            seen.is_reserved = True

    def _encode(self, seen: Seen, answer: dict[str, Any]) -> bytes:
        if seen.channel is not None:
            seen.channel.seal_answer(seen.endpoint, answer, str(answer.get("id") or ""))
        return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()

    def _headers(self, seen: Seen) -> dict[str, str]:
        if seen.channel is not None:
            seen.headers |= {
                "X-E2EE-Applied": "true",
                "X-E2EE-Version": "2",
                "X-E2EE-Algo": seen.channel.algo,
            }
        return seen.headers | self.headers()

    def headers(self) -> dict[str, str]:
        """Give the headers of every answer."""
        return {"X-ACI-Version": VERSION, "X-ACI-Keyset-Digest": self._identity.digest}

    def _close(self, seen: Seen, returned: bytes) -> None:
        received = digest(seen.received)
        draft = ReceiptDraft(
            receipt_id=seen.receipt_id,
            chat_id=seen.chat_id if seen.was_computed else None,
            model=seen.model,
            endpoint=seen.endpoint,
            method="POST",
            served_at=self._now_s(),
            received=received,
            forwarded=received if seen.was_computed else None,
            returned=digest(returned),
        )
        legacy = f"{sha256(seen.received).hex()}:{sha256(returned).hex()}"
        document = self._identity.sign(draft)
        self.receipts.keep(Kept(document, seen.owner, legacy))
        if self.meter is not None and seen.is_reserved:
            seen.is_reserved = False
            self.meter.release(seen.owner)
            if seen.was_computed and seen.how is not None:
                how = seen.how
                tokens = how.prompt_tokens, how.completion_tokens
                self.meter.record(seen.owner, *tokens, document, seen.pays)

    def _draw(self, label: str) -> str:
        return self._entropy.draw(f"inference: {label}", 16).hex()
