"""What each key has used since the last epoch, and that it never uses more than it has. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from apps.inference.errors import NoCredit
from shared.crypto.merkle import merkle_proof, merkle_root

MAX_OWNERS = 256
"""Keys that one epoch charges. Source: `InferenceMeter.MAX_CHARGES`."""
MAX_PAYS = 512
"""Shares of one epoch; the answers under way add some. Source: `KnowledgePay.MAX_PAYS`."""
MAX_LEAVES = 10_000
"""Receipts of one epoch; it ends early when it is full."""
Pays = Sequence[tuple[bytes, int]]
"""What was used, by its commitment, and what of the price is its owner's [wei]."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a token costs [wei]."""

    prompt_wei: int
    completion_wei: int

    def cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Give the price of an answer [wei]."""
        return prompt_tokens * self.prompt_wei + completion_tokens * self.completion_wei


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch as it is committed to."""

    number: int
    leaves: tuple[bytes, ...]
    """Canonical bytes of signed receipts."""
    charges: tuple[tuple[bytes, int], ...]
    """By SHA-256 of the key [wei]."""
    pays: tuple[tuple[bytes, bytes, int], ...] = ()
    """What of the charges is whose: key, what was used by its commitment, and [wei]."""

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return merkle_root(self.leaves)

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Give the siblings of a receipt."""
        return merkle_proof(self.leaves, index)


class Usage:
    """The open epoch: what is reserved while it computes, what was used, which receipts."""

    def __init__(self) -> None:
        self._reserved: dict[bytes, int] = defaultdict(int)
        self._used: dict[bytes, int] = {}
        self._pays: dict[tuple[bytes, bytes], int] = {}
        self._leaves: list[bytes] = []

    @property
    def is_full(self) -> bool:
        """Whether the epoch must end before more is answered."""
        return (
            len(self._leaves) >= MAX_LEAVES
            or len(self._used) >= MAX_OWNERS
            or len(self._pays) >= MAX_PAYS
        )

    def reserve(self, owner: bytes, most_wei: int, credit_wei: int) -> None:
        """Set aside what an answer may cost at most, or raise `NoCredit`."""
        if credit_wei - self._used.get(owner, 0) - self._reserved[owner] < most_wei:
            raise NoCredit("the key's prepaid credit does not hold another answer")
        self._reserved[owner] += most_wei

    def release(self, owner: bytes, most_wei: int) -> None:
        """Give back what was set aside."""
        self._reserved[owner] -= most_wei
        if not self._reserved[owner]:
            del self._reserved[owner]

    def add(self, owner: bytes, cost_wei: int, leaf: bytes, pays: Pays = ()) -> None:
        """Count an answer that was given, with its receipt and what of its cost is whose."""
        self._used[owner] = self._used.get(owner, 0) + cost_wei
        self._leaves.append(leaf)
        for source, amount in pays:
            self._pays[owner, source] = self._pays.get((owner, source), 0) + amount

    def end(self, number: int) -> Epoch:
        """Give what an epoch holds so far; `forget` it once it is committed to."""
        pays = tuple((*names, amount) for names, amount in sorted(self._pays.items()))
        return Epoch(number, tuple(self._leaves), tuple(sorted(self._used.items())), pays)

    def forget(self, epoch: Epoch) -> None:
        """Take what is on the chain out of the open epoch; what came meanwhile stays."""
        del self._leaves[: len(epoch.leaves)]
        for owner, charged in epoch.charges:
            _take(self._used, owner, charged)
        for owner, source, paid in epoch.pays:
            _take(self._pays, (owner, source), paid)


def _take(counted: dict[Key, int], key: Key, amount: int) -> None:
    counted[key] -= amount
    if not counted[key]:
        del counted[key]
