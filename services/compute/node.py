"""
The node's loop: the single writer of its round, its pool and its rounds.

Everything that happens is a message in one queue. Handling one takes no await but where an epoch
changes; whatever takes time runs as a task and posts its outcome.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

import structlog

from services.compute import metrics
from services.compute.admission import Admission, Checked, NodeBusy
from services.compute.catch_up import CatchUp, Gap, RoundsFetched
from services.compute.chain import ChainReader, ChainView
from services.compute.enclave.protocol import ComputeEnclaveApi, EnclaveState
from services.compute.feed import RoundFeed
from services.compute.forwarding import Forwarder
from services.compute.registration import Standing
from services.compute.round_worker import BatchExecuted, DueReached, RoundWorker
from services.compute.store import Store
from shared.api.consensus import BlockEvents
from shared.errors import QanatError, Unavailable
from shared.rules.incarnations import last_shared_round
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.commitment import Proposal
from shared.types.identity import Epoch, Hash, Incarnation, Round
from shared.types.proof import ProvenState
from shared.types.registry import Committee

log = structlog.get_logger()

MAX_INBOX = 10_000
"""Messages that may wait; edges are refused beyond it."""
MAX_INBOX_BYTES = 32 * 1024 * 1024
"""Transactions of peers that may wait in these messages [bytes]; more are refused."""
MAX_BEHIND = 4
"""How far behind a ready node may be [rounds]: one that only follows always is a little."""
TAKE_UP_TIMEOUT_S = 5.0
"""How long a query waits for the enclave to take up a round that is already final [s]."""


class NodeNotLevel(Unavailable, module="compute", code=24):
    """The node is catching up; ask another one, or later."""


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """Consensus made a block."""

    events: BlockEvents


@dataclass(frozen=True, slots=True)
class ChainLost:
    """The stream of blocks cannot go on where it was: the chain was rewound, or pruned."""


@dataclass(frozen=True, slots=True)
class EnclaveMoved:
    """The enclave has seen a new proof."""

    state: EnclaveState


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """A peer proposes."""

    proposal: Proposal

    def size_bytes(self) -> int:
        """Give the bytes of its transactions."""
        return sum(map(len, self.proposal.batch))


@dataclass(frozen=True, slots=True)
class TransactionsReceived:
    """A peer hands on transactions."""

    raws: tuple[bytes, ...]

    def size_bytes(self) -> int:
        """Give the bytes of the transactions."""
        return sum(map(len, self.raws))


Message = (
    BlockSeen
    | ChainLost
    | EnclaveMoved
    | ProposalReceived
    | TransactionsReceived
    | Checked
    | RoundsFetched
    | BatchExecuted
    | DueReached
)


class ComputeNode:
    """Owns the state of a compute node's host."""

    def __init__(
        self,
        *,
        chain: ChainReader,
        enclave: ComputeEnclaveApi,
        store: Store,
        feed: RoundFeed,
        admission: Admission,
        forwarder: Forwarder,
        worker: RoundWorker,
        catch_up: CatchUp,
        standing: Standing,
        mailbox: "Mailbox",
        genesis_root: Hash,
    ) -> None:
        self._chain, self.enclave, self._store = chain, enclave, store
        self.feed, self.admission, self._worker = feed, admission, worker
        self._forwarder, self._catch_up = forwarder, catch_up
        self._standing, self._mailbox = standing, mailbox
        self._label = metrics.runtime_label(chain.runtime_id)
        self._genesis_root = genesis_root
        self._incarnation = store.incarnation
        self._state: EnclaveState | None = None
        self._head: BlockHeader | None = None
        self._committee: Committee | None = None
        self._is_level = False
        self._is_catching_up = False
        self._moved = asyncio.Event()

    # -- what others may know ------------------------------------------------------------------

    @property
    def head(self) -> BlockHeader:
        """Newest finalized round, or `NodeNotLevel` before the first is known."""
        if self._head is None:
            raise NodeNotLevel("the node has not seen a round yet")
        return self._head

    @property
    def state(self) -> EnclaveState:
        """Where the enclave stands."""
        if self._state is None:
            raise NodeNotLevel("the enclave has not been shown the chain yet")
        return self._state

    @property
    def committee(self) -> Committee | None:
        """Committee of the epoch."""
        return self._committee

    @property
    def is_ready(self) -> bool:
        """Whether the node is level, registered and has its keys."""
        return not self.waits_for()

    def waits_for(self) -> list[str]:
        """Name what is missing before the node is ready."""
        if self._state is None:
            return ["consensus"]
        missing = self._standing.waits_for(self._state.epoch)
        # Between a header and the enclave's word the node counts as level.
        behind = self.head.round - (self.feed.next_round - 1)
        return missing if behind <= MAX_BEHIND else [*missing, "rounds"]

    def offer(self, message: ProposalReceived | TransactionsReceived) -> None:
        """Take a message of a peer, or raise `NodeBusy`."""
        self._mailbox.offer(message)

    async def newest_taken_up(self) -> Round:
        """
        Give the newest published round, once the enclave has taken it up.

        Rounds are published without waiting for the enclave, so a client may know of a round a
        moment earlier than the enclave does.
        """
        round_ = Round(self.feed.next_round - 1)
        if self._state is not None and self._state.next_round > round_ >= 0:
            return round_
        try:
            async with asyncio.timeout(TAKE_UP_TIMEOUT_S):
                while self._state is None or round_ < 0 or self._state.next_round <= round_:
                    await self._moved.wait()
                    round_ = max(round_, Round(self.feed.next_round - 1)) if round_ < 0 else round_
        except TimeoutError:
            raise NodeNotLevel(f"the enclave has not taken up round {round_}") from None
        return round_

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take part until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._mailbox.attach(tasks)
            await self._look_anew()
            tasks.create_task(self._standing.keep_registered())
            tasks.create_task(self._standing.keep_keys())
            while True:
                await self._handle(await self._mailbox.take())

    async def _handle(self, message: Message) -> None:
        match message:
            case BatchExecuted():
                self._worker.on_executed(message)
            case BlockSeen(events=events):
                await self._on_block(events)
            case ProposalReceived(proposal=proposal):
                self._worker.on_proposal(proposal)
            case Checked():
                accepted = self.admission.apply_checked(message)
                if accepted:
                    self._forwarder.add(accepted, self._worker.next_scheduler)
                self._worker.note_work()
            case TransactionsReceived(raws=raws):
                self.admission.add_gossiped(raws)
                self._worker.note_work()
            case EnclaveMoved(state=state):
                self._on_enclave_moved(state)
            case RoundsFetched():
                self._on_rounds_fetched(message)
            case DueReached():
                self._worker.on_due(message)
            case ChainLost():
                await self._look_anew()
            case _:
                assert_never(message)

    # -- consensus -----------------------------------------------------------------------------

    async def _look_anew(self) -> None:
        """Find out where consensus stands: at the start, and after it was rewound."""
        view = await self._chain.look()
        self._go_back(view)
        self._incarnation = view.life.incarnation
        self._worker.enter(self._incarnation)
        self._state = await self._initialize(view.proven, view.head)
        self._committee = view.committee
        self._standing.enter(view.epoch)
        self._head = view.head
        # What the node voted for before it stopped may have become final since.
        for header in await self._chain.fetch_headers(self.feed.next_round, view.head):
            self._worker.recall_votes(header.round)
            self._settle((header,), await self._chain.fetch_epoch(header), was_level=False)
        self._begin_round()
        self._on_enclave_moved(self._state)
        self._mailbox.spawn(self._watch(view.height + 1, self._incarnation))

    def _go_back(self, view: ChainView) -> None:
        """Drop what is void where the chain is in another life than the rounds here, or shorter."""
        known, newest_here = self._store.incarnation, self.feed.next_round - 1
        shared = last_shared_round(view.life, known, self._chain.runtime_id)
        keep = min(view.head.round, newest_here if shared is None else shared)
        if view.life.incarnation == known and keep == newest_here:
            return
        log.warning(
            "network_rewound",
            incarnation=view.life.incarnation,
            known=known,
            round=keep,
            newest_here=newest_here,
        )
        self._store.rollback(Round(keep), view.life.incarnation)
        self.feed.rewind(Round(keep))
        self.admission.clear()
        self._forwarder.clear()
        self._standing.forget()

    async def _initialize(self, proven: ProvenState, head: BlockHeader) -> EnclaveState:
        # The enclave goes back by itself, on the same proof.
        state = await self.enclave.initialize(proven)
        self.admission.limit_weight(await self.enclave.fetch_max_batch_weight())
        if not state.is_level:
            # The states may be here, and only the headers that make them final are not.
            headers = await self._chain.fetch_headers(state.next_round, head)
            # A node that is further behind gets the rounds between from its peers.
            if headers and headers[-1] == head:
                state = await self.enclave.advance(proven, headers[:-1])
        return state

    async def _watch(self, from_height: int, incarnation: Incarnation) -> None:
        async for events in self._chain.watch(from_height, incarnation):
            self._mailbox.post(BlockSeen(events))
        self._mailbox.post(ChainLost())

    async def _on_block(self, events: BlockEvents) -> None:
        if events.incarnation != self._incarnation:
            return  # void; `ChainLost` is on its way, or was here
        headers = tuple(
            finalized.header
            for finalized in events.finalized
            if finalized.runtime_id == self._chain.runtime_id
        )
        proven = events.proven
        # A committee may also begin within an epoch, when enough nodes have registered.
        is_new_committee = any(
            header.header_type in (HeaderType.EPOCH_TRANSITION, HeaderType.SUSPENDED)
            for header in headers
        )
        is_registered = self._chain.peers.own_id in events.registered
        if events.is_epoch_change or is_new_committee or is_registered:
            view = await self._chain.look_at(events.height)
            if view is None or view.life.incarnation != self._incarnation:
                return  # the chain was rewound meanwhile: `ChainLost` is on its way
            self._committee, proven = view.committee, view.proven
            self._standing.enter(view.epoch)
            if not headers:
                headers = (view.head,)
        if headers and proven is not None:
            self._on_finality(headers, events.epoch, proven)
        for discrepancy in events.discrepancies:
            if discrepancy.runtime_id == self._chain.runtime_id:
                self._worker.on_discrepancy(discrepancy)
        if events.registered or events.is_epoch_change:
            self._mailbox.spawn(self._chain.learn_peers())
        for published in events.secrets:
            if published.secret.runtime_id == self._chain.key_manager:
                self._standing.announce(published.secret.epoch)

    def _on_finality(
        self, headers: tuple[BlockHeader, ...], epoch: Epoch, proven: ProvenState
    ) -> None:
        # The enclave serves this before the next batch, so nothing here waits for it.
        self._mailbox.spawn(self._advance(proven, headers[:-1]))
        if self._head is not None and headers[-1].round <= self._head.round:
            return
        self._head = headers[-1]
        self._settle(headers, epoch, was_level=self._is_level)
        self._begin_round()

    def _settle(
        self, headers: Sequence[BlockHeader], epoch: Epoch | None, *, was_level: bool
    ) -> None:
        """
        Publish the rounds that this node executed itself, or in which nothing was executed.

        `epoch` is the one in which they were finalized, and so the one whose keys they used.
        """
        self._is_level = False
        for header in headers:
            if header.round < self.feed.next_round:
                continue
            settled = self._worker.settle(header) if header.round == self.feed.next_round else None
            if settled is None:
                return
            block = replace(settled.block, epoch=epoch)
            self._publish(block)
            self.admission.apply_spent(settled.spent)
            self._mailbox.spawn(self._save(block))
        self._is_level = was_level and self.feed.next_round == self.head.round + 1

    async def _save(self, block: RoundBlock) -> None:
        """Keep a published round; runs when its watchers have been served."""
        if block.transactions:
            self._store.note_final(block.header, block.epoch)
        else:
            self._store.save_blocks((block,))

    def _publish(self, block: RoundBlock) -> None:
        header = block.header
        self.feed.publish(block)
        self.admission.apply_block(block)
        self._forwarder.settle(block.transactions)
        metrics.rounds.labels(header.header_type.name.lower()).inc()
        metrics.round_number.labels(self._label).set(header.round)
        log.info(
            "round_finalized",
            round=header.round,
            type=header.header_type.name,
            transactions=len(block.transactions),
        )
        if header.header_type is HeaderType.ROUND_FAILED:
            self.admission.recheck_all()

    def _begin_round(self) -> None:
        head = self.head
        self._worker.begin(
            head,
            self._committee,
            is_level=self._is_level,
            is_first=head.state_root == self._genesis_root,
        )
        if self._is_level:
            self._forwarder.offer(self._worker.next_scheduler)

    async def _advance(self, proven: ProvenState, between: tuple[BlockHeader, ...]) -> None:
        try:
            state = await self.enclave.advance(proven, between)
        except QanatError as error:
            log.error("proof_refused", reason=error.message)
            return
        self._mailbox.post(EnclaveMoved(state))

    # -- being level ---------------------------------------------------------------------------

    def _on_enclave_moved(self, state: EnclaveState) -> None:
        if state.incarnation != self._incarnation or state.head.round > self.head.round:
            # From before the network was rewound.
            return
        self._state = state
        self._moved.set()
        self._moved = asyncio.Event()
        if state.head.round < self.head.round:
            # The answer to an older proof; the one to the newest is on its way.
            return
        self._is_level = state.is_level and self._gap().is_closed
        metrics.is_ready.labels(self._label).set(self.is_ready)
        if self._is_level:
            self._worker.take_part()
            # Only now is it known which transactions are in no round yet.
            self._forwarder.offer(self._worker.next_scheduler)
        elif not self._is_catching_up:
            self._is_catching_up = True
            self._mailbox.spawn(self._catch_up_all())

    async def _catch_up_all(self) -> None:
        await self._catch_up.run(self._gap, self._mailbox.post)
        self._is_catching_up = False

    def _gap(self) -> Gap:
        preferred = () if self._committee is None else self._committee.workers()
        shift = self.head.round % len(preferred) if preferred else 0
        return Gap(
            next_round=min(self.state.next_round, self.feed.next_round),
            head=self.state.head,
            preferred=(*preferred[shift:], *preferred[:shift]),
        )

    def _on_rounds_fetched(self, fetched: RoundsFetched) -> None:
        if fetched.applied.state.incarnation != self._incarnation:
            return  # void rounds, which the enclave has dropped by now
        fresh = tuple(b for b in fetched.blocks if b.header.round >= self.feed.next_round)
        if fresh:
            self._store.save_blocks(fresh)
        for block in fresh:
            self._publish(block)
        self.admission.apply_spent(fetched.applied.spent)
        self._on_enclave_moved(fetched.applied.state)


class Mailbox:
    """The queue of the node's loop, and the tasks that post to it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._offered_bytes = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Coroutine[Any, Any, None]] = []

    def attach(self, tasks: asyncio.TaskGroup) -> None:
        """Take the group in which tasks run, and start what was spawned before."""
        self._tasks = tasks
        for task in self._early:
            tasks.create_task(task)
        self._early.clear()

    def post(self, message: Message) -> None:
        """Put a message of the node's own into the queue."""
        self._queue.put_nowait(message)

    def offer(self, message: ProposalReceived | TransactionsReceived) -> None:
        """Put a message of somebody else into the queue, or raise `NodeBusy`."""
        if self._queue.qsize() >= MAX_INBOX or self._offered_bytes > MAX_INBOX_BYTES:
            raise NodeBusy("too many messages wait")
        self._offered_bytes += message.size_bytes()
        self._queue.put_nowait(message)

    async def take(self) -> Message:
        """Wait for the next message."""
        message = await self._queue.get()
        if isinstance(message, ProposalReceived | TransactionsReceived):
            self._offered_bytes -= message.size_bytes()
        return message

    def spawn(self, task: Coroutine[Any, Any, None]) -> None:
        """Run a task beside the loop; its failure is the node's."""
        if self._tasks is None:
            self._early.append(task)
        else:
            self._tasks.create_task(task)
