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
Asked = tuple[Query, "asyncio.Future[bytes]"]


class Ask(Protocol):
    """Puts a question to a node, and to others where that fails."""

    def __call__(self, question: Callable[[ComputeApi], Awaitable[Any]]) -> Awaitable[Any]:
        """See `ComputeNodes.ask`."""


class Together:
    """Collects questions about the newest state until the event loop has come around."""

    def __init__(self, ask: Ask) -> None:
        self._put = ask
        self._waiting: list[Asked] = []
        self._messages: set[asyncio.Task[None]] = set()

    async def query(self, method: str, args: bytes) -> bytes:
        """See `ComputeApi.query`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((Query(method, args), answer))
        return await answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), QUESTIONS_A_MESSAGE):
            asked = waiting[start : start + QUESTIONS_A_MESSAGE]
            message = asyncio.get_running_loop().create_task(self._ask(asked))
            self._messages.add(message)
            message.add_done_callback(self._messages.discard)
            _end_with_the_last(asked, message)

    async def _ask(self, asked: Sequence[Asked]) -> None:
        if len(asked) == 1:
            await self._ask_alone(*asked[0])
            return
        queries = tuple(query for query, _ in asked)
        answers: tuple[QueryAnswer, ...]
        try:
            answers = await self._put(lambda api: _ask_all(api, queries))
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any failure
            for _, waiting in asked:
                _tell(waiting, error)
            return
        left = list(asked[len(answers) :])
        for one, answer in zip(asked, answers, strict=False):
            failure = answer.error
            if isinstance(failure, Unavailable):
                left.append(one)  # another node may have what this one lacks
            else:
                _tell(one[1], failure or answer.output)
        await asyncio.gather(*(self._ask_alone(*one) for one in left))

    async def _ask_alone(self, query: Query, waiting: asyncio.Future[bytes]) -> None:
        try:
            _tell(waiting, await self._put(lambda api: api.query(query.method, query.args)))
        except Exception as error:  # noqa: BLE001 - as above
            _tell(waiting, error)


async def _ask_all(api: ComputeApi, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
    answers = await api.query_all(queries)
    if not 0 < len(answers) <= len(queries):
        raise PeerFailed(f"{len(queries)} questions got {len(answers)} answers")
    return answers


def _tell(waiting: asyncio.Future[bytes], answer: bytes | Exception) -> None:
    if waiting.done():
        return
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)


def _end_with_the_last(asked: Sequence[Asked], message: asyncio.Task[None]) -> None:
    """Withdraw a message once nobody waits for any of its answers."""
    left = len(asked)

    def note(_: asyncio.Future[bytes]) -> None:
        nonlocal left
        left -= 1
        if not left:
            message.cancel()

    for _, answer in asked:
        answer.add_done_callback(note)
