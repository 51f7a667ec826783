"""A scheduler that signs two proposals for one round."""

from typing import Any

import structlog

from services.compute.faults.switchboard import Switchboard
from services.compute.peers import Peers
from services.compute.rules.proposal import build_proposal
from services.compute.voting import Voice
from shared.api.control import FaultKind
from shared.types.block import BlockHeader
from shared.types.commitment import Proposal

log = structlog.get_logger()

EXTRA = b"equivocation"
"""No transaction: every node leaves it out, so either proposal gives the same state."""


class EquivocatingVoice(Voice):
    """Contradicts the node's own proposal, right after it, while the fault is armed."""

    def __init__(self, *args: Any, peers: Peers, switchboard: Switchboard) -> None:
        """Take what `Voice` takes, and whom to tell."""
        super().__init__(*args)
        self._peers, self._switchboard = peers, switchboard

    def propose(self, parent: BlockHeader, batch: tuple[bytes, ...]) -> Proposal:
        """Make the node's proposal, and one that it must not make as well."""
        proposal = super().propose(parent, batch)
        if self._switchboard.take(FaultKind.EQUIVOCATE):
            other = build_proposal(
                self._signer,
                self._domain,
                round_=proposal.header.round,
                previous_hash=proposal.header.previous_hash,
                batch=(*proposal.batch, EXTRA),
            )
            self._spawn(self._contradict(other))
        return proposal

    async def _contradict(self, proposal: Proposal) -> None:
        # A task of its own: the true proposal is sent before it.
        log.warning("fault_equivocates", round=proposal.header.round)
        self._peers.send_proposal(proposal, self._peers.everybody)
