"""The knowledge app in the test's process: a register of documents, words as vectors, a parrot."""

import math
import re
import zlib
from contextlib import asynccontextmanager

from nacl.public import PrivateKey

from apps.boxes import seal_to
from apps.inference.models.answered import Answered
from apps.inference.serve.engine import Engine, Models
from apps.inference.serve.service import serving
from apps.knowledge.__main__ import AppKeys, with_knowledge
from apps.knowledge.chain import Registered
from apps.knowledge.chunks import read_text, split
from apps.knowledge.client import Given
from apps.knowledge.errors import ContractRefused
from apps.knowledge.shelf import Place
from apps.knowledge.uploads import DocumentUpload
from tests.support.inference import MODELS, NOW_S, daemon

PLACE = Place(0x5AFD, b"\x07" * 20)
ANSWER_WEI = 1_000_003
DIMENSIONS = 64
_NOTES = re.compile(r"from these notes:\n\n(.*)", re.DOTALL)


class Words:
    """Embeddings: texts are near where they share words."""

    def embed(self, texts):
        return [self._vector(one) for one in texts], sum(map(len, texts))

    def _vector(self, text):
        vector = [0.0] * DIMENSIONS
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % DIMENSIONS] += 1.0
        length = math.sqrt(sum(one * one for one in vector)) or 1.0
        return [one / length for one in vector]


class Parrot:
    """The worst language model: it says its notes, as an attacker tells it to."""

    def __init__(self, say=lambda notes, _: notes):
        self.say, self.asked = say, []

    def chat(self, request, on_text):
        self.asked.append(request)
        notes = _NOTES.search(request["messages"][0]["content"])
        text = self.say(notes[1] if notes else "", request["messages"][-1]["content"])
        pieces = 0
        for at in range(0, len(text), 5):
            pieces += 1
            if on_text(text[at : at + 5]):
                break
        return Answered("stop", 5, pieces)

    complete = chat

    def models(self):
        names = list(MODELS)
        return Models(names[0], self, names[1], Words(), MODELS)


class Register:
    """The registry's rules, in the test's process."""

    def __init__(self):
        self.documents = {}

    def register(self, commitment, chunks, max_run=40, budget=100, owner="ana"):
        number = len(self.documents) + 1
        self.documents[commitment] = Registered(owner, number, chunks, max_run, budget, False)

    def remove(self, commitment):
        found = self.documents[commitment]
        self.documents[commitment] = Registered(
            *(found.owner, found.number, found.chunks, found.max_run, found.budget), True
        )

    def document(self, commitment):
        try:
            return self.documents[commitment]
        except KeyError:
            raise ContractRefused("UnknownDocument") from None

    def are_there(self, commitments):
        found = (self.documents.get(one) for one in commitments)
        return [one is not None and not one.removed for one in found]


def given(text, secret=b"\x05" * 32):
    return Given(text.encode(), secret, split(read_text(text.encode())))


def sealed(keys, document, **changes):
    fields = {
        "chain_id": PLACE.chain_id,
        "pay": PLACE.pay,
        "commitment": document.commitment,
        "secret": document.secret,
        "text": document.text,
    }
    return seal_to(bytes(keys.uploads.public_key), DocumentUpload(**(fields | changes)))


def some_keys():
    return AppKeys(None, PrivateKey(b"\x01" * 32), b"\x02" * 32, b"\x03" * 32)


class App:
    """The model of the app, without HTTP."""

    def __init__(self, folder, parrot=None, register=None):
        self.keys, self.register = some_keys(), register or Register()
        self.parrot, self.engine = parrot or Parrot(), Engine()
        self.knowledge = extended(self.parrot.models(), self.engine, self, folder).sourced

    async def add(self, text, secret=b"\x05" * 32, **policy):
        """Register a text and hand it over; what its owner keeps."""
        document = given(text, secret)
        if document.commitment not in self.register.documents:
            self.register.register(document.commitment, len(document.chunks), **policy)
        await self.knowledge.take(sealed(self.keys, document))
        return document

    async def ask(self, question, asker=b"a" * 32, **options):
        """Give the whole answer, and what is paid for it."""
        asked = {"messages": [{"role": "user", "content": question}], "temperature": 0} | options
        prepared = await self.knowledge.prepare(asker, asked)
        pieces = []
        await self.engine.run(lambda: prepared.run(lambda text: bool(pieces.append(text))))
        return "".join(pieces), dict(prepared.pays)


def extended(models, engine, app, folder):
    return with_knowledge(
        models,
        engine,
        keys=app.keys,
        chain=app.register,
        place=PLACE,
        answer_wei=ANSWER_WEI,
        store=folder,
    )


@asynccontextmanager
async def an_app(folder, **options):
    app = App(folder, **options)
    try:
        yield app
    finally:
        app.engine.close()


@asynccontextmanager
async def served_app(socket, parrot, register, folder, now_s=lambda: NOW_S, began_s=NOW_S, **more):
    """The whole service over HTTP; gives the application and the keys."""
    app = type("Of", (), {"keys": some_keys(), "register": register})()
    async with (
        daemon(socket, began_s=began_s),
        serving(
            socket,
            more.pop("key_hashes", frozenset()),
            load=parrot.models,
            now_s=now_s,
            extend=lambda models, engine: extended(models, engine, app, folder),
            **more,
        ) as serving_app,
    ):
        yield serving_app, app.keys
