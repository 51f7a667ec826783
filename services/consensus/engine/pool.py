"""Transactions that wait for a block."""

from collections.abc import Callable, Iterable

from services.consensus.abci import TxResult
from shared.api.consensus import AlreadyPending, PoolFull, TransactionTooLarge
from shared.crypto.hashes import sha256

MAX_POOL_TRANSACTIONS = 5_000
"""Source: cometbft config/config.go, mempool size."""
MAX_POOL_BYTES = 64 * 1024 * 1024
"""Source: cometbft config/config.go, mempool max_txs_bytes."""


Check = Callable[[bytes, bool], TxResult]
"""`Application.check_tx`."""


def transaction_hash(raw: bytes) -> bytes:
    """Hash by which CometBFT knows a transaction, 32 bytes."""
    return sha256(raw)


class Pool:
    """Waiting transactions by hash, oldest first. Bounded."""

    def __init__(self, check: Check, max_tx_bytes: int) -> None:
        self._check, self._max_tx_bytes = check, max_tx_bytes
        self._waiting: dict[bytes, bytes] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, hash_: bytes) -> bool:
        return hash_ in self._waiting

    def add(self, raw: bytes) -> TxResult:
        """
        Let the application check a transaction, and keep it if its code is 0.

        Raises
        ------
        AlreadyPending, TransactionTooLarge, PoolFull
            See each class; the application was not asked.
        """
        if len(raw) > self._max_tx_bytes:
            raise TransactionTooLarge(f"{len(raw)} bytes, at most {self._max_tx_bytes}")
        hash_ = transaction_hash(raw)
        if hash_ in self._waiting:
            raise AlreadyPending(f"transaction {hash_.hex()} waits already")
        is_full = len(self._waiting) >= MAX_POOL_TRANSACTIONS
        if is_full or self._size_bytes + len(raw) > MAX_POOL_BYTES:
            raise PoolFull(f"{len(self._waiting)} transactions wait")
        result = self._check(raw, False)
        if result.code == 0:
            self._waiting[hash_] = raw
            self._size_bytes += len(raw)
        return result

    def oldest_first(self) -> tuple[bytes, ...]:
        """Candidates for the next block."""
        return tuple(self._waiting.values())

    def settle(self, included: Iterable[bytes]) -> list[tuple[bytes, TxResult]]:
        """
        Drop what a committed block included, and what is no longer good after it.

        Returns
        -------
        dropped : list of (transaction, result)
            Transactions that were not included and that the application now refuses.
        """
        for raw in included:
            self._drop(raw)
        dropped = []
        for raw in self.oldest_first():
            result = self._check(raw, True)
            if result.code != 0:
                self._drop(raw)
                dropped.append((raw, result))
        return dropped

    def _drop(self, raw: bytes) -> None:
        if self._waiting.pop(transaction_hash(raw), None) is not None:
            self._size_bytes -= len(raw)
