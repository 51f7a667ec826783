"""The edges: `ComputeApi` and `ComputePeerApi` in frames, and what `/health` shows."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.compute import metrics
from services.compute.catch_up import ROUNDS_AT_ONCE
from services.compute.enclave.protocol import EnclaveDescription
from services.compute.enclave_follower import NodeNotLevel
from services.compute.mailbox import ProposalReceived, TransactionsReceived, VoteReceived
from services.compute.node import ComputeNode
from services.compute.rules.round import duty_of
from shared.api.compute import MAX_HEADERS, CallDataKey, ComputeStatus, Submission
from shared.enclave.errors import RoundUnknown
from shared.errors import BadRequest
from shared.types.block import BlockHeader, ExecutedRound, HeaderType, RoundBlock, RoundChange
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import Incarnation, NodeId, Round
from shared.types.queries import MAX_QUERIES, Query, QueryAnswer

FETCH_WAIT_S = 1.0
"""How long a peer that asks for the round to come waits for it [s]."""
MAX_DIFF_BYTES = 16 * 1024 * 1024
"""Diffs and outputs of one answer, far below the size of a frame [bytes]."""


class ComputeEdge:
    """Answers `ComputeApi`."""

    def __init__(self, name: str, node_id: NodeId, node: ComputeNode) -> None:
        self._name, self._node_id, self._node = name, node_id, node
        self._enclave = node.enclave
        self._description: EnclaveDescription | None = None

    async def fetch_status(self) -> ComputeStatus:
        """Where the node stands."""
        node = self._node
        if self._description is None:
            self._description = await self._enclave.describe()
        newest = node.feed.find(Round(node.feed.next_round - 1))
        if newest is None:
            raise NodeNotLevel("the node holds no round yet")
        duty = duty_of(node.committee, Round(node.head.round + 1), self._node_id)
        return ComputeStatus(
            name=self._name,
            node_id=self._node_id,
            runtime_id=self._description.runtime_id,
            round=newest.header.round,
            state_root=newest.header.state_root,
            epoch=node.state.epoch,
            is_ready=node.is_ready,
            is_worker=duty.is_worker,
            is_backup=duty.is_backup,
            mr_enclave=self._description.identity.mr_enclave,
            is_mock_tee=True,
            incarnation=node.feed.incarnation,
        )

    async def submit_transactions(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        """Check raw transactions and put the good ones into the pool."""
        await self._node.be_current(for_client=True)
        return await self._node.admission.submit(raws)

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """Ask the runtime about the state after a round."""
        metrics.queries.inc()
        return await self._enclave.query(method, args, await self._round(round))

    async def query_all(self, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
        """Ask the runtime several questions about the newest state."""
        if not 0 < len(queries) <= MAX_QUERIES:
            raise BadRequest(f"a message has 1 to {MAX_QUERIES} questions, not {len(queries)}")
        metrics.queries.inc(len(queries))
        return await self._enclave.query_all(queries, await self._round(None))

    async def fetch_call_data_key(self) -> CallDataKey:
        """Key of the current epoch."""
        key = await self._enclave.fetch_call_data_key()
        return CallDataKey(key.public_key, key.epoch)

    async def fetch_round(self, round: Round) -> RoundBlock | None:  # noqa: A002
        """One round."""
        return self._node.feed.find(round)

    async def fetch_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:
        """Headers of rounds in a row."""
        return self._node.feed.find_headers(first, min(count, MAX_HEADERS))

    async def fetch_next_sequence(self, sender: bytes) -> int | None:
        """Sequence that follows what waits in the pool."""
        return self._node.admission.next_sequence(sender)

    async def fetch_pending(self) -> tuple[bytes, ...]:
        """Raw transactions that wait."""
        return self._node.admission.pending()

    async def keep_awake(self) -> bool:
        """Make empty rounds at their usual pace for a while."""
        return self._node.keep_awake()

    async def drop_transaction(self, raw: bytes) -> bool:
        """Remove a transaction from the pool."""
        return self._node.admission.forget(raw)

    def watch_rounds(
        self, from_round: Round, incarnation: Incarnation | None = None
    ) -> AsyncIterator[RoundBlock]:
        """Every round from one on, then each new one."""
        return self._node.feed.watch(from_round, incarnation)

    def watch_executed(self) -> AsyncIterator[ExecutedRound]:
        """Rounds with transactions as they are executed."""
        return self._node.executed.watch()

    async def _round(self, round_: Round | None) -> Round:
        """Give the round whose state a question is about, once the enclave has it."""
        newest = await self._node.newest_taken_up()
        if round_ is None or round_ > newest:
            await self._node.be_current()
            newest = await self._node.newest_taken_up()
        if round_ is None or round_ == newest:
            return newest
        if round_ > newest:
            raise RoundUnknown(f"round {round_} is not here; the newest is {newest}")
        return round_


class PeerEdge:
    """Answers `ComputePeerApi`."""

    def __init__(self, node: ComputeNode) -> None:
        self._node = node

    async def gossip_transactions(self, raws: tuple[bytes, ...]) -> None:
        """Take transactions that entered a peer's pool."""
        self._node.offer(TransactionsReceived(raws))

    async def propose(self, proposal: Proposal) -> None:
        """Take a scheduler's batch."""
        self._node.offer(ProposalReceived(proposal))

    async def collect_vote(self, vote: ExecutorCommitment) -> None:
        """Take a vote on a batch of this node."""
        self._node.offer(VoteReceived(vote))

    async def fetch_diffs(self, from_round: Round, limit: int) -> tuple[RoundChange, ...]:
        """Give rounds with their changes; waits a moment for a round that is just coming."""
        feed = self._node.feed
        if from_round == feed.next_round:
            await feed.until_published(from_round, FETCH_WAIT_S)
        last = min(from_round + min(limit, ROUNDS_AT_ONCE), feed.next_round)
        if from_round < last:
            await self._node.newest_taken_up()
        diffs: list[RoundChange] = []
        size_bytes = 0
        for round_ in range(from_round, last):
            block = feed.find(Round(round_))
            if block is None or size_bytes > MAX_DIFF_BYTES:
                break
            diff = b""
            if block.header.header_type is HeaderType.NORMAL:
                diff = await self._node.enclave.fetch_diff(Round(round_))
            diffs.append(RoundChange(block, diff))
            size_bytes += len(diff) + block.contents_bytes
        return tuple(diffs)


def check_host_health(
    name: str, paratimes: Sequence[tuple[EnclaveDescription, ComputeNode] | None]
) -> tuple[bool, dict[str, Any]]:
    """Say whether the node is ready for each of its ParaTimes, and what a person should see."""
    opened = [one for one in paratimes if one is not None]
    waits_for = [what for _, node in opened for what in node.waits_for()]
    if len(opened) < len(paratimes):
        waits_for.append("enclave")
    return not waits_for, {
        "service": "compute",
        "node": name,
        "tee": "MOCK",
        "waits_for": sorted(set(waits_for)),
        "paratimes": [
            {
                "runtime_id": description.runtime_id.hex(),
                "mr_enclave": description.identity.mr_enclave.hex(),
                "round": node.feed.next_round - 1,
                "waits_for": node.waits_for(),
            }
            for description, node in opened
        ],
    }
