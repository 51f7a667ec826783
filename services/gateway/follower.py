"""
Follows the chain: every compute node streams its rounds, and the first to deliver one is used.

Rounds must link by hash. Where one does not, the chain was rewound or a node is wrong; consensus
decides, and the index goes back to the last round that consensus has too.
"""

import asyncio
from typing import Protocol

import structlog

from services.gateway.compute_nodes import ComputeNode, ComputeNodes
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import index_block
from shared.errors import QanatError, Unavailable
from shared.types.block import BlockHeader, RoundBlock
from shared.types.identity import Round, RuntimeId

log = structlog.get_logger()

RETRY_S = 0.05
MAX_RETRY_S = 1.0
"""Pause before a node that does not answer is tried again [s]."""


class RoundHeaders(Protocol):
    """The part of `ConsensusApi` that settles disputes."""

    async def fetch_round_header(self, runtime_id: RuntimeId, round: Round) -> BlockHeader | None:  # noqa: A002
        """ParaTime block of a round."""
        ...


class WrongChain(Unavailable, module="gateway", code=3):
    """A compute node delivers rounds that are not those of consensus."""


class StartOver(Unavailable, module="gateway", code=5):
    """The chain was replaced by another one; nothing of the index is left."""


class Follower:
    """Feeds the index from all nodes."""

    def __init__(
        self,
        runtime_id: bytes,
        index: ChainIndex,
        nodes: ComputeNodes,
        consensus: RoundHeaders,
    ) -> None:
        self._runtime_id = runtime_id
        self._index, self._nodes, self._consensus = index, nodes, consensus
        self._settling = asyncio.Lock()

    async def follow(self, node: ComputeNode) -> None:
        """Stream one node's rounds for ever; a node that fails is tried again."""
        delay = RETRY_S
        while True:
            try:
                node.status = await node.api.fetch_status()
                if node.status.runtime_id != self._runtime_id:
                    raise WrongChain(f"{node.name} serves another ParaTime")
                await self._go_back_if_rewound(node.status.round)
                start = self._start_of_stream(node.status.round)
                may_begin = start == 0
                async for block in node.api.watch_rounds(start):
                    if self._index.newest is None and not may_begin:
                        raise StartOver("the index is empty again: it begins at the first round")
                    may_begin = False
                    await self._receive(node, block)
                    delay = RETRY_S
                node.mark_down("the stream of rounds ended")
            except QanatError as error:
                node.mark_down(error.message)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_S)

    def _start_of_stream(self, newest_of_node: int) -> Round:
        """
        Ask for a round that both have: the node shows at once whether its chain is ours.

        A node whose newest round is below ours is behind, or its chain is another one.
        """
        newest = self._index.newest
        return Round(0 if newest is None else min(newest.number, newest_of_node))

    async def _go_back_if_rewound(self, newest_of_node: int) -> None:
        """Where a node is behind us, ask consensus whether the network was rewound."""
        newest = self._index.newest
        if newest is None or newest_of_node >= newest.number:
            return
        async with self._settling:
            await self._go_back_to_consensus()

    async def _receive(self, node: ComputeNode, block: RoundBlock) -> None:
        if self._settling.locked():
            async with self._settling:
                pass
        number = block.header.round
        newest = self._index.newest
        if newest is None or self._is_next(block.header):
            self._index.append(index_block(block))
            await self._index.wait_for_room()
        elif number > newest.number + 1:
            await self._fill_gap(node, newest.number + 1, number)
            await self._receive(node, block)
            return
        elif not await self._is_known(block.header):
            await self._settle(node, block)
            if self._index.newest is None:
                raise StartOver(f"{node.name} and consensus have another chain than the index")
            await self._receive(node, block)
            return
        node.round = number

    def _is_next(self, header: BlockHeader) -> bool:
        newest = self._index.require_newest()
        return header.round == newest.number + 1 and header.previous_hash == newest.hash

    async def _is_known(self, header: BlockHeader) -> bool:
        ours = await self._index.find_round(header.round)
        if ours is not None:
            return ours.header == header
        return header.round < self._index.first_number

    async def _fill_gap(self, node: ComputeNode, first: int, end: int) -> None:
        """Fetch the rounds that a stream left out."""
        for number in range(first, end):
            block = await node.api.fetch_round(Round(number))
            if block is None:
                raise WrongChain(f"{node.name} has round {end} but not round {number}")
            await self._receive(node, block)

    async def _settle(self, node: ComputeNode, block: RoundBlock) -> None:
        """Go back to where our chain and that of consensus part, or find the node wrong."""
        async with self._settling:
            if self._is_next(block.header) or await self._is_known(block.header):
                return  # another node's round settled it while this one waited
            if not await self._go_back_to_consensus():
                raise WrongChain(
                    f"{node.name} delivers a round {block.header.round} that consensus has not"
                )

    async def _go_back_to_consensus(self) -> bool:
        """Drop the rounds that consensus has not; say whether there were any."""
        newest = self._index.require_newest()
        if await self._is_agreed(newest.number):
            return False
        agreed = await self._find_agreed(self._index.first_number, newest.number - 1)
        log.warning("chain_rewound", from_round=newest.number, to_round=agreed)
        await self._index.rollback(agreed)
        return True

    async def rollback(self, number: int) -> None:
        """Go back to a round; nothing is received meanwhile."""
        async with self._settling:
            await self._index.rollback(number)

    async def _find_agreed(self, first: int, last: int) -> int:
        """Last round whose header consensus has as well; `first - 1` where there is none."""
        low, high = first - 1, last
        while low < high:
            middle = (low + high + 1) // 2
            if await self._is_agreed(middle):
                low = middle
            else:
                high = middle - 1
        return low

    async def _is_agreed(self, number: int) -> bool:
        ours = await self._index.find_round(number)
        theirs = await self._consensus.fetch_round_header(self._runtime_id, Round(number))
        return ours is not None and theirs is not None and ours.header == theirs
