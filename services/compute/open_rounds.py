"""
What the node said in rounds that are not final yet, kept before it is sent.

A node that restarts must never say two things about one round, and may be the only one that has
the transactions and results of a round that it voted for: so they survive `kill -9`. They lie in an
append log until the round is final and stored; a transaction of SQLite for each took a seventh of
what a host does in a round (ADR 0081).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.encoding.record import decode_record, encode_record
from shared.kit.append_log import AppendLog
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import Incarnation, Round
from shared.types.runtime import SpentSequence

LARGEST_BYTES = 4 * 1024 * 1024
"""Of the log, where rounds that are stored lie before others [bytes]."""


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote with what it is about."""

    rank: int
    """Of the proposal's scheduler."""
    proposal: Proposal
    commitment: ExecutorCommitment
    transactions: tuple[bytes, ...] = ()
    results: tuple[bytes, ...] = ()
    spent: tuple[SpentSequence, ...] = ()
    """Not kept: for the pool, which is empty after a restart."""


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of the log: a vote, or the node's own proposal."""

    incarnation: Incarnation
    proposal: Proposal
    rank: int = 0
    commitment: ExecutorCommitment | None = None
    transactions: tuple[bytes, ...] = ()
    results: tuple[bytes, ...] = ()


@dataclass(slots=True)
class OpenRound:
    """What the node said in one round."""

    proposal: Proposal | None = None
    votes: dict[int, Vote] = field(default_factory=dict)
    """By the rank of the proposal's scheduler."""

    def said(self, incarnation: Incarnation) -> Iterator[Said]:
        """Give it as entries."""
        if self.proposal is not None:
            yield Said(incarnation, self.proposal)
        for vote in self.votes.values():
            yield _said_by(vote, incarnation)


def _said_by(vote: Vote, incarnation: Incarnation) -> Said:
    about = vote.proposal, vote.rank, vote.commitment, vote.transactions, vote.results
    return Said(incarnation, *about)


class SaidTwice(Exception):
    """The node was about to say a second thing where it may say one: a bug of this program."""


class OpenRounds:
    """Of one node in one ParaTime, in one life of the chain."""

    def __init__(self, path: Path | None, incarnation: Incarnation) -> None:
        """Open the log; None keeps nothing. What was said in another life is void."""
        self._log = None if path is None else AppendLog(path)
        self._rounds: dict[Round, OpenRound] = {}
        self._incarnation = incarnation
        for entry in () if self._log is None else self._log.found:
            said = decode_record(Said, entry)
            if said.incarnation == incarnation:
                self._note(said)

    def _note(self, said: Said) -> None:
        opened = self._rounds.setdefault(said.proposal.header.round, OpenRound())
        if said.commitment is None:
            opened.proposal = said.proposal
        else:
            about = said.proposal, said.commitment, said.transactions, said.results
            opened.votes[said.rank] = Vote(said.rank, *about)

    def save_proposal(self, proposal: Proposal) -> None:
        """Keep the node's own proposal, before it is sent."""
        opened = self._rounds.setdefault(proposal.header.round, OpenRound())
        if opened.proposal is not None:
            raise SaidTwice(f"a second proposal for round {proposal.header.round}")
        self._keep(Said(self._incarnation, proposal))
        opened.proposal = proposal

    def load_proposal(self, round_: Round) -> Proposal | None:
        """Give the node's own proposal for a round that is not stored."""
        opened = self._rounds.get(round_)
        return None if opened is None else opened.proposal

    def save_vote(self, vote: Vote) -> None:
        """Keep a vote, before it is sent."""
        opened = self._rounds.setdefault(vote.commitment.round, OpenRound())
        if vote.rank in opened.votes:
            raise SaidTwice(f"a second vote of rank {vote.rank} in round {vote.commitment.round}")
        self._keep(_said_by(vote, self._incarnation))
        opened.votes[vote.rank] = vote

    def load_votes(self, round_: Round) -> tuple[Vote, ...]:
        """Give the votes for a round that is not stored, best rank first."""
        opened = self._rounds.get(round_, OpenRound())
        return tuple(vote for _, vote in sorted(opened.votes.items()))

    def _keep(self, said: Said) -> None:
        if self._log is not None:
            self._log.append(encode_record(said))

    def forget(self, stored: Round) -> None:
        """Forget rounds that are stored now."""
        self._rounds = {at: opened for at, opened in self._rounds.items() if at > stored}
        if self._log is None:
            return
        if not self._rounds:
            self._log.clear()
        elif self._log.size_bytes > LARGEST_BYTES:
            left = (
                said for opened in self._rounds.values() for said in opened.said(self._incarnation)
            )
            self._log.begin_anew(map(encode_record, left))

    def enter(self, incarnation: Incarnation) -> None:
        """Forget everything: the chain is in another life."""
        self._incarnation, self._rounds = incarnation, {}
        if self._log is not None:
            self._log.clear()

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
