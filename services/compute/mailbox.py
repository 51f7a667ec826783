"""What may happen to a node, as messages, and the queue in which they wait for its loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from services.compute.admission import Checked, NodeBusy
from services.compute.catch_up import RoundsFetched
from services.compute.enclave.protocol import EnclaveState
from services.compute.execution import BatchExecuted
from services.compute.joint_votes import VotesDue
from services.compute.own_votes import DueReached
from shared.api.consensus import BlockEvents
from shared.kit.tracing import begin_ns
from shared.types.commitment import ExecutorCommitment, Proposal

MAX_INBOX = 10_000
"""Messages that may wait; edges are refused beyond it."""
MAX_INBOX_BYTES = 32 * 1024 * 1024
"""Transactions of peers that may wait in these messages [bytes]; more are refused."""
VOTE_BYTES = 512
"""What a vote counts as while it waits, beside its messages [bytes]."""


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """Consensus made a block."""

    events: BlockEvents


@dataclass(frozen=True, slots=True)
class ChainLost:
    """The stream of blocks cannot go on where it was: the chain was rewound, or pruned."""


@dataclass(frozen=True, slots=True)
class RoundsDue:
    """Rounds that wait to be taken up together have waited for long enough."""


@dataclass(frozen=True, slots=True)
class EnclaveMoved:
    """The enclave has seen a new proof."""

    state: EnclaveState


@dataclass(frozen=True, slots=True)
class ProposalReceived:
    """A peer proposes."""

    proposal: Proposal
    arrived_ns: int = field(default_factory=begin_ns)
    """Where it is traced [Unix ns]."""

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


@dataclass(frozen=True, slots=True)
class VoteReceived:
    """A member of the committee hands on its vote."""

    vote: ExecutorCommitment

    def size_bytes(self) -> int:
        """Give about how many bytes it takes."""
        return VOTE_BYTES + sum(map(len, self.vote.messages or ()))


Offered = ProposalReceived | TransactionsReceived | VoteReceived
"""What others put into the queue."""
Message = (
    BlockSeen
    | ChainLost
    | RoundsDue
    | EnclaveMoved
    | Offered
    | Checked
    | RoundsFetched
    | BatchExecuted
    | DueReached
    | VotesDue
)


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

    def post_in(self, message: Message, delay_s: float) -> None:
        """Put a message of the node's own into the queue after a while [s]."""
        asyncio.get_running_loop().call_later(delay_s, self.post, message)

    def time_s(self) -> float:
        """Time of the event loop [s]."""
        return asyncio.get_running_loop().time()

    def offer(self, message: Offered) -> None:
        """Put a message of somebody else into the queue, or raise `NodeBusy`."""
        if self._queue.qsize() >= MAX_INBOX or self._offered_bytes > MAX_INBOX_BYTES:
            raise NodeBusy("too many messages wait")
        self._offered_bytes += message.size_bytes()
        self._queue.put_nowait(message)

    async def take(self) -> Message:
        """Wait for the next message."""
        message = await self._queue.get()
        if isinstance(message, Offered):
            self._offered_bytes -= message.size_bytes()
        return message

    def spawn(self, task: Coroutine[Any, Any, None]) -> None:
        """Run a task beside the loop; its failure is the node's."""
        if self._tasks is None:
            self._early.append(task)
        else:
            self._tasks.create_task(task)
