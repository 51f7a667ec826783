"""Proposals of others: verified when their round is open, and held while it is not yet."""

import structlog

from services.compute import metrics
from services.compute.held import HeldProposals
from services.compute.peers import Peers
from services.compute.rules.proposal import RoundDomain, verify_batch, verify_proposal
from services.compute.witness import Witness
from shared.errors import Rejected
from shared.types.block import BlockHeader
from shared.types.commitment import Proposal
from shared.types.identity import Round
from shared.types.registry import Committee, SchedulerParameters

log = structlog.get_logger()


class IncomingProposals:
    """What stands between the network and the open round."""

    def __init__(
        self, domain: RoundDomain, limits: SchedulerParameters, peers: Peers, witness: Witness
    ) -> None:
        self.domain = domain
        """ParaTime and life of the chain to which proposals must be bound."""
        self._limits, self._peers, self._witness = limits, peers, witness
        self._held = HeldProposals()

    def begin(self, newest: Round) -> None:
        """Forget rounds that are over."""
        self._held.begin(newest)

    def enter(self, domain: RoundDomain) -> None:
        """Forget everything: the chain is in another life."""
        self.domain, self._held = domain, HeldProposals()
        self._witness.forget()

    def judge(
        self, proposal: Proposal, parent: BlockHeader | None, committee: Committee | None
    ) -> int | None:
        """
        Verify a proposal for the round after a block.

        Returns
        -------
        rank : `int` or None
            Rank of its scheduler. None where it was refused, is late, or is held for later.
        """
        round_ = proposal.header.round
        if parent is None or committee is None or round_ > parent.round + 1:
            self._hold_early(proposal)
            return None
        if round_ <= parent.round:
            metrics.proposals.labels("late").inc()
            return None
        try:
            rank = verify_proposal(
                proposal, self.domain, parent=parent, committee=committee, limits=self._limits
            )
        except Rejected as error:
            _refuse(proposal, error.message)
            return None
        self._witness.see(proposal)
        return rank

    def hold(self, proposal: Proposal) -> None:
        """Keep a proposal that was verified until its time comes."""
        self._held.add(proposal)

    def take(self, round_: Round) -> list[Proposal]:
        """Take out what is held for a round."""
        return self._held.take(round_)

    def _hold_early(self, proposal: Proposal) -> None:
        """Keep a proposal whose round has not come, once it is sure who signed it."""
        if not self._held.is_wanted(proposal):
            return
        if not self._peers.is_known(proposal.node_id):
            _refuse(proposal, "its scheduler is not registered")
            return
        try:
            verify_batch(proposal, self.domain, self._limits)
        except Rejected as error:
            _refuse(proposal, error.message)
            return
        self._held.add(proposal)


def _refuse(proposal: Proposal, reason: str) -> None:
    metrics.proposals.labels("refused").inc()
    log.warning(
        "proposal_refused",
        round=proposal.header.round,
        scheduler=proposal.node_id.hex(),
        reason=reason,
    )
