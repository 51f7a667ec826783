"""A node's vote on a round: an executor commitment."""

from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.commitment import (
    EXECUTOR_COMMITMENT,
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.identity import NodeId, RawSignature, Round, RuntimeId


def sign_results(
    signer: Signer,
    *,
    runtime_id: RuntimeId,
    chain_context: str,
    scheduler_id: NodeId,
    results: ComputeResultsHeader,
    rak_signature: RawSignature,
) -> ExecutorCommitment:
    """Vote for the results of executing a scheduler's proposal."""
    header = CommitmentHeader(
        scheduler_id=scheduler_id, results=results, rak_signature=rak_signature
    )
    return _sign(signer, runtime_id, chain_context, header, results.round)


def sign_failure(
    signer: Signer,
    *,
    runtime_id: RuntimeId,
    chain_context: str,
    scheduler_id: NodeId,
    round_: Round,
    failure: CommitmentFailure,
) -> ExecutorCommitment:
    """Say that the proposal could not be executed; a scheduler may not say so of its own."""
    header = CommitmentHeader(scheduler_id=scheduler_id, failure=failure)
    return _sign(signer, runtime_id, chain_context, header, round_)


def _sign(
    signer: Signer,
    runtime_id: RuntimeId,
    chain_context: str,
    header: CommitmentHeader,
    round_: Round,
) -> ExecutorCommitment:
    context = EXECUTOR_COMMITMENT.for_runtime(chain_context, runtime_id)
    signature = signer.sign(context, encode_record(header))
    return ExecutorCommitment(signer.public_key, header, signature, round_)
