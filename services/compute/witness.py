"""Sees when a scheduler signs two proposals for one round, and proves it to consensus."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from services.compute import metrics
from services.compute.voting import Sender
from shared.errors import QanatError
from shared.types.commitment import Proposal
from shared.types.identity import NodeId, Round, RuntimeId
from shared.types.methods import Evidence, Method, ProposalEquivocation, ProposalStatement

log = structlog.get_logger()


class Witness:
    """Remembers the proposals of the open round: one for each scheduler."""

    def __init__(
        self,
        runtime_id: RuntimeId,
        sender: Sender,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._runtime_id, self._sender, self._spawn = runtime_id, sender, spawn
        self._seen: dict[NodeId, Proposal] = {}
        self._round = Round(0)

    def see(self, proposal: Proposal) -> None:
        """
        Take note of a proposal that was verified, also by its signature.

        Schedulers are members of the committee, so what is remembered is bounded.
        """
        if proposal.header.round != self._round:
            self._seen, self._round = {}, proposal.header.round
        first = self._seen.setdefault(proposal.node_id, proposal)
        if first.header != proposal.header:
            self._spawn(self._prove(first, proposal))

    def forget(self) -> None:
        """Forget what was seen: the network was rewound."""
        self._seen = {}

    async def _prove(self, first: Proposal, second: Proposal) -> None:
        who, round_ = first.node_id.hex(), first.header.round
        log.warning("equivocation_seen", round=round_, scheduler=who)
        metrics.equivocations.inc()
        statements = ProposalEquivocation(_statement_of(first), _statement_of(second))
        try:
            await self._sender.submit(
                Method.EVIDENCE, Evidence(self._runtime_id, proposals=statements)
            )
        except QanatError as error:
            # Another node may have been first.
            log.info("evidence_not_taken", round=round_, scheduler=who, reason=error.message)


def _statement_of(proposal: Proposal) -> ProposalStatement:
    return ProposalStatement(proposal.node_id, proposal.header, proposal.signature)
