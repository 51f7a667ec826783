"""
Votes that go to consensus together: who made a proposal gathers the votes on it.

One transaction for the committee instead of one for each member. Each vote keeps its own signature
and counts for itself, so joint is only the envelope: who gathers can neither change a vote nor keep
one back for long, since a member that sees its round stay open sends its vote itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.compute import metrics
from services.compute.peers import Peers
from services.compute.rules.proposal import RoundDomain
from services.compute.rules.vote import verify_vote
from services.compute.voting import Voice
from shared.errors import Rejected
from shared.types.commitment import ExecutorCommitment
from shared.types.identity import NodeId, Round
from shared.types.registry import Committee

log = structlog.get_logger()

GATHERING_S = 0.02
"""
How long a scheduler that has voted waits for the others [s].

They come within 10 ms of each other where three workers share two cores.
"""
FALLBACK_S = 0.1
"""How long a member waits for the end of the round before it sends its vote itself [s]."""


@dataclass(frozen=True, slots=True)
class VotesDue:
    """Votes of a round have waited for long enough."""

    round: Round
    alone: ExecutorCommitment | None = None
    """This node's vote, of which nobody made anything; None where it gathers those of others."""


class JointVotes:
    """The node's part in gathering the votes of the open round."""

    def __init__(
        self, own_id: NodeId, peers: Peers, voice: Voice, post: Callable[[VotesDue], None]
    ) -> None:
        self._own_id, self._peers, self._voice, self._post = own_id, peers, voice, post
        self._round = Round(0)
        self._committee: Committee | None = None
        self._votes: dict[NodeId, ExecutorCommitment] = {}
        """Votes on this node's proposal that were not sent yet."""
        self._sent: set[NodeId] = set()
        """Whose votes on it were."""
        self._silent: set[NodeId] = set()
        """Who was waited for in vain, and has not voted since."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, round_: Round, committee: Committee | None) -> None:
        """Begin a round; what was said in the one before needs no sending any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._round, self._committee = round_, committee
        self._votes, self._sent = {}, set()

    def cast(self, vote: ExecutorCommitment) -> None:
        """Have this node's vote sent: with those that it gathers, or by who gathers them."""
        scheduler_id = vote.header.scheduler_id
        if self._committee is None:
            self._voice.send(vote)
        elif scheduler_id == self._own_id:
            self._votes[self._own_id] = vote
            self._send_if_complete(self._committee)
            if self._votes:
                self._wait(GATHERING_S, VotesDue(self._round))
        elif self._peers.send_vote(vote, scheduler_id):
            self._wait(FALLBACK_S, VotesDue(self._round, vote))
        else:
            self._voice.send(vote)

    def hear(self, untrusted: ExecutorCommitment, domain: RoundDomain) -> None:
        """Take another member's vote on a proposal of this node."""
        node_id, committee = untrusted.node_id, self._committee
        if committee is None or untrusted.round < self._round:
            return  # the round ended without it
        if node_id in self._votes or node_id in self._sent:
            return
        try:
            verify_vote(
                untrusted,
                domain,
                round_=self._round,
                scheduler_id=self._own_id,
                committee=committee,
            )
        except Rejected as error:
            log.warning(
                "vote_refused", round=untrusted.round, node=node_id.hex(), reason=error.message
            )
            return
        self._silent.discard(node_id)
        self._votes[node_id] = untrusted
        if self._own_id in self._sent:
            self._send()  # late: it waits for nobody
        else:
            self._send_if_complete(committee)

    def on_due(self, message: VotesDue) -> None:
        """Do what a vote that waited asks for, unless its round is over."""
        if message.round != self._round:
            return
        if message.alone is not None:
            metrics.votes_not_joined.inc()
            log.debug("vote_not_joined", round=self._round)
            self._voice.send(message.alone)
        elif self._own_id in self._votes and self._committee is not None:
            # Who let the others wait in vain is not waited for again until it votes.
            self._silent |= self._missing(self._committee)
            self._send()

    def _send_if_complete(self, committee: Committee) -> None:
        if self._own_id in self._votes and not self._missing(committee) - self._silent:
            self._send()

    def _missing(self, committee: Committee) -> set[NodeId]:
        return {NodeId(worker) for worker in committee.workers()} - self._votes.keys()

    def _send(self) -> None:
        self._voice.send(*self._votes.values())
        self._sent |= self._votes.keys()
        self._votes = {}

    def _wait(self, delay_s: float, message: VotesDue) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._post, message)
