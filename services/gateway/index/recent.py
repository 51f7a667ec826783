"""The newest rounds, in memory: most questions are about them."""

from collections.abc import Iterator

from services.gateway.index.rounds import IndexedRound, IndexedTransaction

ROUND_BYTES = 1024
"""Estimate of what a round costs without its transactions [bytes]."""
TRANSACTION_BYTES = 2048
"""Estimate of what a decoded record costs beside its own bytes [bytes]."""


class RecentRounds:
    """
    A contiguous run of rounds up to the newest, bounded by number and by bytes.

    A round that is not durable yet is never dropped: this is then the only place where it is.
    """

    def __init__(self, max_rounds: int, max_bytes: int) -> None:
        self._max_rounds, self._max_bytes = max_rounds, max_bytes
        self._rounds: dict[int, IndexedRound] = {}
        self._by_hash: dict[bytes, IndexedRound] = {}
        self._transactions: dict[bytes, IndexedTransaction] = {}
        self._bytes = 0
        self.newest: IndexedRound | None = None
        self.oldest_number = 0
        """First round held; means nothing while there is none."""

    def __len__(self) -> int:
        return len(self._rounds)

    @property
    def held_bytes(self) -> int:
        """Estimate of the memory in use [bytes]."""
        return self._bytes

    def add(self, round_: IndexedRound) -> None:
        """Take the next round; the first one may have any number."""
        if self.newest is None:
            self.oldest_number = round_.number
        elif round_.number != self.newest.number + 1:
            raise ValueError(f"round {round_.number} does not follow {self.newest.number}")
        self._rounds[round_.number] = round_
        self._by_hash[round_.hash] = round_
        for transaction in round_.every_transaction():
            self._transactions[transaction.record.hash] = transaction
        self._bytes += _weight(round_)
        self.newest = round_

    def drop_old(self, durable_round: int) -> None:
        """Come back into bounds by dropping the oldest rounds, up to a durable one."""
        while (
            (len(self._rounds) > self._max_rounds or self._bytes > self._max_bytes)
            and self.oldest_number <= durable_round
            and len(self._rounds) > 1
        ):
            self._forget(self._rounds[self.oldest_number])
            self.oldest_number += 1

    def rollback(self, number: int) -> None:
        """Drop every round after one."""
        while self.newest is not None and self.newest.number > number:
            self._forget(self.newest)
            self.newest = self._rounds.get(self.newest.number - 1)

    def _forget(self, round_: IndexedRound) -> None:
        del self._rounds[round_.number]
        self._by_hash.pop(round_.hash, None)
        for transaction in round_.every_transaction():
            self._transactions.pop(transaction.record.hash, None)
        self._bytes -= _weight(round_)

    def find(self, number: int) -> IndexedRound | None:
        """One round by number."""
        return self._rounds.get(number)

    def find_by_hash(self, hash_: bytes) -> IndexedRound | None:
        """One round by the hash of its header."""
        return self._by_hash.get(hash_)

    def find_transaction(self, hash_: bytes) -> IndexedTransaction | None:
        """One transaction by hash."""
        return self._transactions.get(hash_)

    def between(self, first: int, last: int) -> Iterator[IndexedRound]:
        """Rounds held, from one to another, in order."""
        for number in range(max(first, self.oldest_number), last + 1):
            round_ = self._rounds.get(number)
            if round_ is None:
                return
            yield round_


def _weight(round_: IndexedRound) -> int:
    return (
        ROUND_BYTES
        + round_.size_bytes
        + TRANSACTION_BYTES * len(round_.raw_records)
        + 2 * sum(map(len, round_.raw_records))
    )
