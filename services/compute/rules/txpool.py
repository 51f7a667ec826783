"""
The transaction pool: what waits, and what runs next.

Transactions of one sender run in the order of their nonces; among senders the higher gas price goes
first, and the earlier arrival where prices are equal. All facts about a transaction (sender, nonce,
price) come from the enclave's check; this module orders and bounds. Source: oasis-core
go/runtime/txpool/main_queue.go @ f9f1fdc.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.errors import Rejected, RuntimeRejected, Unavailable
from shared.types.identity import EthereumAddress, Hash

MAX_FUTURE_NONCES = 9
"""How far ahead of the account a waiting nonce may be. Source: sapphire-paratime, runtime/src."""
MAX_TRANSACTIONS = 50_000
"""Source: oasis-core's default of `runtime.tx_pool.max_pool_size`."""
MAX_POOL_BYTES = 64 * 1024 * 1024
"""Raw bytes in the pool; full of transactions of 128 KiB it holds 512."""
MAX_REMEMBERED_NONCES = 65_536
"""Senders whose newest nonce is remembered after their transactions have left."""


class DuplicateTransaction(Rejected, module="txpool", code=1):
    """The very same transaction waits already."""


class ReplacementUnderpriced(Rejected, module="txpool", code=2):
    """Another transaction waits under this nonce, and the new one does not pay more."""


class PoolFull(Unavailable, module="txpool", code=3):
    """The pool is full of transactions that pay at least as much."""


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A transaction that passed the enclave's check."""

    raw: bytes
    hash: Hash
    sender: EthereumAddress
    nonce: int
    gas: int
    """Gas limit [gas]."""
    gas_price_wei: int
    """The most it pays for a unit of gas [wei]."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one batch may hold."""

    max_transactions: int
    max_bytes: int
    max_gas: int
    """Sum of gas limits, so that whatever is taken is sure to fit [gas]."""


@dataclass(slots=True)
class _Sender:
    """The waiting transactions of one account."""

    next_nonce: int
    """Nonce that the account's next transaction must have."""
    waiting: dict[int, PooledTransaction] = field(default_factory=dict)


@dataclass(slots=True)
class PoolState:
    """The pool. Changed by the functions of this module only."""

    limits: BatchLimits
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
    """Heap of (price, minus arrival, hash); entries of transactions that left are stale."""
    nonces: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    """Next nonce by sender as finalized rounds showed it, newest last."""

    def __len__(self) -> int:
        return len(self.by_hash)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self.by_hash


def apply_transaction(state: PoolState, tx: PooledTransaction, *, account_nonce: int) -> None:
    """
    Put a checked transaction into the pool.

    It may replace one of the same sender and nonce that pays less, and push out the cheapest of a
    full pool.

    Parameters
    ----------
    state : `PoolState`
        Changed in place on success, untouched on error.
    tx : `PooledTransaction`
        As the enclave's check saw it.
    account_nonce : `int`
        Nonce of the sender's account at the time of the check; a finalized round that the pool
        has seen since then counts for more.

    Raises
    ------
    DuplicateTransaction, ReplacementUnderpriced, PoolFull
        See each class.
    RuntimeRejected
        `core` 4 for a nonce that is used up, `core` 26 for one too far ahead, `core` 12 and 23 for
        more gas or bytes than a whole batch may have.
    """
    if tx.hash in state.by_hash:
        raise DuplicateTransaction("already known")
    _verify_fits(state.limits, tx)
    next_nonce = max(account_nonce, state.nonces.get(tx.sender, 0))
    if tx.nonce < next_nonce:
        raise RuntimeRejected("core", 4, "invalid nonce")
    if tx.nonce > next_nonce + MAX_FUTURE_NONCES:
        raise RuntimeRejected("core", 26, "future nonce")
    sender = state.senders.get(tx.sender)
    replaced = sender.waiting.get(tx.nonce) if sender is not None else None
    if replaced is not None and tx.gas_price_wei <= replaced.gas_price_wei:
        raise ReplacementUnderpriced("replacement transaction underpriced")
    _make_room(state, tx, replaced)
    if replaced is not None:
        _remove(state, replaced)
    # Room was made by removals, so the sender is looked up again.
    sender = state.senders.get(tx.sender)
    if sender is None:
        sender = state.senders[tx.sender] = _Sender(next_nonce)
    sender.next_nonce = max(sender.next_nonce, next_nonce)
    sender.waiting[tx.nonce] = tx
    state.by_hash[tx.hash] = state.by_raw[tx.raw] = tx
    state.arrived += 1
    state.arrivals[tx.hash] = state.arrived
    state.size_bytes += len(tx.raw)
    heapq.heappush(state.cheapest, (tx.gas_price_wei, -state.arrived, tx.hash))


def apply_round(state: PoolState, executed: Iterable[tuple[bytes, int]]) -> None:
    """Take note of the (sender, nonce) pairs of a finalized round, in their order."""
    for address, nonce in executed:
        next_nonce = max(nonce + 1, state.nonces.pop(address, 0))
        state.nonces[address] = next_nonce
        if len(state.nonces) > MAX_REMEMBERED_NONCES:
            state.nonces.popitem(last=False)
        sender = state.senders.get(address)
        if sender is None:
            continue
        sender.next_nonce = max(sender.next_nonce, next_nonce)
        for used in [n for n in sender.waiting if n < next_nonce]:
            _remove(state, sender.waiting[used])


def apply_nonce(state: PoolState, address: bytes, account_nonce: int) -> None:
    """
    Believe a newer check about an account, also when its nonce went back.

    A nonce goes back when the network is rewound.
    """
    state.nonces.pop(address, None)
    sender = state.senders.get(address)
    if sender is None:
        return
    sender.next_nonce = account_nonce
    for used in [n for n in sender.waiting if n < account_nonce]:
        _remove(state, sender.waiting[used])


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
    size_bytes, gas = 0, 0
    for tx in iterate_in_order(state):
        if len(batch) == limits.max_transactions or gas == limits.max_gas:
            break
        if size_bytes + len(tx.raw) > limits.max_bytes or gas + tx.gas > limits.max_gas:
            # A later, smaller one may not overtake: its sender's order and the price order hold.
            break
        batch.append(tx)
        size_bytes += len(tx.raw)
        gas += tx.gas
    return tuple(batch)


def iterate_in_order(state: PoolState) -> Iterator[PooledTransaction]:
    """Give every transaction that could run now, in the order in which it would."""
    heads: list[tuple[int, int, bytes, int]] = []
    for address, sender in state.senders.items():
        tx = sender.waiting.get(sender.next_nonce)
        if tx is not None:
            heads.append((-tx.gas_price_wei, state.arrivals[tx.hash], address, tx.nonce))
    heapq.heapify(heads)
    while heads:
        _, _, address, nonce = heads[0]
        waiting = state.senders[address].waiting
        yield waiting[nonce]
        following = waiting.get(nonce + 1)
        if following is None:
            heapq.heappop(heads)
        else:
            head = (
                -following.gas_price_wei,
                state.arrivals[following.hash],
                address,
                following.nonce,
            )
            heapq.heapreplace(heads, head)


def has_runnable(state: PoolState) -> bool:
    """Say whether a batch would hold anything."""
    return any(s.next_nonce in s.waiting for s in state.senders.values())


def _verify_fits(limits: BatchLimits, tx: PooledTransaction) -> None:
    if tx.gas > limits.max_gas:
        message = f"out of gas (limit: {limits.max_gas} wanted: {tx.gas})"
        raise RuntimeRejected("core", 12, message)
    if len(tx.raw) > limits.max_bytes:
        raise RuntimeRejected("core", 23, "transaction too large")


def _make_room(state: PoolState, tx: PooledTransaction, replaced: PooledTransaction | None) -> None:
    """Push out cheaper transactions until the new one fits, or raise with nothing changed."""
    freed_bytes = len(replaced.raw) if replaced is not None else 0
    freed_count = 1 if replaced is not None else 0
    victims: list[PooledTransaction] = []
    # The last nonce of a sender goes first, so that none of the others loses its predecessor.
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
            if victim.gas_price_wei >= tx.gas_price_wei:
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
        nonces = left.setdefault(cheapest.sender, sorted(waiting))
        if not nonces:
            popped.append(heapq.heappop(state.cheapest))
            continue
        return waiting[nonces.pop()]
    return None


def _remove(state: PoolState, tx: PooledTransaction) -> None:
    sender = state.senders[tx.sender]
    del sender.waiting[tx.nonce]
    if not sender.waiting:
        del state.senders[tx.sender]
    del state.by_hash[tx.hash], state.by_raw[tx.raw]
    del state.arrivals[tx.hash]
    state.size_bytes -= len(tx.raw)
    if len(state.cheapest) > 2 * len(state.by_hash) + 64:
        # Most entries are stale by now: rebuild, so that memory follows the pool.
        state.cheapest = [
            (t.gas_price_wei, -state.arrivals[t.hash], t.hash) for t in state.by_hash.values()
        ]
        heapq.heapify(state.cheapest)
