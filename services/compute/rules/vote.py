"""A node's vote on a round: an executor commitment."""

from dataclasses import replace

from services.compute.rules.proposal import RoundDomain
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.commitment import (
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.identity import NodeId, RawSignature, Round


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


def _sign(
    signer: Signer, domain: RoundDomain, header: CommitmentHeader, round_: Round
) -> ExecutorCommitment:
    signature = signer.sign(domain.commitments(), encode_record(header))
    return ExecutorCommitment(signer.public_key, header, signature, round_)
