"""
Rounds before one that is proven: each header names the hash of the one before it.

Headers come from the consensus service, and from compute nodes where that keeps none so old.
Neither is believed.
"""

import asyncio
from typing import Protocol

from shared.errors import QanatError, Rejected, Unavailable
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.index import RoundIndex
from shared.types.block import BlockHeader
from shared.types.identity import Round, RuntimeId

HEADERS_AT_ONCE = 200
"""Headers of one question while the past is traced back."""
NODE_TIMEOUT_S = 5.0
"""How long a compute node may take to give an old round [s]."""
MAX_PAST_ROUNDS = 2_000
"""How far back one round is proven for somebody who asks: ten questions to consensus [rounds]."""


class UnprovenHeader(Rejected, module="gateway", code=7):
    """What the consensus service says does not follow from what is proven."""


class TooLongAgo(Rejected, module="gateway", code=9):
    """A round is too far before those that are proven here, or its header is kept nowhere."""


class PastUnknown(Unavailable, module="gateway", code=12):
    """Nobody that can be asked now has the header of a round that the index needs."""


class HeaderApi(Protocol):
    """The part of `ConsensusApi` that has headers."""

    async def fetch_round_headers(
        self, runtime_id: RuntimeId, first: Round, count: int
    ) -> tuple[BlockHeader, ...]:
        """ParaTime blocks of rounds in a row."""
        ...


class Past:
    """Traces the past of one ParaTime."""

    def __init__(self, runtime_id: RuntimeId, consensus: HeaderApi, nodes: ComputeNodes) -> None:
        self._runtime_id, self._consensus, self._nodes = runtime_id, consensus, nodes

    async def trace(
        self, head: BlockHeader, index: RoundIndex, max_rounds: int | None
    ) -> tuple[int, list[bytes]]:
        """
        Follow the hashes back from a proven round to one that the index has too.

        Parameters
        ----------
        max_rounds : `int`, optional
            Where an index without rounds begins before the head; None is at the oldest that there
            is.

        Returns
        -------
        first : `int`
            Round of the first hash.
        hashes : `list`
            Hashes of the rounds from there to the head.

        Raises
        ------
        UnprovenHeader
            Consensus has other rounds than the proven one stands on.
        PastUnknown
            Nobody has a header that is needed; without `max_rounds`, all are.
        """
        hashes = [head.hash()]
        first, before = head.round, head.previous_hash
        oldest = 0
        if index.newest is None and max_rounds is not None:
            oldest = max(head.round - max_rounds, 0)
        while first > oldest and not await is_indexed(index, first - 1, before):
            headers = await self._headers_before(first, before, oldest)
            if not headers and max_rounds is None:
                raise PastUnknown(f"nobody has the header of round {first - 1}")
            if not headers:
                break  # the index begins here
            for header in reversed(headers):
                hashes.append(before)
                first, before = header.round, header.previous_hash
                if await is_indexed(index, first - 1, before):
                    break
        hashes.reverse()
        return first, hashes

    async def prove(self, number: int, later: BlockHeader) -> bytes:
        """Give the hash of a round before a proven one, or raise `TooLongAgo`."""
        first, before = later.round, later.previous_hash
        if not first - MAX_PAST_ROUNDS <= number < first:
            raise TooLongAgo(f"round {number} is over {MAX_PAST_ROUNDS} rounds before {first}")
        while first - 1 > number:
            headers = await self._headers_before(first, before, number)
            if not headers:
                raise TooLongAgo(f"nobody has the header of round {first - 1}")
            first, before = headers[0].round, headers[0].previous_hash
            if first <= number:
                return headers[number - first].hash()
        return before

    async def _headers_before(
        self, first: int, before: bytes, oldest: int
    ) -> tuple[BlockHeader, ...]:
        """Give headers that end with the one whose hash is `before`; none where nobody has it."""
        start = Round(max(first - HEADERS_AT_ONCE, oldest))
        headers = await self._consensus.fetch_round_headers(self._runtime_id, start, first - start)
        if not headers or headers[-1].round != first - 1:
            # Consensus keeps none so old; the hashes tell whether a node's are the right ones.
            return await self._ask_nodes(start, first, before)
        proven = _leading_to(headers, first, before)
        if len(proven) != len(headers):
            other = first - 1 - len(proven)
            raise UnprovenHeader(f"another round {other} than the one that is proven")
        return headers

    async def _ask_nodes(self, start: Round, first: int, before: bytes) -> tuple[BlockHeader, ...]:
        """Give headers from a compute node that has the right ones; none where nobody has."""
        for node in self._nodes.members:
            try:
                async with asyncio.timeout(NODE_TIMEOUT_S):
                    given = await node.api.fetch_headers(start, first - start)
            except (QanatError, TimeoutError):
                continue
            if headers := _leading_to(given, first, before):
                return headers
        return ()


def _leading_to(
    untrusted: tuple[BlockHeader, ...], first: int, before: bytes
) -> tuple[BlockHeader, ...]:
    """Give those of the headers, in a row, that lead to the round before `first`, by its hash."""
    count = 0
    for header in reversed(untrusted):
        if header.round != first - 1 - count or header.hash() != before:
            break
        before, count = header.previous_hash, count + 1
    return untrusted[len(untrusted) - count :]


async def is_indexed(index: RoundIndex, number: int, hash_: bytes) -> bool:
    """Say whether the index has a round, and the same."""
    newest = index.newest
    if newest is None or number > newest.number:
        return False
    ours = await index.find_round(number)
    return ours is not None and ours.hash == hash_
