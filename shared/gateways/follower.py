"""
Follows the chain: every compute node streams its rounds, and the first to deliver one is used.

Nodes are not believed. A round is taken when its header is one that consensus has finalized
(`finality`), and its contents are those under the header. A node that shows other contents lies and
is left alone for a while; one that shows another chain is behind a rewind, or wrong, and is passed
over until it shows ours.
"""

import asyncio

import structlog

from shared.errors import QanatError, Unavailable
from shared.gateways import metrics
from shared.gateways.block_check import ForgedResults, verify_results
from shared.gateways.compute_nodes import ComputeNode, ComputeNodes
from shared.gateways.early_rounds import EarlyRounds
from shared.gateways.finality import Finality
from shared.gateways.index import RoundIndex
from shared.kit.tracing import begin_ns, record_in_round
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.identity import Round

log = structlog.get_logger()

RETRY_S = 0.05
MAX_RETRY_S = 1.0
"""Pause before a node that does not answer is tried again [s]."""
COMPARED_ROUNDS = 64
"""Of a stream, the first round and those near the newest are compared with the index [rounds]: who
hears of thousands later than others answers nobody until it is near."""
LIAR_PAUSE_S = 30.0
"""Pause before a node that forged a round is tried again [s]: nothing but a mend of the node makes
it honest, and others show the same."""


class WrongChain(Unavailable, module="gateway", code=3):
    """A compute node delivers rounds that are not those of consensus."""


class StartOver(Unavailable, module="gateway", code=5):
    """The chain was replaced by another one; nothing of the index is left."""


class Follower:
    """Feeds the index from all nodes."""

    def __init__(
        self, runtime_id: bytes, index: RoundIndex, nodes: ComputeNodes, finality: Finality
    ) -> None:
        self._runtime_id = runtime_id
        self._index, self._nodes, self._finality = index, nodes, finality
        self.early = EarlyRounds(index, nodes)
        finality.listen(self._show_early)
        nodes.newest_shown = self._newest_shown

    async def follow(self, node: ComputeNode) -> None:
        """Stream one node's rounds for ever; a node that fails is tried again."""
        delay = RETRY_S
        while True:
            try:
                node.status = await node.api.fetch_status()
                if node.status.runtime_id != self._runtime_id:
                    raise WrongChain(f"{node.name} serves another ParaTime")
                node.began_at = node.status.round
                await self._finality.until_final(0)
                first = self._start_of_stream(node.began_at)
                async for block in node.api.watch_rounds(first):
                    await self._receive(node, block, is_first=block.header.round == first)
                    delay = RETRY_S
                    if block.header.header_type is HeaderType.EPOCH_TRANSITION:
                        # Another committee: it may be a worker now, or no more.
                        node.status = await node.api.fetch_status()
                node.mark_down("the stream of rounds ended")
            except ForgedResults as error:
                log.error("compute_node_lies", compute=node.name, reason=error.message)
                metrics.forged_rounds.inc()
                node.mark_down(error.message)
                delay = LIAR_PAUSE_S
            except QanatError as error:
                node.mark_down(error.message)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_S)

    def _newest_shown(self) -> int:
        newest = self._index.newest
        return -1 if newest is None else newest.number

    def _show_early(self, final: tuple[BlockHeader, ...]) -> None:
        """Show what is final, where its contents are here already."""
        if not self._finality.settling.locked():
            begun_ns = begin_ns()
            shown = self.early.show(final)
            for number in shown:
                told = self._runtime_id, self._index.incarnation, number
                record_in_round(*told, "gateway.index", begun_ns)

    def _start_of_stream(self, newest_of_node: int) -> Round:
        """
        Ask for a round that both have: the node shows at once whether its chain is ours.

        A node whose newest round is below ours is behind, or its chain is another one.
        """
        newest = self._index.newest
        if newest is None:
            return Round(self._finality.first_round)
        return Round(min(newest.number, newest_of_node))

    async def _receive(
        self, node: ComputeNode, block: RoundBlock, *, is_first: bool = False
    ) -> None:
        """Take a round of a node, or find that it is here already."""
        number, begun_ns = block.header.round, begin_ns()
        while True:
            if self._finality.settling.locked():
                async with self._finality.settling:
                    pass
            newest = self._index.newest
            following = self._finality.first_round if newest is None else newest.number + 1
            if number > following:
                if newest is None:
                    raise StartOver(f"the index is empty again: it begins at round {following}")
                await self._fill_gap(node, following, number)
            elif number < following:
                if is_first or number >= following - COMPARED_ROUNDS:
                    await self._verify_known(node, block.header)
                break
            elif number > self._finality.head_round:
                await self._finality.until_final(number)
            else:
                # No await from here on: what was looked at still holds.
                self._append(node, block)
                told = self._runtime_id, self._index.incarnation, number
                record_in_round(*told, "gateway.index", begun_ns)
                await self._index.wait_for_room()
                break
        self._nodes.note_delivered(node, number)

    def _append(self, node: ComputeNode, block: RoundBlock) -> None:
        header = block.header
        if header.hash() != self._finality.hash_of(header.round):
            raise WrongChain(f"{node.name} has another round {header.round} than consensus")
        verify_results(block)
        self._index.append_block(block)

    async def _verify_known(self, node: ComputeNode, header: BlockHeader) -> None:
        """Verify that a round is the one in the index; those before its first are not compared."""
        ours = await self._index.find_round(header.round)
        if ours is not None and ours.header != header:
            raise WrongChain(f"{node.name} has another round {header.round} than the index")

    async def _fill_gap(self, node: ComputeNode, first: int, end: int) -> None:
        """Fetch the rounds that a stream left out."""
        for number in range(first, end):
            block = await node.api.fetch_round(Round(number))
            if block is None or block.header.round != number:
                raise WrongChain(f"{node.name} has round {end} but not round {number}")
            await self._receive(node, block)
