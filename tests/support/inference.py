"""A service of confidential inference with a daemon of its own, in the test's process."""

import asyncio
import json
import time
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import httpx

from apps.appd import Appd
from apps.inference.documents.canonical import digest, read_document
from apps.inference.documents.receipt import ReceiptDraft
from apps.inference.models.answered import Answered
from apps.inference.serve.engine import Models
from apps.inference.serve.identity import make_identity
from apps.inference.serve.service import serving
from apps.inference.verify.exchange import Exchange
from qanat.rofl.alone import make_alone
from qanat.rofl.serve import serve_appd
from shared.crypto.hashes import sha256
from tests.support.app_server import on_a_port

NOW_S = 1_760_000_000
NONCE = bytes(range(32)).hex()
MODELS = {"smollm2-135m-instruct": digest(b"weights"), "all-minilm-l6-v2": digest(b"more weights")}
REQUEST = b'{"messages":[{"content":"hi","role":"user"}],"model":"demo-model"}'
RESPONSE = b'{"choices":[],"id":"chatcmpl-123"}'


@asynccontextmanager
async def daemon(path, seed=b"inference", began_s=NOW_S):
    """The daemon's socket, where it serves."""
    instance, alone = make_alone(seed=seed, now_s=began_s)
    ready = asyncio.Event()
    serving = asyncio.create_task(
        serve_appd(instance, path, None, lambda _: ready.set(), with_signals=False)
    )
    try:
        await asyncio.wait_for(ready.wait(), 10)
        yield alone
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def an_identity(path, **options):
    async with daemon(path) as alone:
        appd = Appd(path)
        try:
            yield await make_identity(appd, MODELS, lambda: NOW_S, **options), alone
        finally:
            await appd.close()


def make_exchange(tmp_path) -> Exchange:
    """A whole, good exchange, as a client keeps it."""

    async def make():
        async with an_identity(tmp_path / "appd.sock") as (identity, _):
            report = await identity.report(NONCE)
            draft = ReceiptDraft(
                receipt_id="rcpt-1",
                chat_id="chatcmpl-123",
                model="demo-model",
                endpoint="/v1/chat/completions",
                method="POST",
                served_at=NOW_S,
                received=digest(REQUEST),
                forwarded=digest(REQUEST),
                returned=digest(RESPONSE),
            )
            return report, identity.sign(draft)

    report, receipt = asyncio.run(make())
    return Exchange(
        nonce=NONCE,
        report=read_document(json.dumps(report).encode()),
        receipt=receipt,
        request=REQUEST,
        response=RESPONSE,
        headers={
            "x-aci-version": "aci/1",
            "x-aci-keyset-digest": report["workload_keyset_digest"],
            "x-receipt-id": "rcpt-1",
        },
    )


class Scripted:
    """Models whose answers hang on the request alone; they count what they were asked."""

    def __init__(self, pieces=("Hel", "lo ", "wörld")):
        self.pieces, self.asked = pieces, []

    def chat(self, request, on_text):
        self.asked.append(request)
        for at, piece in enumerate(self.pieces, 1):
            if on_text(piece):
                return Answered("stop", 5, at)
        return Answered("stop", 5, len(self.pieces))

    complete = chat

    def embed(self, texts):
        self.asked.append(texts)
        return [[float(len(one)), 0.5] for one in texts], sum(map(len, texts))

    def models(self):
        names = list(MODELS)
        return Models(names[0], self, names[1], self, MODELS)


KEY, OTHER_KEY = "sk-ana", "sk-ben"
HASHES = frozenset(sha256(one.encode()) for one in (KEY, OTHER_KEY))


@asynccontextmanager
async def served(
    path, models=None, now_s=lambda: NOW_S, key_hashes=HASHES, began_s=NOW_S, **options
):
    """The application of a whole service, with scripted models."""
    load = (models or Scripted()).models
    async with (
        daemon(path, began_s=began_s),
        serving(path, key_hashes, load=load, now_s=now_s, **options) as app,
    ):
        yield app


def real_now():
    return int(time.time())


def a_client(app, key=KEY):
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://inference", headers=headers
    )


@contextmanager
def a_server(path, models=None, **options):
    """The service on a port, in a thread of its own; gives its URL, and what it was asked."""
    scripted = models or Scripted()
    app = served(path, scripted, now_s=real_now, began_s=real_now(), **options)
    with on_a_port(app) as url:
        yield SimpleNamespace(scripted=scripted, url=url)
