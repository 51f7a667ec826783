"""
The knowledge app: the service of `apps/inference` with a model more, that answers from documents.

So what is verified, encrypted, receipted and charged there is so here. Beside it stands one route,
for documents.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from apps.data_market.value.split import split_pot
from apps.inference.documents.canonical import Document as Json
from apps.inference.models.answered import Answered, OnText
from apps.inference.serve.engine import Chat, Prepared
from apps.knowledge.answers import NOTHING, ending, question_of, with_notes
from apps.knowledge.guard import Guard
from apps.knowledge.index import Document, Found
from apps.knowledge.shelf import Place, Shelf

MODEL_ID = "knowledge"
ANYBODY = b""
"""The asker where no key was shown: all of them are one."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The model that answers from documents."""

    place: Place
    shelf: Shelf
    chat: Chat
    """The language model that words the answers."""
    answer_wei: int
    upload_key: bytes

    model_id = MODEL_ID

    def capabilities(self) -> Json:
        """Give what the service measures of it: contributors verify whom they seal to."""
        return {
            "chain_id": self.place.chain_id,
            "pay": f"0x{self.place.pay.hex()}",
            "upload_key": self.upload_key.hex(),
        }

    async def take(self, untrusted: bytes) -> Json:
        """Take a sealed document in. Raises as `Shelf.take`."""
        return {"commitment": (await self.shelf.take(untrusted)).hex()}

    async def prepare(self, asker: bytes | None, asked: dict[str, Any]) -> Prepared:
        """
        Find what a conversation is to be answered from; it is paid for by who gets any answer.

        Raises
        ------
        BadQuestion, BadCompletion, GatewayAway, TooBusy
            See each class.
        """
        found = await self.shelf.search(question_of(asked))
        if not found:
            return Prepared(_nothing, ())
        documents = list(dict.fromkeys(one.document.commitment for one in found))
        weights = [_score(found, one) for one in documents]
        pays = zip(documents, split_pot(self.answer_wei, weights), strict=True)
        asked = asked | {"messages": with_notes(asked["messages"], found)}
        run = self._guarded(asker or ANYBODY, asked, found)
        return Prepared(run, tuple((name, wei) for name, wei in pays if wei))

    def _guarded(
        self, asker: bytes, asked: dict[str, Any], found: tuple[Found, ...]
    ) -> Callable[[OnText], Answered]:
        def run(on_text: OnText) -> Answered:
            # Here and not before: answers are made one after the other, and each counts what the
            # ones before it have shown.
            documents = _documents(found)
            names = [one.commitment for one in documents]
            guarded = [one.guarded for one in documents]
            guard = Guard(guarded, self.shelf.shown(asker, names))

            def passed(text: str) -> bool:
                let_through = guard.pass_on(text)
                # Nothing is passed on as well: it asks whether to go on.
                return on_text(let_through) or guard.has_stopped

            try:
                how = self.chat.chat(asked, passed)
            finally:
                self.shelf.keep_shown(asker, dict(zip(names, guard.shown, strict=True)))
            on_text(ending(found, is_withheld=guard.has_stopped))
            return how

        return run


def _nothing(on_text: OnText) -> Answered:
    on_text(NOTHING + ending((), is_withheld=False))
    return Answered("stop", 0, 0)


def _score(found: Iterable[Found], commitment: bytes) -> int:
    return sum(one.score for one in found if one.document.commitment == commitment)


def _documents(found: Iterable[Found]) -> list[Document]:
    return list({one.document.commitment: one.document for one in found}.values())
