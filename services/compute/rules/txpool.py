"""
The transaction pool: what waits, and what runs next.

Transactions of one sender run in the order of their sequences (an EVM calls them nonces); among
senders the higher priority goes first (an EVM's is the gas price), and the earlier arrival where
these are equal. All facts about a transaction come from the enclave's check; this module orders and
bounds. Source: oasis-core go/runtime/txpool/main_queue.go @ f9f1fdc.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.errors import Rejected, RuntimeRejected, Unavailable
from shared.types.identity import Hash

UPSTREAM_WINDOW = 9
"""How far ahead of its sender a sequence may wait there. Source: sapphire-paratime, runtime/src."""
SEQUENCE_WINDOW = 1_000
"""How far ahead it may wait here: scripts send hundreds of transactions without a look back."""
MAX_TRANSACTIONS = 50_000
"""Source: oasis-core's default of `runtime.tx_pool.max_pool_size`."""
MAX_POOL_BYTES = 64 * 1024 * 1024
"""Raw bytes in the pool; full of transactions of 128 KiB it holds 512."""
MAX_REMEMBERED_SEQUENCES = 65_536
"""Senders whose newest sequence is remembered after their transactions have left."""


class DuplicateTransaction(Rejected, module="txpool", code=1):
    """The very same transaction waits already."""


class ReplacementUnderpriced(Rejected, module="txpool", code=2):
    """Another transaction waits under this sequence, and the new one does not pay more."""


class PoolFull(Unavailable, module="txpool", code=3):
    """The pool is full of transactions that pay at least as much."""


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A transaction that passed the enclave's check."""

    raw: bytes
    hash: Hash
    sender: bytes
    sequence: int
    priority: int
    weight: int
    """Share of a batch that it may take, at most; an EVM's is its gas limit."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch may hold."""

    max_transactions: int
    max_bytes: int
    max_weight: int = 0
    """Sum of weights, so that whatever is taken is sure to fit; the runtime says how much."""


@dataclass(slots=True)
class _Sender:
    """The waiting transactions of one account."""

    next_sequence: int
    """Sequence that the sender's next transaction must have."""
    first_missing: int
    """First sequence from there on of which no transaction waits."""
    waiting: dict[int, PooledTransaction] = field(default_factory=dict)


@dataclass(slots=True)
class PoolState:
    """The pool. Changed by the functions of this module only."""

    limits: BatchLimits
    sequence_window: int = SEQUENCE_WINDOW
    """How far ahead of its sender a sequence may wait."""
    max_transactions: int = MAX_TRANSACTIONS
    max_bytes: int = MAX_POOL_BYTES
    size_bytes: int = 0
    senders: dict[bytes, _Sender] = field(default_factory=dict)
    by_hash: dict[bytes, PooledTransaction] = field(default_factory=dict)
    by_raw: dict[bytes, PooledTransaction] = field(default_factory=dict)
    arrivals: dict[bytes, int] = field(default_factory=dict)
    """Order of arrival by transaction hash."""
    arrived: int = 0
    cheapest: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Heap of (priority, minus arrival, hash); entries of transactions that left are stale."""
    sequences: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    """Next sequence by sender as finalized rounds showed it, newest last."""

    def __len__(self) -> int:
        return len(self.by_hash)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self.by_hash


def apply_transaction(state: PoolState, tx: PooledTransaction, *, state_sequence: int) -> None:
    """
    Put a checked transaction into the pool.

    It may replace one of the same sender and sequence with less priority, and push out the least of
    a full pool.

    Parameters
    ----------
    state : `PoolState`
        Changed in place on success, untouched on error.
    tx : `PooledTransaction`
        As the enclave's check saw it.
    state_sequence : `int`
        Sequence of the sender's next transaction at the time of the check; a finalized round that
        the pool has seen since then counts for more.

    Raises
    ------
    DuplicateTransaction, ReplacementUnderpriced, PoolFull
        See each class.
    RuntimeRejected
        `core` 4 for a sequence that is used up, `core` 26 for one too far ahead, `core` 12 and 23
        for more weight or bytes than a whole batch may have.
    """
    if tx.hash in state.by_hash:
        raise DuplicateTransaction("already known")
    _verify_fits(state.limits, tx)
    next_sequence = max(state_sequence, state.sequences.get(tx.sender, 0))
    if tx.sequence < next_sequence:
        raise RuntimeRejected("core", 4, "invalid nonce")
    if tx.sequence > next_sequence + state.sequence_window:
        raise RuntimeRejected("core", 26, "future nonce")
    sender = state.senders.get(tx.sender)
    replaced = sender.waiting.get(tx.sequence) if sender is not None else None
    if replaced is not None and tx.priority <= replaced.priority:
        raise ReplacementUnderpriced("replacement transaction underpriced")
    _make_room(state, tx, replaced)
    if replaced is not None:
        _remove(state, replaced)
    if sender is not None:
        _advance(state, sender, next_sequence)
    # Removals may have taken the sender away, so it is looked up again.
    sender = state.senders.get(tx.sender)
    if sender is None:
        sender = state.senders[tx.sender] = _Sender(next_sequence, next_sequence)
    sender.waiting[tx.sequence] = tx
    state.by_hash[tx.hash] = state.by_raw[tx.raw] = tx
    state.arrived += 1
    state.arrivals[tx.hash] = state.arrived
    state.size_bytes += len(tx.raw)
    heapq.heappush(state.cheapest, (tx.priority, -state.arrived, tx.hash))


def apply_round(state: PoolState, executed: Iterable[tuple[bytes, int]]) -> None:
    """Take note of the (sender, sequence) pairs of a finalized round, in their order."""
    for address, sequence in executed:
        next_sequence = max(sequence + 1, state.sequences.pop(address, 0))
        state.sequences[address] = next_sequence
        if len(state.sequences) > MAX_REMEMBERED_SEQUENCES:
            state.sequences.popitem(last=False)
        sender = state.senders.get(address)
        if sender is None:
            continue
        _advance(state, sender, next_sequence)


def _advance(state: PoolState, sender: _Sender, next_sequence: int) -> None:
    """Let go of what a sender has used up."""
    first_missing = max(sender.first_missing, next_sequence)
    for used in _waiting_between(sender, sender.next_sequence, next_sequence):
        _remove(state, used)
    sender.next_sequence = max(sender.next_sequence, next_sequence)
    # What was used up is not missing.
    sender.first_missing = first_missing


def _waiting_between(sender: _Sender, first: int, end: int) -> list[PooledTransaction]:
    """Give what waits from one sequence up to another; nothing waits below the first."""
    if end - first > len(sender.waiting):
        return [tx for sequence, tx in sender.waiting.items() if sequence < end]
    found = (sender.waiting.get(sequence) for sequence in range(first, end))
    return [tx for tx in found if tx is not None]


def apply_sequence(state: PoolState, address: bytes, state_sequence: int) -> None:
    """
    Believe a newer check about an account, also when its sequence went back.

    A sequence goes back when the network is rewound.
    """
    state.sequences.pop(address, None)
    sender = state.senders.get(address)
    if sender is None:
        return
    _advance(state, sender, state_sequence)
    sender.next_sequence = sender.first_missing = state_sequence


def find_missing(state: PoolState, address: bytes) -> int | None:
    """
    Give the first sequence of a sender of which no transaction waits or was executed.

    None where the pool knows nothing of the sender.
    """
    sender = state.senders.get(address)
    if sender is None:
        return state.sequences.get(address)
    sequence = max(sender.first_missing, sender.next_sequence)
    while sequence in sender.waiting:
        sequence += 1
    sender.first_missing = sequence
    return sequence


def remove_transactions(state: PoolState, hashes: Iterable[bytes]) -> None:
    """Drop transactions that turned out to be bad; unknown hashes are ignored."""
    for tx_hash in hashes:
        tx = state.by_hash.get(tx_hash)
        if tx is not None:
            _remove(state, tx)


def select_batch(state: PoolState) -> tuple[PooledTransaction, ...]:
    """Give the transactions that run next, as many as fit; they stay in the pool."""
    limits = state.limits
    batch: list[PooledTransaction] = []
    size_bytes, weight = 0, 0
    for tx in iterate_in_order(state):
        if len(batch) == limits.max_transactions or weight == limits.max_weight:
            break
        if size_bytes + len(tx.raw) > limits.max_bytes or weight + tx.weight > limits.max_weight:
            # A later, smaller one may not overtake: its sender's order and that of priority hold.
            break
        batch.append(tx)
        size_bytes += len(tx.raw)
        weight += tx.weight
    return tuple(batch)


def iterate_in_order(state: PoolState) -> Iterator[PooledTransaction]:
    """Give every transaction that could run now, in the order in which it would."""
    heads: list[tuple[int, int, bytes, int]] = []
    for address, sender in state.senders.items():
        tx = sender.waiting.get(sender.next_sequence)
        if tx is not None:
            heads.append((-tx.priority, state.arrivals[tx.hash], address, tx.sequence))
    heapq.heapify(heads)
    while heads:
        _, _, address, sequence = heads[0]
        waiting = state.senders[address].waiting
        yield waiting[sequence]
        following = waiting.get(sequence + 1)
        if following is None:
            heapq.heappop(heads)
        else:
            head = (
                -following.priority,
                state.arrivals[following.hash],
                address,
                following.sequence,
            )
            heapq.heapreplace(heads, head)


def has_runnable(state: PoolState) -> bool:
    """Say whether a batch would hold anything."""
    return any(s.next_sequence in s.waiting for s in state.senders.values())


def _verify_fits(limits: BatchLimits, tx: PooledTransaction) -> None:
    if tx.weight > limits.max_weight:
        message = f"out of gas (limit: {limits.max_weight} wanted: {tx.weight})"
        raise RuntimeRejected("core", 12, message)
    if len(tx.raw) > limits.max_bytes:
        raise RuntimeRejected("core", 23, "transaction too large")


def _make_room(state: PoolState, tx: PooledTransaction, replaced: PooledTransaction | None) -> None:
    """Push out cheaper transactions until the new one fits, or raise with nothing changed."""
    freed_bytes = len(replaced.raw) if replaced is not None else 0
    freed_count = 1 if replaced is not None else 0
    victims: list[PooledTransaction] = []
    # The last sequence of a sender goes first, so that none of the others loses its predecessor.
    left = dict[bytes, list[int]]()
    popped: list[tuple[int, int, bytes]] = []
    try:
        while (
            len(state) - freed_count >= state.max_transactions
            or state.size_bytes - freed_bytes + len(tx.raw) > state.max_bytes
        ):
            victim = _next_victim(state, left, popped)
            if victim is None or victim.sender == tx.sender:
                raise PoolFull("the transaction pool is full")
            if victim.priority >= tx.priority:
                raise PoolFull("the transaction pool is full of transactions that pay as much")
            victims.append(victim)
            freed_bytes += len(victim.raw)
            freed_count += 1
    finally:
        for entry in popped:
            heapq.heappush(state.cheapest, entry)
    for victim in victims:
        _remove(state, victim)


def _next_victim(
    state: PoolState, left: dict[bytes, list[int]], popped: list[tuple[int, int, bytes]]
) -> PooledTransaction | None:
    while state.cheapest:
        entry = state.cheapest[0]
        cheapest = state.by_hash.get(entry[2])
        if cheapest is None or state.arrivals[cheapest.hash] != -entry[1]:
            heapq.heappop(state.cheapest)
            continue
        waiting = state.senders[cheapest.sender].waiting
        sequences = left.setdefault(cheapest.sender, sorted(waiting))
        if not sequences:
            popped.append(heapq.heappop(state.cheapest))
            continue
        return waiting[sequences.pop()]
    return None


def _remove(state: PoolState, tx: PooledTransaction) -> None:
    sender = state.senders[tx.sender]
    del sender.waiting[tx.sequence]
    sender.first_missing = min(sender.first_missing, tx.sequence)
    if not sender.waiting:
        del state.senders[tx.sender]
    del state.by_hash[tx.hash], state.by_raw[tx.raw]
    del state.arrivals[tx.hash]
    state.size_bytes -= len(tx.raw)
    if len(state.cheapest) > 2 * len(state.by_hash) + 64:
        # Most entries are stale by now: rebuild, so that memory follows the pool.
        state.cheapest = [
            (t.priority, -state.arrivals[t.hash], t.hash) for t in state.by_hash.values()
        ]
        heapq.heapify(state.cheapest)
