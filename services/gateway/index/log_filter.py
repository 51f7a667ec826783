"""Which events a client wants. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from services.gateway.index.record import BLOOM_BYTES
from services.gateway.index.rounds import IndexedRound, LogEntry
from shared.crypto.hashes import keccak256


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Addresses and topics. An empty set matches anything; a longer topic list needs them all."""

    addresses: frozenset[bytes] = frozenset()
    topics: tuple[frozenset[bytes], ...] = ()
    """Alternatives at each position."""

    def is_match(self, log: LogEntry) -> bool:
        """Say whether an event is wanted."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            not wanted or topic in wanted
            for wanted, topic in zip(self.topics, log.topics, strict=False)
        )

    def select(self, round_: IndexedRound) -> Iterator[LogEntry]:
        """Wanted events of a round, in order; a round whose bloom rules them out is not read."""
        if self.is_possible(int.from_bytes(round_.bloom, "big")):
            yield from filter(self.is_match, round_.logs())

    def is_possible(self, bloom: int) -> bool:
        """Say whether a bloom leaves room for a match. Never wrongly False."""
        if not bloom:
            return False
        groups = (self.addresses, *self.topics)
        return all(not group or any(is_in_bloom(bloom, item) for item in group) for group in groups)


def is_in_bloom(bloom: int, item: bytes) -> bool:
    """
    Say whether a bloom may contain an address or topic.

    Source: Ethereum yellow paper, section 4.3.1: three 11-bit numbers of the Keccak hash.
    """
    bits = bloom_bits(item)
    return bloom & bits == bits


def bloom_bits(item: bytes) -> int:
    """The bits that an address or topic sets, as a number of 2048 bits."""
    digest = keccak256(item)
    bits = 0
    for offset in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") % (8 * BLOOM_BYTES))
    return bits
