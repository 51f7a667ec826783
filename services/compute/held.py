"""Proposals that came too early: consensus is seen late here, or the node is not level yet."""

from shared.types.commitment import Proposal
from shared.types.identity import Round

MAX_ROUNDS_AHEAD = 3
"""Proposals for a round this far ahead of the newest block are kept [rounds]."""
MAX_PER_ROUND = 8
"""Proposals kept for one round; a committee has no more schedulers that matter."""


class HeldProposals:
    """Unverified proposals by round. Bounded: peers fill it."""

    def __init__(self) -> None:
        self._newest = Round(0)
        self._by_round: dict[int, list[Proposal]] = {}

    def begin(self, newest: Round) -> None:
        """Forget rounds that are over."""
        self._newest = newest
        self._by_round = {r: held for r, held in self._by_round.items() if r > newest}

    def add(self, proposal: Proposal) -> None:
        """Keep a proposal, unless it is far ahead or the round has enough of them."""
        round_ = proposal.header.round
        if not self._newest < round_ <= self._newest + MAX_ROUNDS_AHEAD:
            return
        held = self._by_round.setdefault(round_, [])
        if len(held) < MAX_PER_ROUND and proposal not in held:
            held.append(proposal)

    def take(self, round_: Round) -> list[Proposal]:
        """Take the proposals of a round out."""
        return self._by_round.pop(round_, [])
