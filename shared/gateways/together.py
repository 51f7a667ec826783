"""
Questions of one moment go to a node in one message.

Each message costs its sender, a host and an enclave a task and a wake-up, which is most of what a
small question takes. Who asks alone waits a turn of the event loop for it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from shared.api.compute import ComputeApi
from shared.errors import PeerFailed
from shared.types.identity import Round
from shared.types.queries import MAX_QUERIES, MAX_TOGETHER_BYTES, Query, QueryAnswer

Asked = tuple[Query, "asyncio.Future[bytes]"]


def asking_together(api: ComputeApi) -> ComputeApi:
    """Give a node's API that sends questions about the newest state together."""
    return cast("ComputeApi", _Together(api))


class _Together:
    """All else is asked as ever."""

    def __init__(self, api: ComputeApi) -> None:
        self._api = api
        self._waiting: list[Asked] = []
        self._messages: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """See `ComputeApi.query`."""
        if round is not None or len(args) > MAX_TOGETHER_BYTES:
            return await self._api.query(method, args, round)
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append((Query(method, args), answer))
        return await answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), MAX_QUERIES):
            asked = waiting[start : start + MAX_QUERIES]
            message = asyncio.get_running_loop().create_task(self._ask(asked))
            self._messages.add(message)
            message.add_done_callback(self._messages.discard)
            _end_with_the_last(asked, message)

    async def _ask(self, asked: Sequence[Asked]) -> None:
        if len(asked) == 1:
            await self._ask_alone(*asked[0])
            return
        try:
            answers = await self._ask_all(tuple(query for query, _ in asked))
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any failure
            for _, waiting in asked:
                _tell(waiting, error)
            return
        for (_, waiting), answer in zip(asked, answers, strict=False):
            _tell(waiting, answer.error or answer.output)
        await asyncio.gather(*(self._ask_alone(*one) for one in asked[len(answers) :]))

    async def _ask_all(self, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
        answers = await self._api.query_all(queries)
        if not 0 < len(answers) <= len(queries):
            raise PeerFailed(f"{len(queries)} questions got {len(answers)} answers")
        return answers

    async def _ask_alone(self, query: Query, waiting: asyncio.Future[bytes]) -> None:
        try:
            _tell(waiting, await self._api.query(query.method, query.args))
        except Exception as error:  # noqa: BLE001 - as above
            _tell(waiting, error)


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
