"""
The door of the pool: transactions are checked by the enclave, many at once, and then put in order.

While one check runs, whatever arrives waits for the next: under load one message to the enclave
carries many transactions. What a peer sends was checked by that peer. While there is little of it,
it goes into the next batch as it is, since execution leaves out what is not valid; where there is
more than that, it is checked first, so that price and nonce decide.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from services.compute import metrics
from services.compute.enclave.protocol import ComputeEnclaveApi
from services.compute.gossip import Gossip
from services.compute.rules.txpool import (
    BatchLimits,
    PooledTransaction,
    PoolState,
    apply_round,
    apply_sequence,
    apply_transaction,
    find_missing,
    has_runnable,
    iterate_in_order,
    remove_transactions,
    select_batch,
)
from shared.api.compute import Submission
from shared.errors import QanatError, Unavailable
from shared.kit.limits import split
from shared.kit.tracing import begin_ns
from shared.types.block import RoundBlock
from shared.types.runtime import CheckedTransaction, SpentSequence

MAX_WAITING = 20_000
"""Transactions that may wait for their check; more are refused until the enclave is through."""
MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Their bytes [bytes]."""
MAX_UNCHECKED = 64
"""Transactions of peers that may stand in a batch without a check of this node."""
LATE_ROUNDS = 4
"""
Rounds whose transactions are not taken from peers any more.

A peer may hand on what it has, while a round with it becomes final.
"""
MAX_CHECKED_AT_ONCE = 1_000
"""Transactions of one message to the enclave, so that other messages get their turn."""
MAX_CHECKED_BYTES = 8 * 1024 * 1024
"""Their bytes: far below the size of a frame [bytes]."""


class NodeBusy(Unavailable, module="compute", code=21):
    """More waits at this node than it takes; try again, or ask another node."""


@dataclass(slots=True)
class _Submitted:
    """Transactions of one client, and who waits to hear of them."""

    raws: tuple[bytes, ...]
    answer: asyncio.Future[tuple[Submission, ...]]
    arrived_ns: int = field(default_factory=begin_ns)
    """Where it is traced [Unix ns]."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the enclave found out; for the node to put into the pool in its turn."""

    submitted: tuple[_Submitted, ...]
    gossiped: tuple[bytes, ...]
    rechecked: tuple[bytes, ...]
    outcomes: dict[bytes, CheckedTransaction] = field(repr=False)
    generation: int = 0
    """Of the pool that it was made for; see `Admission.clear`."""


class Admission:
    """Owns the pool. The node's loop calls what changes it."""

    def __init__(
        self,
        enclave: ComputeEnclaveApi,
        limits: BatchLimits,
        sequence_window: int,
        until_taken_up: Callable[[], Awaitable[object]],
        post: Callable[[Checked], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        runtime: str = "",
    ) -> None:
        """
        Begin with an empty pool.

        `until_taken_up` waits until the enclave holds every round that clients may know of, `post`
        hands a finished check to the node's loop, `spawn` runs a task of the node, `runtime` names
        the ParaTime in metrics.
        """
        self._enclave, self._until_taken_up = enclave, until_taken_up
        self._post, self._spawn = post, spawn
        self._pool = PoolState(limits, sequence_window)
        self._submitted: list[_Submitted] = []
        self._waiting = self._waiting_bytes = 0
        self._gossiped, self._wanted = Gossip(), Gossip()
        self._executed: deque[frozenset[bytes]] = deque(maxlen=LATE_ROUNDS)
        self._rechecks: dict[bytes, None] = {}
        self._is_checking = False
        self._generation = 0
        metrics.pool_transactions.labels(runtime).set_function(lambda: len(self._pool))
        metrics.pool_bytes.labels(runtime).set_function(lambda: self._pool.size_bytes)

    # -- in ------------------------------------------------------------------------------------

    async def submit(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        """Check a client's transactions, put the good ones into the pool, and say which."""
        size_bytes = sum(map(len, raws))
        if (
            self._waiting + len(raws) > MAX_WAITING
            or self._waiting_bytes + size_bytes > MAX_WAITING_BYTES
        ):
            raise NodeBusy("too many transactions wait for their check")
        answer: asyncio.Future[tuple[Submission, ...]] = asyncio.get_running_loop().create_future()
        self._submitted.append(_Submitted(raws, answer))
        self._waiting += len(raws)
        self._waiting_bytes += size_bytes
        self._start()
        return await answer

    def add_gossiped(self, raws: Iterable[bytes]) -> None:
        """Keep transactions of a peer until they are wanted, or have been executed."""
        self._gossiped.add(
            raw
            for raw in raws
            if raw not in self._pool.by_raw
            and not any(raw in executed for executed in self._executed)
            and len(raw) <= self._pool.limits.max_bytes
        )

    def check_gossiped(self) -> None:
        """Check what peers sent: this node is about to schedule."""
        self._wanted.add(self._gossiped.take_all())
        self._start()

    def recheck(self, raws: Iterable[bytes]) -> None:
        """Check what a round refused: what is good waits in the pool, what is bad is forgotten."""
        for raw in raws:
            self._gossiped.discard(raw)
            self._rechecks[raw] = None
        self._start()

    def recheck_all(self) -> None:
        """Check the whole pool once more, after the state went another way than expected."""
        self.recheck(list(self._pool.by_raw))

    # -- checks --------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._is_checking and (self._submitted or self._wanted or self._rechecks):
            self._is_checking = True
            self._spawn(self._check())

    async def _check(self) -> None:
        generation = self._generation
        submitted, self._submitted = tuple(self._submitted), []
        gossiped = self._wanted.take_all()
        rechecked, self._rechecks = tuple(self._rechecks), {}
        raws = list(
            dict.fromkeys([r for s in submitted for r in s.raws] + list(gossiped + rechecked))
        )
        outcomes: dict[bytes, CheckedTransaction] = {}
        try:
            # Who saw a round that paid them may spend it at once.
            await self._until_taken_up()
            for chunk in split(raws, max_items=MAX_CHECKED_AT_ONCE, max_bytes=MAX_CHECKED_BYTES):
                outcomes.update(zip(chunk, await self._enclave.check(chunk), strict=True))
        except QanatError as error:
            for entry in submitted:
                self._forget_waiting(entry)
                if not entry.answer.done():
                    entry.answer.set_exception(error)
            submitted = ()
        self._post(Checked(submitted, gossiped, rechecked, outcomes, generation))

    def apply_checked(self, checked: Checked) -> tuple[bytes, ...]:
        """
        Put checked transactions into the pool, and answer who waits.

        Returns
        -------
        accepted : `tuple`
            Raw transactions of clients that entered the pool: peers should hear of them.
        """
        if checked.generation != self._generation:
            # Checked on a state that is void: what clients sent is checked anew.
            self._submitted[:0] = checked.submitted
            self._is_checking = False
            self._start()
            return ()
        accepted: list[bytes] = []
        for entry in checked.submitted:
            self._forget_waiting(entry)
            answers = []
            for raw in entry.raws:
                submission = self._admit(raw, checked.outcomes[raw])
                metrics.submissions.labels("refused" if submission.module else "accepted").inc()
                answers.append(submission)
                if not submission.module:
                    accepted.append(raw)
            if not entry.answer.done():
                entry.answer.set_result(tuple(answers))
        for raw in checked.gossiped:
            if raw in checked.outcomes:
                self._admit(raw, checked.outcomes[raw])
            else:
                # The check itself failed; the transaction waits for another.
                self._gossiped.add((raw,))
        for raw in checked.rechecked:
            outcome = checked.outcomes.get(raw)
            if outcome is None or outcome.hash is None:
                continue
            if outcome.module:
                remove_transactions(self._pool, (outcome.hash,))
            elif outcome.hash in self._pool:
                apply_sequence(self._pool, outcome.sender, outcome.state_sequence)
            else:
                self._admit(raw, outcome)
        self._is_checking = False
        self._start()
        return tuple(accepted)

    def _admit(self, raw: bytes, outcome: CheckedTransaction) -> Submission:
        if outcome.module or outcome.hash is None:
            return Submission(outcome.hash, outcome.module, outcome.code, outcome.message)
        tx = PooledTransaction(
            raw=raw,
            hash=outcome.hash,
            sender=outcome.sender,
            sequence=outcome.sequence,
            priority=outcome.priority,
            weight=outcome.weight,
        )
        try:
            apply_transaction(self._pool, tx, state_sequence=outcome.state_sequence)
        except QanatError as refusal:
            return Submission(outcome.hash, refusal.module, refusal.code, refusal.message)
        self._gossiped.discard(raw)
        missing = find_missing(self._pool, tx.sender)
        is_runnable = missing is None or missing > tx.sequence
        return Submission(outcome.hash, missing_sequence=None if is_runnable else missing)

    def _forget_waiting(self, entry: _Submitted) -> None:
        self._waiting -= len(entry.raws)
        self._waiting_bytes -= sum(map(len, entry.raws))

    # -- out -----------------------------------------------------------------------------------

    def apply_block(self, block: RoundBlock) -> None:
        """Let go of what a finalized round executed."""
        for raw in block.transactions:
            self._gossiped.discard(raw)
        if block.transactions:
            self._executed.append(frozenset(block.transactions))

    def apply_spent(self, spent: tuple[SpentSequence, ...]) -> None:
        """Let go of what may not run again, after rounds that were finalized."""
        if spent:
            apply_round(self._pool, ((used.sender, used.sequence) for used in spent))

    def limit_weight(self, max_weight: int) -> None:
        """Take what the runtime says that a batch may weigh."""
        self._pool.limits = replace(self._pool.limits, max_weight=max_weight)

    def has_work(self) -> bool:
        """Say whether a batch may hold anything, transactions of peers included."""
        return bool(self._gossiped or self._wanted) or has_runnable(self._pool)

    @property
    def waiting(self) -> int:
        """Number of transactions that wait for a round, those of peers included."""
        return len(self._pool) + len(self._gossiped) + len(self._wanted)

    def needs_check(self) -> bool:
        """Say whether so many transactions of peers wait that they have to be put in order."""
        return len(self._gossiped) > MAX_UNCHECKED

    def select_batch(self) -> tuple[bytes, ...]:
        """Give the transactions that run next; they stay here until a round holds them."""
        batch = [tx.raw for tx in select_batch(self._pool)]
        limits = self._pool.limits
        room, room_bytes = limits.max_transactions - len(batch), limits.max_bytes
        room_bytes -= sum(map(len, batch))
        for raw in itertools.islice(self._gossiped, min(room, MAX_UNCHECKED)):
            room_bytes -= len(raw)
            if room_bytes < 0:
                break
            batch.append(raw)
        return tuple(batch)

    def next_sequence(self, sender: bytes) -> int | None:
        """Give the sequence that follows what waits; None where nothing is known of a sender."""
        return find_missing(self._pool, sender)

    def pending(self) -> tuple[bytes, ...]:
        """Give all that could run, in order; unchecked transactions of peers last."""
        return (*(tx.raw for tx in iterate_in_order(self._pool)), *self._gossiped)

    def drop(self, raw: bytes) -> None:
        """Remove a transaction that the enclave refuses although its check is good."""
        tx = self._pool.by_raw.get(raw)
        if tx is not None:
            remove_transactions(self._pool, (tx.hash,))

    def forget(self, raw: bytes) -> bool:
        """Remove a transaction, checked or not, that its owner gave up; whether it was here."""
        was_here = raw in self._pool.by_raw or raw in self._gossiped or raw in self._wanted
        self.drop(raw)
        self._gossiped.discard(raw)
        self._wanted.discard(raw)
        self._rechecks.pop(raw, None)
        return was_here

    def clear(self) -> None:
        """Forget everything: the network was rewound. A check that is under way is void too."""
        self._generation += 1
        self._pool = PoolState(self._pool.limits, self._pool.sequence_window)
        self._gossiped.clear()
        self._wanted.clear()
        self._rechecks.clear()
        self._executed.clear()
