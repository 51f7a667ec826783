"""A node's vote on a round: an executor commitment."""

from dataclasses import replace

from services.compute.rules.proposal import RoundDomain
from shared.crypto.signing import Signer, verify_signature
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.types.commitment import (
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.identity import NodeId, RawSignature, Round
from shared.types.registry import Committee


class ForeignVote(Rejected, module="vote", code=1):
    """Not a worker's vote for results of the proposal on which this node gathers votes."""


def sign_results(
    signer: Signer,
    *,
    domain: RoundDomain,
    scheduler_id: NodeId,
    results: ComputeResultsHeader,
    rak_signature: RawSignature,
    messages: tuple[bytes, ...] = (),
) -> ExecutorCommitment:
    """
    Vote for the results of executing a scheduler's proposal.

    `messages` are those under the hash of the results; only the scheduler tells them.
    """
    header = CommitmentHeader(
        scheduler_id=scheduler_id, results=results, rak_signature=rak_signature
    )
    commitment = _sign(signer, domain, header, results.round)
    if not messages or scheduler_id != signer.public_key:
        return commitment
    return replace(commitment, messages=messages)


def sign_failure(
    signer: Signer,
    *,
    domain: RoundDomain,
    scheduler_id: NodeId,
    round_: Round,
    failure: CommitmentFailure,
) -> ExecutorCommitment:
    """Say that the proposal could not be executed; a scheduler may not say so of its own."""
    header = CommitmentHeader(scheduler_id=scheduler_id, failure=failure)
    return _sign(signer, domain, header, round_)


def verify_vote(
    untrusted: ExecutorCommitment,
    domain: RoundDomain,
    *,
    round_: Round,
    scheduler_id: NodeId,
    committee: Committee,
) -> None:
    """
    Verify that another worker voted on a scheduler's proposal for a round.

    Whether its results are right, and signed by its enclave, is for consensus to say.

    Raises
    ------
    ForeignVote, BadSignature
        See each class.
    """
    header, results = untrusted.header, untrusted.header.results
    if results is None or untrusted.messages is not None:
        raise ForeignVote("a failure is sent by its node, and messages by the scheduler")
    if not untrusted.round == results.round == round_ or header.scheduler_id != scheduler_id:
        raise ForeignVote(f"a vote on another proposal, or for round {untrusted.round}")
    if untrusted.node_id == scheduler_id or untrusted.node_id not in committee.workers():
        raise ForeignVote(f"{untrusted.node_id.hex()} is not another worker")
    verify_signature(
        untrusted.node_id, domain.commitments(), encode_record(header), untrusted.signature
    )


def _sign(
    signer: Signer, domain: RoundDomain, header: CommitmentHeader, round_: Round
) -> ExecutorCommitment:
    signature = signer.sign(domain.commitments(), encode_record(header))
    return ExecutorCommitment(signer.public_key, header, signature, round_)
