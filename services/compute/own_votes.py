"""The node's votes for the open round: what they were about, and whether consensus heard them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from services.compute.open_rounds import OpenRounds, Vote
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.identity import Round
from shared.types.runtime import SpentSequence

RESEND_AFTER_S = 2.0
"""Age of the open round's vote at which it is sent again: consensus may have died with it [s]."""


@dataclass(frozen=True, slots=True)
class DueReached:
    """A time that the open round waits for has come."""

    round: Round
    unanswered: Vote | None = None
    """A vote of this round that has waited for an end for long."""


@dataclass(frozen=True, slots=True)
class SettledRound:
    """A finalized round that this node executed itself, or in which nothing was executed."""

    block: RoundBlock
    spent: tuple[SpentSequence, ...]


class OwnVotes:
    """Holds what the node voted for in one round."""

    def __init__(self, open_rounds: OpenRounds, post: Callable[[DueReached], None]) -> None:
        self._open_rounds, self._post = open_rounds, post
        self._votes: list[Vote] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def best(self) -> Vote | None:
        """The vote for the proposal of the best rank."""
        return self._votes[0] if self._votes else None

    def begin(self) -> None:
        """Begin a round without any vote."""
        self._votes = []

    def recall(self, round_: Round) -> None:
        """Read back what the node voted for in a round before it stopped."""
        self._votes = list(self._open_rounds.load_votes(round_))

    def add(self, vote: Vote) -> None:
        """Take note of a vote that was sent."""
        self._votes.append(vote)
        self.expect_end(vote)

    def expect_end(self, vote: Vote) -> None:
        """Have the loop told, again and again, while the round of a vote stays open."""
        if self._timer is not None:
            self._timer.cancel()
        message = DueReached(vote.commitment.round, unanswered=vote)
        self._timer = asyncio.get_running_loop().call_later(RESEND_AFTER_S, self._post, message)

    def settle(self, header: BlockHeader) -> SettledRound | None:
        """
        Find what a header makes final.

        Returns
        -------
        settled : `SettledRound` or None
            The round, where this node executed what became final, or where nothing was executed.
        """
        if header.header_type is not HeaderType.NORMAL:
            return SettledRound(RoundBlock(header), ())
        for vote in self._votes:
            results = vote.commitment.header.results
            if (
                results is not None
                and results.round == header.round
                and results.state_root == header.state_root
                and results.io_root == header.io_root
            ):
                return SettledRound(RoundBlock(header, vote.transactions, vote.results), vote.spent)
        return None
