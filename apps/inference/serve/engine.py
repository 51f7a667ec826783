"""
The models behind one door: one computes at a time, and few wait.

Computing has a thread of its own at the lowest priority of the machine, so that blocks keep theirs;
the language model a process besides, which also pauses (`models/pace.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from apps.inference.documents.canonical import Document
from apps.inference.errors import NobodyListens, TooBusy
from apps.inference.metering.usage import Pays
from apps.inference.models.answered import Answered, OnText
from shared.kit.cpu_share import give_way

MAX_WAITING = 16
"""Requests that wait while one computes."""
Result = TypeVar("Result")
IsGone = Callable[[], Awaitable[bool]]
"""Says whether who asked is gone."""


async def stays() -> bool:
    """Say no: where nobody can be gone."""
    return False


class Chat(Protocol):
    """A language model."""

    def chat(self, request: dict[str, Any], on_text: OnText) -> Answered:
        """Answer a conversation."""
        ...

    def complete(self, request: dict[str, Any], on_text: OnText) -> Answered:
        """Continue a text."""
        ...


class Embeddings(Protocol):
    """An embedding model."""

    def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Give vectors, and tokens read."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer that waits for its turn."""

    run: Callable[[OnText], Answered]
    pays: Pays
    """Whose what it is made from is, and what of its price is theirs."""


class Sourced(Protocol):
    """A model of conversations that answers from sources, each of which is paid for."""

    model_id: str

    def capabilities(self) -> Document:
        """Give what the service measures of it."""
        ...

    async def take(self, untrusted: bytes) -> Document:
        """Take a sealed source in."""
        ...

    async def prepare(self, asker: bytes | None, asked: dict[str, Any]) -> Prepared:
        """Find the sources of an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What the service offers, by name, with the digest of the weights."""

    chat_id: str
    chat: Chat
    embedding_id: str
    embeddings: Embeddings
    digests: dict[str, str]
    sourced: Sourced | None = None


class Engine:
    """Runs one computation at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inference", initializer=give_way)
        self._turn, self._waiting = asyncio.Lock(), 0
        self._is_ending = False

    def end_answers(self) -> None:
        """End what is computed where it is, and refuse what waits and what comes."""
        self._is_ending = True

    @asynccontextmanager
    async def _taking_turns(self, is_gone: IsGone = stays) -> AsyncIterator[None]:
        if self._waiting > MAX_WAITING:
            raise TooBusy("too many requests wait; try again")
        self._waiting += 1
        try:
            async with self._turn:
                if self._is_ending:
                    raise TooBusy("the service ends; try another one")
                if await is_gone():
                    raise NobodyListens("who asked is gone")
                yield
        finally:
            self._waiting -= 1

    async def run(self, compute: Callable[[], Result]) -> Result:
        """Compute in the thread, or raise `TooBusy`."""
        return (await self.run_each([compute]))[0]

    async def run_each(
        self, computations: Sequence[Callable[[], Result]], is_gone: IsGone = stays
    ) -> list[Result]:
        """
        Compute one after the other, in one turn.

        Raises
        ------
        TooBusy, NobodyListens
            Too many wait, or all is ended; `is_gone` when the turn came.
        """
        loop, found = asyncio.get_running_loop(), []
        async with self._taking_turns(is_gone):
            for compute in computations:
                if self._is_ending:
                    raise TooBusy("the service ends; try another one")
                found.append(await loop.run_in_executor(self._thread, compute))
        return found

    async def stream(
        self, compute: Callable[[OnText], Answered], is_gone: IsGone = stays
    ) -> AsyncGenerator[str | Answered, None]:
        """
        Give an answer's pieces as they come, and last how it ended.

        Who stops listening stops the computation.

        Raises
        ------
        TooBusy, NobodyListens, BadCompletion, ModelEnded, ModelSilent
            Too many wait; `is_gone` when the turn came; the model cannot take the request; it ended
            before its answer did, or stands still.
        """
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | Answered]()
        is_over = is_cut = False
        async with self._taking_turns(is_gone):

            def on_text(text: str) -> bool:
                nonlocal is_cut
                if text:
                    loop.call_soon_threadsafe(pieces.put_nowait, text)
                is_cut = self._is_ending
                return is_over or is_cut

            running = loop.run_in_executor(self._thread, compute, on_text)
            try:
                while not (running.done() and pieces.empty()):
                    waiting = asyncio.ensure_future(pieces.get())
                    either: set[asyncio.Future[Any]] = {waiting, running}
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                    if waiting.done():
                        yield waiting.result()
                    else:
                        # What the thread sent before it ended came before its end did.
                        waiting.cancel()
                answered = await running
                yield Answered(
                    "length" if is_cut else answered.finish_reason,
                    answered.prompt_tokens,
                    answered.completion_tokens,
                )
            finally:
                is_over = True
                await asyncio.wait({running})

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
