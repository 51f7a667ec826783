"""A scheduler's batch: how it is made, and what every member checks before executing it."""

from dataclasses import dataclass

from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer, verify_signature
from shared.encoding.cbor import encode
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.types.block import BlockHeader
from shared.types.commitment import EXECUTOR_COMMITMENT, PROPOSAL, Proposal, ProposalHeader
from shared.types.identity import FIRST_INCARNATION, Hash, Incarnation, Round, RuntimeId
from shared.types.registry import Committee, SchedulerParameters


class ForeignProposal(Rejected, module="proposal", code=1):
    """The proposal is for another ParaTime, round or parent block."""


class NotScheduler(Rejected, module="proposal", code=2):
    """Who signed the proposal is not a worker of this epoch."""


class WrongBatchHash(Rejected, module="proposal", code=3):
    """The transactions are not those that the scheduler signed."""


class BatchTooLarge(Rejected, module="proposal", code=4):
    """The batch is over the ParaTime's limits."""


@dataclass(frozen=True, slots=True)
class RoundDomain:
    """What separates the signatures of one ParaTime on one network, in one life of its chain."""

    runtime_id: RuntimeId
    chain_context: str
    incarnation: Incarnation = FIRST_INCARNATION

    def proposals(self) -> bytes:
        """Signature context of proposals."""
        return PROPOSAL.for_runtime(self.chain_context, self.runtime_id, self.incarnation)

    def commitments(self) -> bytes:
        """Signature context of votes."""
        return EXECUTOR_COMMITMENT.for_runtime(
            self.chain_context, self.runtime_id, self.incarnation
        )


def batch_hash(batch: tuple[bytes, ...]) -> Hash:
    """SHA-512/256 of the canonical CBOR list of the transactions."""
    return sha512_256(encode(list(batch)))


def build_proposal(
    signer: Signer,
    domain: RoundDomain,
    *,
    round_: Round,
    previous_hash: Hash,
    batch: tuple[bytes, ...],
) -> Proposal:
    """Make and sign the proposal of this node."""
    header = ProposalHeader(round_, previous_hash, batch_hash(batch))
    return Proposal(
        runtime_id=domain.runtime_id,
        node_id=signer.public_key,
        header=header,
        signature=signer.sign(domain.proposals(), encode_record(header)),
        batch=batch,
    )


def verify_proposal(
    untrusted: Proposal,
    domain: RoundDomain,
    *,
    parent: BlockHeader,
    committee: Committee,
    limits: SchedulerParameters,
) -> int:
    """
    Verify a proposal for the round that follows `parent`.

    The transactions are not looked at: execution leaves out those that are not valid, on every
    node alike (ADR 0008).

    Returns
    -------
    rank : `int`
        Rank of the scheduler; 0 is first.

    Raises
    ------
    ForeignProposal, NotScheduler, WrongBatchHash, BatchTooLarge, BadSignature
        See each class.
    """
    header = untrusted.header
    if untrusted.runtime_id != domain.runtime_id or header.round != parent.round + 1:
        raise ForeignProposal(f"a proposal for round {header.round}, expected {parent.round + 1}")
    if header.previous_hash != parent.hash():
        raise ForeignProposal(f"round {header.round} is proposed on another parent block")
    rank = committee.scheduler_rank(header.round, untrusted.node_id)
    if rank is None:
        raise NotScheduler(f"{untrusted.node_id.hex()} is not a worker")
    verify_batch(untrusted, domain, limits)
    return rank


def verify_batch(untrusted: Proposal, domain: RoundDomain, limits: SchedulerParameters) -> None:
    """
    Verify what can be told of a proposal without its round: its size, hash and signature.

    Whether `node_id` may propose is the caller's to know.

    Raises
    ------
    ForeignProposal, WrongBatchHash, BatchTooLarge, BadSignature
        See each class.
    """
    header = untrusted.header
    if untrusted.runtime_id != domain.runtime_id:
        raise ForeignProposal("a proposal for another ParaTime")
    size_bytes = sum(map(len, untrusted.batch))
    if len(untrusted.batch) > limits.max_batch_size or size_bytes > limits.max_batch_size_bytes:
        raise BatchTooLarge(f"{len(untrusted.batch)} transactions of {size_bytes} bytes")
    if batch_hash(untrusted.batch) != header.batch_hash:
        raise WrongBatchHash("the batch does not have the hash that was signed")
    verify_signature(
        untrusted.node_id, domain.proposals(), encode_record(header), untrusted.signature
    )
