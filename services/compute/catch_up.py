"""
Catching up: rounds that were executed elsewhere, taken from peers, believed by nobody's word.

What was executed nowhere is taken from consensus: a node may be the first that comes.

The last header of a chunk must be the one that consensus holds, and the others must lead to it; of
rounds of long ago consensus holds checkpoints, to which the peer's headers must lead first. The
enclave checks outputs and states against the headers once more. A peer whose answer does not hold
is passed over.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.compute import metrics
from services.compute.enclave.protocol import AppliedRounds, ComputeEnclaveApi
from services.compute.peers import Peers
from shared.api.compute import FellowNodeApi
from shared.api.consensus import CHECKPOINT_ROUNDS, ConsensusApi
from shared.errors import PeerUnavailable, QanatError, Rejected, Unavailable
from shared.types.block import BlockHeader, HeaderType, RoundBlock, RoundChange
from shared.types.identity import NodeId, Round, RuntimeId
from shared.types.registry import Committee

log = structlog.get_logger()

ROUNDS_AT_ONCE = 64
"""Rounds of one question to a peer."""
PEER_TIMEOUT_S = 10.0
"""
How long a peer may take to give them [s].

It is a matter of milliseconds, and of seconds where diffs are large. One that is paused takes for
ever; it is asked last from then on, until it answers.
"""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
"""Pause after every peer has failed [s]; it doubles."""
TOLD_FAILURES = 8
"""As many in a row, some 3.5 s, are no matter of moments: it is said once."""


class BadDiffs(Rejected, module="compute", code=22):
    """A peer gave rounds that are not those of this ParaTime."""


class NobodyHasRound(Unavailable, module="compute", code=23):
    """No peer gave the rounds that are missing here."""


@dataclass(frozen=True, slots=True)
class RoundsFetched:
    """Rounds that the enclave has taken up."""

    blocks: tuple[RoundBlock, ...]
    applied: AppliedRounds


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing."""

    next_round: Round
    """First round that the host or the enclave lacks."""
    head: BlockHeader
    """Newest round that is final."""
    preferred: tuple[NodeId, ...]
    """Peers that most likely have it."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is missing."""
        return self.next_round > self.head.round


def preferred_peers(committee: Committee | None, round_: Round) -> tuple[NodeId, ...]:
    """Give the workers, who have a round first; another one begins in each round."""
    workers = () if committee is None else committee.workers()
    shift = round_ % len(workers) if workers else 0
    return (*workers[shift:], *workers[:shift])


class CatchUp:
    """Closes the gap between a node and consensus."""

    def __init__(
        self,
        runtime_id: RuntimeId,
        enclave: ComputeEnclaveApi,
        consensus: ConsensusApi,
        peers: Peers,
    ) -> None:
        self._runtime_id, self._enclave = runtime_id, enclave
        self._consensus, self._peers = consensus, peers
        self._is_running = False
        self._silent: set[FellowNodeApi] = set()

    def start(
        self,
        gap: Callable[[], Gap],
        post: Callable[[RoundsFetched], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Run as a task; one that runs already sees a gap that has opened again by itself."""
        if not self._is_running:
            self._is_running = True
            spawn(self._run_once(gap, post))

    async def _run_once(
        self, gap: Callable[[], Gap], post: Callable[[RoundsFetched], None]
    ) -> None:
        await self.run(gap, post)
        self._is_running = False

    async def run(self, gap: Callable[[], Gap], post: Callable[[RoundsFetched], None]) -> None:
        """
        Fetch until the gap is closed.

        `gap` tells what is missing by now; `post` hands rounds to the node's loop, which closes the
        gap before the next question.
        """
        pause_s, failures = FIRST_PAUSE_S, 0
        while not (missing := gap()).is_closed:
            try:
                fetched = await self._fetch(missing)
            except QanatError as error:
                failures += 1
                tell = log.warning if failures == TOLD_FAILURES else log.debug
                tell("catch_up_paused", round=missing.next_round, reason=error.message)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            pause_s, failures = FIRST_PAUSE_S, 0
            metrics.rounds_fetched.inc(len(fetched.blocks))
            post(fetched)
            # The loop handles what was posted before this task goes on.
            await asyncio.sleep(0)

    async def _fetch(self, missing: Gap) -> RoundsFetched:
        unexecuted = await self._unexecuted(missing)
        if unexecuted:
            return await self._take_up(unexecuted)
        peers = self._peers.ordered(missing.preferred)
        self._silent.intersection_update(peers)
        for peer in sorted(peers, key=self._silent.__contains__):
            try:
                return await self._take_up(await self._ask_in_time(peer, missing))
            except Rejected as error:
                metrics.bad_peers.inc()
                log.warning("peer_answer_refused", round=missing.next_round, reason=error.message)
            except Unavailable as error:
                log.debug("peer_not_reached", reason=error.message)
        raise NobodyHasRound(f"no peer gave round {missing.next_round}")

    async def _unexecuted(self, missing: Gap) -> tuple[RoundChange, ...]:
        """
        Take from consensus the rounds, first of those missing, that change nothing.

        So are the genesis block and what consensus made alone. Where no node was up, none has them.
        """
        changes: list[RoundChange] = []
        end = min(missing.head.round + 1, missing.next_round + ROUNDS_AT_ONCE)
        for round_ in map(Round, range(missing.next_round, end)):
            header = await self._header(round_, missing.head)
            if header is None or (round_ > 0 and header.header_type is HeaderType.NORMAL):
                break
            epoch = await self._consensus.fetch_round_epoch(self._runtime_id, round_)
            changes.append(RoundChange(RoundBlock(header, epoch=epoch), b""))
        return tuple(changes)

    async def _ask_in_time(self, peer: FellowNodeApi, missing: Gap) -> tuple[RoundChange, ...]:
        try:
            async with asyncio.timeout(PEER_TIMEOUT_S):
                changes = await self._ask(peer, missing)
        except TimeoutError:
            self._silent.add(peer)
            raise PeerUnavailable(f"no answer within {PEER_TIMEOUT_S:g} s") from None
        self._silent.discard(peer)
        return changes

    async def _ask(self, peer: FellowNodeApi, missing: Gap) -> tuple[RoundChange, ...]:
        limit = min(ROUNDS_AT_ONCE, missing.head.round - missing.next_round + 1)
        diffs = await peer.fetch_diffs(missing.next_round, limit)
        diffs = diffs[:limit]
        if not diffs:
            raise NobodyHasRound(f"the peer does not have round {missing.next_round} yet")
        last = await self._final_header(peer, diffs[-1].block.header.round, missing.head)
        verify_diffs(diffs, first=missing.next_round, last=last)
        return diffs

    async def _final_header(
        self, peer: FellowNodeApi, round_: Round, head: BlockHeader
    ) -> BlockHeader:
        """Header of a round, from consensus, or from a peer whose headers lead to a later one."""
        header = await self._header(round_, head)
        if header is not None:
            return header
        checkpoint = Round((round_ // CHECKPOINT_ROUNDS + 1) * CHECKPOINT_ROUNDS)
        later = await self._header(min(checkpoint, head.round), head)
        if later is None:
            raise BadDiffs(f"consensus has no round {round_}")
        headers = await peer.fetch_headers(round_, later.round - round_)
        if len(headers) != later.round - round_:
            raise BadDiffs(f"the peer has no headers from round {round_} to {later.round}")
        verify_chain((*headers, later))
        return headers[0]

    async def _header(self, round_: Round, head: BlockHeader) -> BlockHeader | None:
        if round_ == head.round:
            return head
        return await self._consensus.fetch_round_header(self._runtime_id, round_)

    async def _take_up(self, changes: tuple[RoundChange, ...]) -> RoundsFetched:
        applied = await self._enclave.apply(changes)
        return RoundsFetched(tuple(change.block for change in changes), applied)


def verify_diffs(diffs: Sequence[RoundChange], *, first: Round, last: BlockHeader) -> None:
    """Verify that rounds begin where they should and lead to a header, or raise `BadDiffs`."""
    headers = [diff.block.header for diff in diffs]
    if headers[0].round != first or headers[-1] != last:
        raise BadDiffs(f"the rounds do not lead from {first} to round {last.round}")
    verify_chain(headers)


def verify_chain(headers: Sequence[BlockHeader]) -> None:
    """Verify that each header names the one before it, or raise `BadDiffs`."""
    for header, child in itertools.pairwise(headers):
        if child.round != header.round + 1 or child.previous_hash != header.hash():
            raise BadDiffs(f"round {child.round} does not follow round {header.round}")
