"""What went out sealed: by which hash the tool knows it, and what it was in plain."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from qanat.view.envelopes import EpochKey, NotSealedToUs, open_answer
from services.gateway.pooled import PooledTransaction

MAX_BYTES = 64 * 1024 * 1024
"""Of transactions that are remembered; the oldest goes."""
ENTRY_BYTES = 2_000
"""What is held of a transaction beside its bytes, about."""
HASH_CHARACTERS = 66
MAX_DEPTH = 16
"""Levels in which transactions are looked for; below are calls of traces."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that was sealed here."""

    chain_hash: str
    """Hash on the chain, `0x…`."""
    shown_hash: str
    """Hash by which the tool knows it: that of what it signed, where it signed."""
    plain: PooledTransaction
    """As the tool wants to see it."""
    raw: bytes
    """As it went to the gateway."""
    sealed_to: EpochKey
    key: bytes = field(repr=False)
    """Opens the result."""

    @property
    def size_bytes(self) -> int:
        """What remembering it takes, about."""
        return len(self.plain.input) + len(self.raw) + ENTRY_BYTES


class Journal:
    """Transactions by either hash, until there are too many."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._by_chain_hash: OrderedDict[str, Sent] = OrderedDict()
        self._by_shown_hash: dict[str, Sent] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._by_chain_hash)

    def add(self, sent: Sent) -> None:
        """Remember a transaction; one of the same hash is replaced."""
        self._forget(sent.chain_hash)
        self._by_chain_hash[sent.chain_hash] = self._by_shown_hash[sent.shown_hash] = sent
        self._bytes += sent.size_bytes
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._by_chain_hash)))

    def chain_hash(self, hash_: str) -> str:
        """Give the hash on the chain of a transaction that a tool names by either."""
        found = self.find_shown(hash_)
        return hash_ if found is None else found.chain_hash

    def withdraw(self, sent: Sent) -> None:
        """Forget a transaction that nobody took; an earlier one of the same tool's hash is back."""
        self._forget(sent.chain_hash)
        for earlier in reversed(self._by_chain_hash.values()):
            if earlier.shown_hash == sent.shown_hash:
                self._by_shown_hash[sent.shown_hash] = earlier
                return

    def _forget(self, chain_hash: str) -> None:
        sent = self._by_chain_hash.pop(chain_hash, None)
        if sent is None:
            return
        self._bytes -= sent.size_bytes
        if self._by_shown_hash.get(sent.shown_hash) is sent:
            del self._by_shown_hash[sent.shown_hash]

    def find_shown(self, hash_: str) -> Sent | None:
        """Find a transaction by the hash that the tool has of it."""
        return self._by_shown_hash.get(hash_.lower()) if len(hash_) == HASH_CHARACTERS else None

    def show(self, value: Any, asked: str | None = None) -> Any:
        """
        Give an answer of the gateway as the tool would have got it in plain.

        Parameters
        ----------
        value : JSON
            The answer.
        asked : `str`, optional
            A hash by which the tool asked: what it names is shown by it.
        """
        return self._show(value, asked, MAX_DEPTH) if self._by_chain_hash else value

    def _show(self, value: Any, asked: str | None, depth: int) -> Any:
        if type(value) is str:
            return self._name(value, asked)
        if depth == 0:
            return value
        if type(value) is list:
            return [self._show(one, asked, depth - 1) for one in value]
        if type(value) is not dict:
            return value
        shown = {name: self._show(one, asked, depth - 1) for name, one in value.items()}
        hash_ = value.get("transactionHash", value.get("hash"))
        sent = self._by_chain_hash.get(hash_) if type(hash_) is str else None
        if sent is None:
            return shown
        name = self._name(sent.chain_hash, asked)
        if "input" in value and value.get("hash") == hash_:
            shown |= _as_signed(sent) if name == sent.shown_hash else _in_plain(sent)
        elif "encrypted" in value and type(value.get("output")) is str:
            shown["output"] = _open(sent, value["output"])
        elif "cumulativeGasUsed" not in value:
            return shown
        if name != sent.chain_hash:
            shown["chainHash"] = sent.chain_hash
        return shown

    def _name(self, hash_: str, asked: str | None) -> str:
        if len(hash_) != HASH_CHARACTERS or hash_ == asked:
            return hash_
        found = self._by_chain_hash.get(hash_)
        return hash_ if found is None else found.shown_hash


def _in_plain(sent: Sent) -> dict[str, Any]:
    return {"input": "0x" + sent.plain.input.hex()}


def _as_signed(sent: Sent) -> dict[str, Any]:
    """Give the fields in which what the tool signed differs from what is on the chain."""
    plain = sent.plain
    fields = {"gas": plain.gas, "v": plain.v, "r": plain.r, "s": plain.s}
    if plain.type:
        fields["yParity"] = plain.v
    return _in_plain(sent) | {name: hex(number) for name, number in fields.items()}


def _open(sent: Sent, output: str) -> str:
    try:
        return "0x" + open_answer(bytes.fromhex(output[2:]), sent.key).hex()
    except (NotSealedToUs, ValueError):
        # A creation's address is not sealed, and a failure has no output.
        return output
