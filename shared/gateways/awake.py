"""
Rounds come at their usual pace while clients ask, and more seldom otherwise (ADR 0087).

Compute nodes do not see who asks a gateway. So it tells them, every other second at most; and who
asks after a pause waits for the round that this brings about, and sees the time as it is.
"""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, TypeVar

import structlog

from shared.errors import QanatError
from shared.gateways.compute_nodes import ComputeNode, ComputeNodes

log = structlog.get_logger()
T = TypeVar("T")

RENEW_S = 2.0
"""Between two words to the nodes, as long as clients ask [s]."""
PAUSE_S = 5.0
"""After so long without a word nodes may make fewer rounds [s]: they wait twice as long."""
TELL_TIMEOUT_S = 1.0
"""How long a node may take to hear it [s]."""
ROUND_WAIT_S = 0.25
"""How long who asks after a pause waits for a round at most [s]; it takes some 30 ms."""


class Awake:
    """Tells compute nodes that clients ask."""

    def __init__(self, nodes: ComputeNodes) -> None:
        self._nodes = nodes
        self._told_s = float("-inf")
        self._running: set[asyncio.Task[Any]] = set()
        self._waking: asyncio.Task[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether a request has something to do here: looked at for each of them."""
        return self._waking is not None or monotonic() >= self._told_s + RENEW_S

    async def renew(self) -> None:
        """Tell the nodes, where that is due; after a pause, wait for the round that they owe."""
        self.note()
        if self._waking is not None:
            await asyncio.wait([self._waking])

    def note(self) -> None:
        """Tell the nodes, where that is due, and wait for nothing: somebody only listens."""
        now_s = monotonic()
        quiet_s = now_s - self._told_s
        if quiet_s < RENEW_S:
            return
        self._told_s = now_s
        words = [self._start(_tell(node)) for node in self._nodes.members if node.is_up]
        if words and quiet_s >= PAUSE_S:
            self._waking = self._start(self._wake(words))

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _wake(self, words: list[asyncio.Task[bool]]) -> None:
        """Wait for a round, as soon as a node says that one comes."""
        newest = self._nodes.newest_shown()
        try:
            async with asyncio.timeout(ROUND_WAIT_S):
                for word in asyncio.as_completed(words):
                    if await word:
                        await self._nodes.until_shown(newest + 1)
                        return
        except TimeoutError:
            log.info("no_round_after_a_pause", newest=newest)
        finally:
            self._waking = None


async def _tell(node: ComputeNode) -> bool:
    """Say whether an empty round is due, now that this node knows."""
    try:
        async with asyncio.timeout(TELL_TIMEOUT_S):
            return await node.api.keep_awake()
    except (QanatError, TimeoutError) as error:
        log.debug("node_not_kept_awake", compute=node.name, reason=str(error))
        return False
