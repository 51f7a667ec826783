"""Proposals that came too early: consensus is seen late here, or the node is not level yet."""

from shared.types.commitment import Proposal
from shared.types.identity import Round

MAX_ROUNDS_AHEAD = 3
"""Proposals for a round this far ahead of the newest block are kept [rounds]."""
MAX_BYTES = 16 * 1024 * 1024
"""Transactions of all that is kept [bytes]: a batch of a committee has 1 MiB."""


class HeldProposals:
    """
    Proposals by round and node; their signatures were verified before they come here.

    A node has one proposal for a round, so whoever signs many takes the room of one; and all of
    them together are bounded in bytes.
    """

    def __init__(self) -> None:
        self._newest = Round(0)
        self._by_round: dict[int, dict[bytes, Proposal]] = {}
        self._size_bytes = 0

    def begin(self, newest: Round) -> None:
        """Forget rounds that are over."""
        self._newest = newest
        for round_ in [round_ for round_ in self._by_round if round_ <= newest]:
            self.take(Round(round_))

    def is_wanted(self, proposal: Proposal) -> bool:
        """Say whether a proposal would be kept: so that only its signature is verified."""
        round_ = proposal.header.round
        known = self._by_round.get(round_, {}).get(proposal.node_id)
        return (
            self._newest < round_ <= self._newest + MAX_ROUNDS_AHEAD
            and known != proposal
            and self._size_bytes + _size_of(proposal) <= MAX_BYTES
        )

    def add(self, proposal: Proposal) -> None:
        """Keep a proposal that is wanted, in place of an earlier one by the same node."""
        if not self.is_wanted(proposal):
            return
        held = self._by_round.setdefault(proposal.header.round, {})
        earlier = held.pop(proposal.node_id, None)
        if earlier is not None:
            self._size_bytes -= _size_of(earlier)
        held[proposal.node_id] = proposal
        self._size_bytes += _size_of(proposal)

    def take(self, round_: Round) -> list[Proposal]:
        """Take the proposals of a round out."""
        taken = list(self._by_round.pop(round_, {}).values())
        self._size_bytes -= sum(map(_size_of, taken))
        return taken


def _size_of(proposal: Proposal) -> int:
    return sum(map(len, proposal.batch))
