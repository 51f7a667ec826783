"""Transactions whose signature was verified once, for pool, proposal and block alike."""

from collections import OrderedDict
from collections.abc import Iterable

from services.consensus.rules.transactions import OpenedTransaction, open_transaction
from shared.crypto.hashes import sha256
from shared.types.genesis import ConsensusParameters

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""As much as the pool holds."""


class OpenedTransactions:
    """By hash, the oldest dropped first. Bounded; refused transactions are not kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, OpenedTransaction] = OrderedDict()
        self._size_bytes = 0

    def open(
        self, untrusted: bytes, chain_context: str, parameters: ConsensusParameters
    ) -> OpenedTransaction:
        """Give what `open_transaction` gives, from memory where it was opened before."""
        hash_ = sha256(untrusted)
        known = self._kept.get(hash_)
        if known is not None:
            return known
        opened = open_transaction(untrusted, chain_context, parameters)
        self._kept[hash_] = opened
        self._size_bytes += opened.size_bytes
        while self._size_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= oldest.size_bytes
        return opened

    def forget(self, transactions: Iterable[bytes]) -> None:
        """Drop transactions that a block has included."""
        for raw in transactions:
            opened = self._kept.pop(sha256(raw), None)
            if opened is not None:
                self._size_bytes -= opened.size_bytes
