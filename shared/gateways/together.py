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
from shared.types.queries import MAX_QUERIES, MAX_TOGETHER_BYTES, Query

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
        try:
            if len(asked) == 1:
                [(query, answer)] = asked
                output = await self._api.query(query.method, query.args)
                if not answer.done():
                    answer.set_result(output)
            else:
                await self._ask_all(asked)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any failure
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)

    async def _ask_all(self, asked: Sequence[Asked]) -> None:
        answers = await self._api.query_all(tuple(query for query, _ in asked))
        if len(answers) != len(asked):
            raise PeerFailed(f"{len(asked)} questions got {len(answers)} answers")
        for (_, waiting), answer in zip(asked, answers, strict=True):
            error = answer.error
            if waiting.done():
                continue
            if error is None:
                waiting.set_result(answer.output)
            else:
                waiting.set_exception(error)


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
