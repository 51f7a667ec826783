"""
The compute nodes behind the gateway: who is up and level, and who is asked next.

A node is level when it has delivered the newest round that the gateway shows, and the last
encrypted call through it worked. Only level nodes answer, so a client that saw a receipt never
reads older state afterwards, and a node that is paused, cut off, catching up or without keys is
passed over as soon as that shows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.api.compute import ComputeApi, ComputeStatus
from shared.errors import PeerUnavailable, Unavailable

log = structlog.get_logger()
T = TypeVar("T")
Question = Callable[[ComputeApi], Awaitable[T]]

ANSWER_TIMEOUT_S = 10.0
"""How long a node may take to answer before another one is asked [s]: a call of 15 M gas takes
far less; only a node that was paused at this moment takes longer."""
PATIENCE_S = 1.0
"""How long a node may take until another one is asked beside it [s]: a question changes nothing,
and a transaction that two pools have is one transaction."""
FAVOURITE_LAG_ROUNDS = 5
"""How far the favourite may be behind: rounds come a moment later from one node than from another,
and a change of pools for that would shuffle nonces [rounds]."""


class ComputeNode:
    """One node, as far as the gateway has seen it."""

    def __init__(self, address: str, api: ComputeApi) -> None:
        self.address, self.api = address, api
        self.round = -1
        """Newest round that it delivered; -1 while it delivers nothing."""
        self.status: ComputeStatus | None = None
        """What it last said of itself."""
        self.fails_probe = False
        """Whether the last encrypted call through it failed; see `readiness`."""

    @property
    def name(self) -> str:
        """Its own name, or its address before it told."""
        return self.status.name if self.status else self.address

    @property
    def is_up(self) -> bool:
        """Whether it delivers rounds."""
        return self.round >= 0

    @property
    def is_worker(self) -> bool:
        """Whether it said that it is a worker of the committee."""
        return self.status is not None and self.status.is_worker

    @property
    def is_streamed_up(self) -> bool:
        """Whether it has delivered all that it had when its stream began."""
        return self.status is not None and self.is_up and self.round >= self.status.round

    def mark_down(self, reason: str) -> None:
        """Pass the node over until it delivers a round again."""
        if self.is_up:
            log.warning("compute_node_lost", compute=self.name, reason=reason)
        self.round = -1


class ComputeNodes:
    """Spreads questions over the nodes, and asks another one where a node fails."""

    def __init__(self, nodes: dict[str, ComputeApi]) -> None:
        """Take the nodes by address."""
        self.members = [ComputeNode(address, api) for address, api in nodes.items()]
        self._turn = 0
        self._favourite: ComputeNode | None = None

    async def ask(self, question: Question[T]) -> T:
        """
        Put a question to the next level node, and to others while nodes are unavailable.

        Raises
        ------
        Unavailable
            No node answers; the last one's reason.
        RuntimeRejected
            What the runtime said; another node would say the same.
        """
        self._turn += 1
        answer, _ = await _first_answer(self._in_order(self._turn), question)
        return answer

    async def ask_favourite(self, question: Question[T]) -> T:
        """
        Put a question to the same node every time, as long as it keeps up.

        For transactions: one pool sees the nonces of a sender in the order in which they came.
        """
        order = self._in_order(0)
        favourite = self._favourite
        if favourite is None or not self._keeps_up(favourite):
            level = self._level() or order
            workers = [node for node in level if node.is_worker]
            favourite = self._favourite = (workers or level)[0]
        order.remove(favourite)
        # Workers have a round before others do; who answers instead is asked from then on.
        order.sort(key=lambda node: (not node.is_up, not node.is_worker))
        answer, self._favourite = await _first_answer([favourite, *order], question)
        return answer

    def _newest(self) -> int:
        return max(node.round for node in self.members)

    def _level(self) -> list[ComputeNode]:
        newest = self._newest()
        return [node for node in self.members if node.round == newest and not node.fails_probe]

    def _keeps_up(self, node: ComputeNode) -> bool:
        return node.round >= self._newest() - FAVOURITE_LAG_ROUNDS and not node.fails_probe

    def _in_order(self, turn: int) -> list[ComputeNode]:
        """Level nodes first, from the one whose turn it is; then the others, newest first."""
        level = self._level()
        start = turn % len(level) if level else 0
        order = level[start:] + level[:start]
        if len(level) < len(self.members):
            rest = [node for node in self.members if node not in level]
            order += sorted(rest, key=lambda node: (node.fails_probe, -node.round))
        return order


async def _first_answer(order: list[ComputeNode], question: Question[T]) -> tuple[T, ComputeNode]:
    """
    Ask one node, after a while another one beside it, and take what comes first.

    Where a node fails the next one is asked at once.
    """
    if not order:
        raise PeerUnavailable("no compute node is configured")
    first, *others = order
    loop = asyncio.get_running_loop()
    beside: asyncio.Task[tuple[T, ComputeNode]] | None = None

    def look_elsewhere() -> None:
        nonlocal beside
        beside = loop.create_task(_first_answer(others, question))
        beside.add_done_callback(stop_waiting)

    def stop_waiting(task: asyncio.Task[tuple[T, ComputeNode]]) -> None:
        is_answer = not task.cancelled() and not isinstance(task.exception(), Unavailable)
        if is_answer and is_waiting:
            scope.reschedule(loop.time())

    timer = loop.call_later(PATIENCE_S, look_elsewhere) if others else None
    is_waiting = True
    try:
        async with asyncio.timeout(None) as scope:
            answer = await ask_one(first, question)
            if beside is not None:
                beside.cancel()
            return answer, first
    except Unavailable as error:
        failure = error
    except BaseException as error:
        if isinstance(error, TimeoutError) and beside is not None and beside.done():
            return beside.result()
        if beside is not None:
            beside.cancel()
        raise
    finally:
        is_waiting = False
        if timer is not None:
            timer.cancel()
    if not others:
        raise failure
    return await (beside or _first_answer(others, question))


async def ask_one(node: ComputeNode, question: Question[T]) -> T:
    """Put a question to one node, which is passed over from then on where it does not answer."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await question(node.api)
    except PeerUnavailable as error:
        node.mark_down(error.message)
        raise
    except TimeoutError:
        late = PeerUnavailable(f"{node.name} did not answer within {ANSWER_TIMEOUT_S:g} s")
        node.mark_down(late.message)
        raise late from None
