"""Transactions that were handed in for an imported chain. Pure: no block takes them."""

from dataclasses import dataclass
from typing import Any

from services.gateway.rpc.errors import EthereumRejected

MAX_WAITING = 4_096
"""Source: go-ethereum's `txpool.globalslots`, without what is queued."""
BUMP_PERCENT = 110
"""What a transaction must offer to take another one's place [%]. Source: go-ethereum,
`txpool.pricebump`."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction that waits."""

    hash: bytes
    sender: bytes
    nonce: int
    raw: bytes
    """Without its blobs."""
    shown: dict[str, Any]
    """As `eth_getTransactionByHash` answers."""

    @property
    def price(self) -> int:
        """Most that it offers [wei/gas]."""
        return int(self.shown["gasPrice"], 16)


class WaitingTransactions:
    """By sender and nonce."""

    def __init__(self) -> None:
        self._by_sender: dict[bytes, dict[int, Waiting]] = {}

    def add(self, new: Waiting) -> None:
        """Take a transaction, or refuse it in go-ethereum's words."""
        own = self._by_sender.setdefault(new.sender, {})
        old = own.get(new.nonce)
        if old is not None:
            if old.hash == new.hash:
                raise EthereumRejected("already known")
            if new.price * 100 < old.price * BUMP_PERCENT:
                raise EthereumRejected("replacement transaction underpriced")
        elif sum(map(len, self._by_sender.values())) >= MAX_WAITING:
            raise EthereumRejected("txpool is full")
        own[new.nonce] = new

    def senders(self) -> list[bytes]:
        """Who has something here."""
        return list(self._by_sender)

    def split(self, sender: bytes, next_nonce: int) -> tuple[list[Waiting], list[Waiting]]:
        """What of a sender could run, in order, and what waits for an earlier nonce."""
        own = self._by_sender.get(sender, {})
        end = next_nonce
        while end in own:
            end += 1
        return (
            [own[nonce] for nonce in range(next_nonce, end)],
            [own[nonce] for nonce in sorted(own) if nonce >= end],
        )
