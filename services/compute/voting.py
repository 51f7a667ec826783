"""The node's word in a round: its proposals and votes, kept on disk before they are sent."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from services.compute import metrics
from services.compute.enclave.protocol import ExecutedBatch
from services.compute.open_rounds import OpenRounds, Vote
from services.compute.rules.proposal import RoundDomain, build_proposal
from services.compute.rules.vote import sign_failure, sign_results
from shared.crypto.signing import Signer
from shared.errors import QanatError
from shared.kit.tracing import begin_ns, record_in_round
from shared.types.block import BlockHeader
from shared.types.commitment import CommitmentFailure, ExecutorCommitment, Proposal
from shared.types.identity import Round
from shared.types.methods import ExecutorCommit, Method

log = structlog.get_logger()


class Sender(Protocol):
    """Sends consensus transactions; see `shared.api.submission.TransactionSender`."""

    async def submit(self, method: str, body: object) -> bytes:
        """Put a transaction into the pool of consensus; its hash."""
        ...


class Voice:
    """Signs for the node."""

    def __init__(
        self,
        signer: Signer,
        domain: RoundDomain,
        open_rounds: OpenRounds,
        sender: Sender,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._signer, self._domain, self._open_rounds = signer, domain, open_rounds
        self._sender, self._spawn = sender, spawn
        self._proposal: Proposal | None = None
        self._has_looked = False

    def propose(self, parent: BlockHeader, batch: tuple[bytes, ...]) -> Proposal:
        """
        Make the node's proposal for the round after a block.

        One that was made before a restart is given again: two different ones would be an offence.
        """
        round_, parent_hash = Round(parent.round + 1), parent.hash()
        if not self._has_looked:
            self._has_looked, self._proposal = True, self._open_rounds.load_proposal(round_)
        kept = self._proposal
        if kept is not None and kept.header.previous_hash == parent_hash:
            return kept
        proposal = build_proposal(
            self._signer, self._domain, round_=round_, previous_hash=parent_hash, batch=batch
        )
        self._open_rounds.save_proposal(proposal)
        self._proposal = proposal
        return proposal

    def enter(self, domain: RoundDomain) -> None:
        """Speak in another life of the chain from now on; what was said in the one before is void.

        Its proposal, where there is one, is looked for on disk again.
        """
        self._domain, self._proposal, self._has_looked = domain, None, False

    def vote(self, proposal: Proposal, rank: int, executed: ExecutedBatch) -> Vote:
        """Make the vote for what the enclave made of a proposal; on disk, and not sent yet."""
        commitment = sign_results(
            self._signer,
            domain=self._domain,
            scheduler_id=proposal.node_id,
            results=executed.header,
            rak_signature=executed.rak_signature,
            messages=executed.messages,
        )
        transactions = tuple(proposal.batch[position] for position in executed.included)
        vote = Vote(rank, proposal, commitment, transactions, executed.results, executed.spent)
        self._open_rounds.save_vote(vote)
        return vote

    def vote_failure(self, proposal: Proposal, rank: int, failure: CommitmentFailure) -> None:
        """Say that a proposal cannot be executed here; of its own, a scheduler says nothing."""
        if proposal.node_id == self._signer.public_key:
            return
        commitment = sign_failure(
            self._signer,
            domain=self._domain,
            scheduler_id=proposal.node_id,
            round_=proposal.header.round,
            failure=failure,
        )
        self._open_rounds.save_vote(Vote(rank, proposal, commitment))
        self.send(commitment)

    def send(self, *commitments: ExecutorCommitment) -> None:
        """Send votes of one round to consensus in one transaction, without waiting."""
        self._spawn(self._submit(commitments))

    async def _submit(self, commitments: tuple[ExecutorCommitment, ...]) -> None:
        domain, begun_ns, round_ = self._domain, begin_ns(), commitments[0].round
        body = ExecutorCommit(domain.runtime_id, commitments)
        try:
            await self._sender.submit(Method.EXECUTOR_COMMIT, body)
        except QanatError as error:
            # The round may be over by now. If it stays open, each node sends its vote again.
            log.warning("vote_not_sent", round=round_, reason=error.message)
            return
        told = domain.runtime_id, domain.incarnation, round_
        record_in_round(*told, "compute.send_votes", begun_ns)
        for commitment in commitments:
            metrics.votes.labels(self._kind_of(commitment)).inc()

    def _kind_of(self, commitment: ExecutorCommitment) -> str:
        if commitment.node_id != self._signer.public_key:
            return "joined"
        return "failure" if commitment.header.results is None else "results"
