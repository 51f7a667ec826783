"""
Questions of one moment go to a node in one message.

Each message costs its sender, a host and an enclave a task and a wake-up, and the sender a choice
of the node, which is most of what a small question takes. Who asks alone waits a turn of the event
loop for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from shared.api.compute import ComputeApi
from shared.errors import PeerFailed, Unavailable
from shared.types.queries import MAX_QUERIES, Query, QueryAnswer

QUESTIONS_A_MESSAGE = MAX_QUERIES // 2
"""Those of a moment beyond it go to another node, whose enclave works at the same time."""


class Ask(Protocol):
    """Puts a question to a node, and to others where that fails."""

    def __call__(self, question: Callable[[ComputeApi], Awaitable[Any]]) -> Awaitable[Any]:
        """See `ComputeNodes.ask`."""


class _Asked:
    """A question, and where its answer is waited for."""

    __slots__ = ("answer", "message", "query")

    def __init__(self, query: Query, answer: "asyncio.Future[bytes]") -> None:
        self.query, self.answer = query, answer
        self.message: _Message | None = None

    def tell(self, answer: bytes | Exception) -> None:
        """Answer it, unless nobody waits any more."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class _Message:
    """Questions that go to a node together, and the task that sees to them."""

    __slots__ = ("asked", "task")

    def __init__(self, asked: Sequence[_Asked], task: "asyncio.Task[None]") -> None:
        self.asked, self.task = asked, task
        for one in asked:
            one.message = self

    def withdraw_unless_waited_for(self) -> None:
        """End the task where nobody waits for any of its answers."""
        if all(one.answer.done() for one in self.asked):
            self.task.cancel()


class Together:
    """Collects questions about the newest state until the event loop has come around."""

    def __init__(self, ask: Ask) -> None:
        self._put = ask
        self._waiting: list[_Asked] = []
        self._messages: set[asyncio.Task[None]] = set()

    async def query(self, method: str, args: bytes) -> bytes:
        """See `ComputeApi.query`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        asked = _Asked(Query(method, args), loop.create_future())
        self._waiting.append(asked)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if asked.message is not None:
                asked.message.withdraw_unless_waited_for()
            raise

    def _send(self) -> None:
        waiting = [one for one in self._waiting if not one.answer.done()]
        self._waiting = []
        for start in range(0, len(waiting), QUESTIONS_A_MESSAGE):
            asked = waiting[start : start + QUESTIONS_A_MESSAGE]
            task = asyncio.get_running_loop().create_task(self._ask(asked))
            self._messages.add(task)
            task.add_done_callback(self._messages.discard)
            _Message(asked, task)

    async def _ask(self, asked: Sequence[_Asked]) -> None:
        if len(asked) == 1:
            await self._ask_alone(asked[0])
            return
        queries = tuple(one.query for one in asked)
        answers: tuple[QueryAnswer, ...]
        try:
            answers = await self._put(lambda api: _ask_all(api, queries))
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any failure
            for one in asked:
                one.tell(error)
            return
        left = list(asked[len(answers) :])
        for one, answer in zip(asked, answers, strict=False):
            failure = answer.error
            if isinstance(failure, Unavailable):
                left.append(one)  # another node may have what this one lacks
            else:
                one.tell(failure or answer.output)
        if left:
            await asyncio.gather(*map(self._ask_alone, left))

    async def _ask_alone(self, asked: _Asked) -> None:
        query = asked.query
        try:
            asked.tell(await self._put(lambda api: api.query(query.method, query.args)))
        except Exception as error:  # noqa: BLE001 - as above
            asked.tell(error)


async def _ask_all(api: ComputeApi, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
    answers = await api.query_all(queries)
    if not 0 < len(answers) <= len(queries):
        raise PeerFailed(f"{len(queries)} questions got {len(answers)} answers")
    return answers
