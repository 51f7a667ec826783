"""
Contents of rounds that are not final yet.

A worker has executed a round some milliseconds before consensus decides on it. Who has its contents
by then shows the round as soon as the header is proven, and waits for no node to hear of the block
as well. Nothing is believed: contents wait under the I/O root that they have, and are used where a
proven header names that root.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

import structlog

from shared.crypto.hashes import EMPTY_HASH
from shared.errors import QanatError
from shared.gateways.block_check import contents_root
from shared.gateways.compute_nodes import ComputeNode, ComputeNodes
from shared.gateways.index import RoundIndex
from shared.types.block import BlockHeader, ExecutedRound, RoundBlock, has_its_results
from shared.types.identity import Round

log = structlog.get_logger()

MAX_HELD = 4
"""Executed rounds that wait: one, and others where a round is executed again."""
MAX_HELD_BYTES = 32 * 1024 * 1024
RETRY_S = 0.5
"""Pause before another node is asked [s]."""
MAX_MISSED = 3
"""Rounds in a row of which a node said nothing in time: it may be no worker any more."""


class EarlyRounds:
    """Holds what one worker executes, and shows it when it is final."""

    def __init__(self, index: RoundIndex, nodes: ComputeNodes) -> None:
        self._index, self._nodes = index, nodes
        self._held: OrderedDict[bytes, ExecutedRound] = OrderedDict()
        self._missed, self._is_missing = 0, asyncio.Event()

    # -- in ------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Hear what a worker executes, for ever; another one where rounds come without that."""
        turn = 0
        while True:
            order = self._nodes.workers_first()
            if order:
                self._missed, self._is_missing = 0, asyncio.Event()
                await self._hear(order[turn % len(order)])
            turn += 1
            await asyncio.sleep(RETRY_S)

    async def _hear(self, node: ComputeNode) -> None:
        """Hear one node until it fails, or says too little."""
        hearing = asyncio.create_task(self._hold_all(node))
        silence = asyncio.create_task(self._is_missing.wait())
        try:
            done, _ = await asyncio.wait((hearing, silence), return_when=asyncio.FIRST_COMPLETED)
            if hearing in done:
                hearing.result()  # a bug ends the gateway, as in its other tasks
        finally:
            hearing.cancel()
            silence.cancel()
            await asyncio.gather(hearing, silence, return_exceptions=True)

    async def _hold_all(self, node: ComputeNode) -> None:
        try:
            async for executed in node.api.watch_executed():
                await self._index.wait_for_room()
                self.hold(executed)
        except QanatError as error:
            log.debug("executed_rounds_unheard", compute=node.name, reason=error.message)

    def hold(self, untrusted: ExecutedRound) -> None:
        """Keep what a node says that a round contains; or `ForgedResults`."""
        contents = untrusted.transactions, untrusted.results
        self._held[contents_root(untrusted.round, *contents)] = untrusted
        while len(self._held) > MAX_HELD or self._held_bytes() > MAX_HELD_BYTES:
            self._held.popitem(last=False)

    def _held_bytes(self) -> int:
        return sum(
            len(part) for one in self._held.values() for part in one.transactions + one.results
        )

    # -- out -----------------------------------------------------------------------------------

    def show(self, final: Iterable[BlockHeader]) -> list[Round]:
        """Add proven rounds to the index whose contents are here; nodes deliver the others."""
        shown = []
        for header in final:
            executed = self._held.pop(header.io_root, None)
            if header.io_root != EMPTY_HASH:
                self._note(is_missing=executed is None)
            newest = self._index.newest
            if executed is None or newest is None or newest.number + 1 != header.round:
                continue
            block = RoundBlock(header, executed.transactions, executed.results)
            if not has_its_results(block):
                continue
            try:
                self._index.append_block(block)
            except QanatError as error:
                # As when a node delivers it; it says so there.
                log.error("round_unreadable", round=header.round, reason=error.message)
            else:
                shown.append(header.round)
        return shown

    def _note(self, *, is_missing: bool) -> None:
        self._missed = self._missed + 1 if is_missing else 0
        if self._missed >= MAX_MISSED:
            self._is_missing.set()
