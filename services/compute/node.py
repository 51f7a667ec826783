"""
The node's loop: the single writer of its round, its pool and its rounds.

Everything that happens is a message in one queue. Handling one takes no await but where an epoch
changes; whatever takes time runs as a task and posts its outcome.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import assert_never

from services.compute import metrics
from services.compute.admission import Admission, Checked
from services.compute.bundling import Bundle, Bundling
from services.compute.catch_up import CatchUp, Gap, RoundsFetched, preferred_peers
from services.compute.chain_reader import ChainReader
from services.compute.enclave.protocol import ComputeEnclaveApi, EnclaveState
from services.compute.enclave_follower import EnclaveFollower, NodeNotLevel
from services.compute.execution import BatchExecuted
from services.compute.forwarding import Forwarder
from services.compute.joint_votes import VotesDue
from services.compute.mailbox import (
    BlockSeen,
    ChainLost,
    EnclaveMoved,
    Mailbox,
    Message,
    Offered,
    ProposalReceived,
    RoundsDue,
    TransactionsReceived,
    VoteReceived,
)
from services.compute.own_votes import DueReached
from services.compute.pruning import Pruning
from services.compute.publishing import Publisher
from services.compute.registration import Standing
from services.compute.round_worker import RoundWorker
from services.compute.rules.following import (
    Behind,
    CatchingUp,
    Following,
    Level,
    Unaware,
    hear_enclave,
    see_head,
    step,
)
from shared.api.consensus import BlockEvents
from shared.encoding.record import encode_record
from shared.kit.tracing import begin_ns, record_in_round
from shared.types.block import BlockHeader
from shared.types.identity import Epoch, Hash, Incarnation, NodeId, Round
from shared.types.proof import ProvenBytes
from shared.types.registry import Committee

CURRENT_WAIT_S = 0.25
"""How long a client waits for rounds that are taken up for it [s]: a matter of milliseconds,
unless the node is far behind."""
MAX_BEHIND = 4
"""How far behind a ready node may be [rounds]: one that only follows always is a little."""


class ComputeNode:
    """Owns the state of a compute node's host."""

    def __init__(
        self,
        *,
        chain: ChainReader,
        follower: EnclaveFollower,
        enclave: ComputeEnclaveApi,
        publisher: Publisher,
        admission: Admission,
        forwarder: Forwarder,
        worker: RoundWorker,
        catch_up: CatchUp,
        pruning: Pruning,
        standing: Standing,
        mailbox: Mailbox,
        genesis_root: Hash,
    ) -> None:
        self._chain, self.enclave, self._follower = chain, enclave, follower
        self._publisher = publisher
        self.feed, self.admission, self._worker = publisher.feed, admission, worker
        self._forwarder, self._catch_up, self._pruning = forwarder, catch_up, pruning
        self._standing, self._mailbox = standing, mailbox
        self._pool_times, self.executed = worker.pool_times, worker.executed
        self._genesis_root = genesis_root
        self._incarnation = publisher.incarnation
        self._following: Following = Unaware()
        self._committee: Committee | None = None
        self._bundling = Bundling(mailbox.time_s, partial(mailbox.post_in, RoundsDue()))
        label = metrics.runtime_label(chain.runtime_id)
        metrics.is_ready.labels(label).set_function(lambda: self.is_ready)

    # -- what others may know ------------------------------------------------------------------

    @property
    def head(self) -> BlockHeader:
        """Newest finalized round, or `NodeNotLevel` before the first is known."""
        if isinstance(self._following, Unaware):
            raise NodeNotLevel("the node has not seen a round yet")
        return self._following.head

    @property
    def is_level(self) -> bool:
        """Whether everything up to `head` is here, so that the node may take part."""
        return isinstance(self._following, Level)

    @property
    def state(self) -> EnclaveState:
        """Where the enclave stands."""
        return self._follower.state

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
        if not self._follower.is_shown or isinstance(self._following, Unaware):
            return ["consensus"]
        missing = self._standing.waits_for(self.state.epoch)
        # Between a header and the enclave's word the node counts as level.
        behind = self.head.round - (self.feed.next_round - 1)
        return missing if behind <= MAX_BEHIND else [*missing, "rounds"]

    def admits(self, node_id: NodeId) -> bool:
        """Say whether a node is a fellow of this ParaTime, whose messages are taken."""
        return self._chain.peers.is_known(node_id)

    def fellows(self) -> dict[NodeId, str]:
        """Give the other nodes of this ParaTime, with their addresses."""
        return self._chain.peers.addresses()

    def offer(self, message: Offered) -> None:
        """Take a message of a peer, or raise `NodeBusy`."""
        self._mailbox.offer(message)

    async def be_current(self, *, for_client: bool = False) -> None:
        """
        Take up what waits, before somebody is answered who may know of it from another node.

        `for_client` says that this will be so again for a while.
        """
        if for_client:
            self._bundling.note_asked()
        if isinstance(self._following, Unaware):
            return
        newest = self._bundling.newest or self.head
        if newest.round >= self.feed.next_round:
            self._mailbox.post(RoundsDue())
            await self.feed.until_published(newest.round, CURRENT_WAIT_S)

    def keep_awake(self) -> bool:
        """Make empty rounds at their usual pace for a while; whether one is due by that."""
        return self._worker.keep_awake()

    async def newest_taken_up(self) -> Round:
        """Give the newest published round, once the enclave has taken it up."""
        return await self._follower.newest_taken_up()

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
                self._worker.on_proposal(proposal, message.arrived_ns)
            case VoteReceived(vote=vote):
                self._worker.on_vote(vote)
            case Checked():
                accepted = self.admission.apply_checked(message)
                for entry in message.submitted:
                    self._pool_times.note_checked(entry.raws, entry.arrived_ns)
                if accepted:
                    self._forwarder.add(accepted, self._worker.next_scheduler)
                self._worker.note_work()
            case TransactionsReceived(raws=raws):
                self.admission.add_gossiped(raws)
                self._pool_times.note_gossiped(raws)
                self._worker.note_work()
            case EnclaveMoved(state=state):
                self._on_enclave_moved(state)
            case RoundsFetched():
                self._on_rounds_fetched(message)
            case DueReached():
                self._worker.on_due(message)
            case VotesDue():
                self._worker.on_votes_due(message)
            case RoundsDue():
                self._take_up_waiting()
            case ChainLost():
                await self._look_anew()
            case _:
                assert_never(message)

    # -- consensus -----------------------------------------------------------------------------

    async def _look_anew(self) -> None:
        """Find out where consensus stands: at the start, and after it was rewound."""
        self._bundling.clear()
        view = await self._chain.look()
        if self._publisher.go_back(view.life, view.head.round, self._chain.runtime_id):
            self._standing.forget()
            self._pool_times.clear()
        self._incarnation = view.life.incarnation
        self._worker.enter(self._incarnation)
        state = await self._follower.initialize(view.proven, view.head)
        self._follower.note(state)
        self.admission.limit_weight(await self.enclave.fetch_max_batch_weight())
        self._committee = view.committee
        self._worker.follow(view.mining)
        self._standing.enter(view.epoch)
        self._following = step(Unaware(), Behind(view.head))
        # What the node voted for before it stopped may have become final since.
        for header in await self._chain.fetch_headers(self.feed.next_round, view.head):
            self._worker.recall_votes(header.round)
            self._settle((header,), await self._chain.fetch_epoch(header))
        self._begin_round()
        self._on_enclave_moved(state)
        self._mailbox.spawn(self._watch(view.height + 1, self._incarnation))

    async def _watch(self, from_height: int, incarnation: Incarnation) -> None:
        async for events in self._chain.watch(from_height, incarnation):
            self._mailbox.post(BlockSeen(events))
        self._mailbox.post(ChainLost())

    async def _on_block(self, events: BlockEvents) -> None:
        if events.incarnation != self._incarnation:
            return  # void; `ChainLost` is on its way, or was here
        headers, proven = self._chain.headers_in(events), events.proven
        if self._may_wait() and proven is not None and self._chain.is_only_rounds(events):
            bundle = self._bundling.add(Bundle(headers, events.epoch, proven))
            if bundle is not None:
                self._on_finality(bundle)
            return
        self._take_up_waiting()
        if self._chain.changes_more(events):
            view = await self._chain.look_at(events.height)
            if view is None or view.life.incarnation != self._incarnation:
                return  # the chain was rewound meanwhile: `ChainLost` is on its way
            self._committee, proven = view.committee, ProvenBytes(encode_record(view.proven))
            self._standing.enter(view.epoch)
            if not headers:
                headers = (view.head,)
        if headers and proven is not None:
            self._on_finality(Bundle(headers, events.epoch, proven))
        for change in events.mining:
            if change.runtime_id == self._chain.runtime_id:
                self._worker.follow(change.mining)
        for discrepancy in events.discrepancies:
            if discrepancy.runtime_id == self._chain.runtime_id:
                self._worker.on_discrepancy(discrepancy)
        if events.registered or events.is_epoch_change:
            self._mailbox.spawn(self._chain.learn_peers())
        for published in events.secrets:
            if published.secret.runtime_id == self._chain.key_manager:
                self._standing.announce(published.secret.epoch)

    def _may_wait(self) -> bool:
        """Say whether a round may be taken up a moment later, since no part of it is ours."""
        return self.is_level and self._worker.only_follows

    def _take_up_waiting(self) -> None:
        bundle = self._bundling.take()
        if bundle is not None:
            self._on_finality(bundle)

    def _on_finality(self, final: Bundle) -> None:
        headers = final.headers
        # The enclave serves this before the next batch, so nothing here waits for it.
        self._mailbox.spawn(self._advance(final.proven, headers[:-1]))
        head = headers[-1]
        if head.round <= self.head.round:
            return
        self._settle(headers, final.epoch)
        is_settled = self.feed.next_round == head.round + 1
        self._following = see_head(self._following, head, is_settled=is_settled)
        self._begin_round()

    def _settle(self, headers: Sequence[BlockHeader], epoch: Epoch | None) -> None:
        """
        Publish the rounds that this node executed itself, or in which nothing was executed.

        `epoch` is the one in which they were finalized, and so the one whose keys they used.
        """
        begun_ns = begin_ns()
        for header in headers:
            if header.round < self.feed.next_round:
                continue
            settled = self._worker.settle(header) if header.round == self.feed.next_round else None
            if settled is None:
                return
            self._publisher.publish_own(replace(settled, block=replace(settled.block, epoch=epoch)))
            told = self._chain.runtime_id, self._incarnation
            self._pool_times.tell(*told, settled.block)
            record_in_round(*told, header.round, "compute.settle", begun_ns)

    def _begin_round(self) -> None:
        head = self.head
        self._worker.begin(
            head,
            self._committee,
            is_level=self.is_level,
            is_first=head.state_root == self._genesis_root,
        )
        if self.is_level:
            self._forwarder.offer(self._worker.next_scheduler)

    async def _advance(self, proven: ProvenBytes, between: tuple[BlockHeader, ...]) -> None:
        state = await self._follower.advance(proven, between)
        if state is not None:
            self._mailbox.post(EnclaveMoved(state))

    # -- being level ---------------------------------------------------------------------------

    def _on_enclave_moved(self, state: EnclaveState) -> None:
        if state.incarnation != self._incarnation or state.head.round > self.head.round:
            # From before the network was rewound.
            return
        self._follower.note(state)
        self._following = hear_enclave(
            self._following,
            head=state.head.round,
            is_level=state.is_level,
            next_round=self.feed.next_round,
        )
        self._pruning.start(Round(state.next_round - 1), self._mailbox.spawn)
        match self._following:
            case Level() if state.head.round == self.head.round:
                self._worker.take_part()
                # Only now is it known which transactions are in no round yet.
                self._forwarder.offer(self._worker.next_scheduler)
            case CatchingUp():
                self._catch_up.start(self._gap, self._mailbox.post, self._mailbox.spawn)
            case _:
                pass

    def _gap(self) -> Gap:
        next_round = min(self.state.next_round, self.feed.next_round)
        return Gap(next_round, self.state.head, preferred_peers(self._committee, self.head.round))

    def _on_rounds_fetched(self, fetched: RoundsFetched) -> None:
        if fetched.applied.state.incarnation != self._incarnation:
            return  # void rounds, which the enclave has dropped by now
        self._publisher.publish_fetched(fetched)
        for block in fetched.blocks:
            self._pool_times.tell(self._chain.runtime_id, self._incarnation, block)
        self._on_enclave_moved(fetched.applied.state)
