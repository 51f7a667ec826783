from dataclasses import replace

import pytest

from services.compute import held as held_module
from services.compute.held import MAX_ROUNDS_AHEAD, HeldProposals
from services.compute.rules.proposal import (
    BatchTooLarge,
    ForeignProposal,
    NotScheduler,
    RoundDomain,
    WrongBatchHash,
    build_proposal,
    verify_batch,
    verify_proposal,
)
from services.compute.rules.vote import sign_failure, sign_results
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import BadSignature, Signer, verify_signature
from shared.encoding.record import encode_record
from shared.types.block import BlockHeader, HeaderType
from shared.types.commitment import (
    EXECUTOR_COMMITMENT,
    CommitmentFailure,
    ComputeResultsHeader,
)
from shared.types.registry import (
    Committee,
    CommitteeMember,
    CommitteeRole,
    SchedulerParameters,
)

RUNTIME, OTHER = bytes([0x80]) + bytes(31), bytes([0x81]) + bytes(31)
CHAIN, OTHER_CHAIN = "ab" * 32, "cd" * 32
SIGNERS = [Signer(bytes([n]) * 32) for n in range(1, 5)]
COMMITTEE = Committee(
    RUNTIME,
    2,
    (
        *(CommitteeMember(s.public_key, CommitteeRole.WORKER) for s in SIGNERS[:3]),
        CommitteeMember(SIGNERS[3].public_key, CommitteeRole.BACKUP_WORKER),
    ),
)
PARENT = BlockHeader(1, RUNTIME, 6, 0, HeaderType.NORMAL, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH)
LIMITS = SchedulerParameters(max_batch_size=3, max_batch_size_bytes=100)


def make(
    signer=SIGNERS[0],
    *,
    runtime=RUNTIME,
    chain=CHAIN,
    life=0,
    round_=7,
    parent=PARENT,
    batch=None,
):
    return build_proposal(
        signer,
        RoundDomain(runtime, chain, life),
        round_=round_,
        previous_hash=parent.hash(),
        batch=batch or (b"a",),
    )


def verify(proposal):
    return verify_proposal(
        proposal, RoundDomain(RUNTIME, CHAIN), parent=PARENT, committee=COMMITTEE, limits=LIMITS
    )


def test_every_worker_has_its_own_rank_in_a_round():
    assert {verify(make(signer)) for signer in SIGNERS[:3]} == {0, 1, 2}


@pytest.mark.parametrize(
    ("proposal", "error"),
    [
        (make(runtime=OTHER), ForeignProposal),
        (make(round_=8), ForeignProposal),
        (make(round_=6), ForeignProposal),
        (make(parent=replace(PARENT, timestamp=1)), ForeignProposal),
        (make(SIGNERS[3]), NotScheduler),
        (make(Signer(b"x" * 32)), NotScheduler),
        (make(chain=OTHER_CHAIN), BadSignature),
        (make(life=1), BadSignature),
        (replace(make(), node_id=SIGNERS[1].public_key), BadSignature),
        (replace(make(), batch=(b"b",)), WrongBatchHash),
        (replace(make(), batch=(b"a", b"a")), WrongBatchHash),
        (make(batch=(b"a",) * 4), BatchTooLarge),
        (make(batch=(b"a" * 101,)), BatchTooLarge),
    ],
)
def test_a_proposal_that_is_not_for_this_round_or_not_its_signers_is_refused(proposal, error):
    with pytest.raises(error):
        verify(proposal)


def test_a_vote_verifies_for_its_chain_paratime_and_incarnation_alone():
    results = ComputeResultsHeader(7, PARENT.hash(), EMPTY_HASH, EMPTY_HASH)
    vote = sign_results(
        SIGNERS[0],
        domain=RoundDomain(RUNTIME, CHAIN),
        scheduler_id=SIGNERS[1].public_key,
        results=results,
        rak_signature=bytes(64),
    )
    message = encode_record(vote.header)
    context = EXECUTOR_COMMITMENT.for_runtime(CHAIN, RUNTIME, 0)
    verify_signature(vote.node_id, context, message, vote.signature)
    for chain, runtime, life in ((OTHER_CHAIN, RUNTIME, 0), (CHAIN, OTHER, 0), (CHAIN, RUNTIME, 1)):
        context = EXECUTOR_COMMITMENT.for_runtime(chain, runtime, life)
        with pytest.raises(BadSignature):
            verify_signature(vote.node_id, context, message, vote.signature)


def test_a_failure_says_nothing_of_results():
    vote = sign_failure(
        SIGNERS[0],
        domain=RoundDomain(RUNTIME, CHAIN),
        scheduler_id=SIGNERS[1].public_key,
        round_=7,
        failure=CommitmentFailure.STATE_UNAVAILABLE,
    )
    assert vote.round == 7
    assert (vote.header.results, vote.header.rak_signature) == (None, None)


def test_early_proposals_are_kept_until_their_round_is_over():
    held = HeldProposals()
    held.begin(6)
    for round_ in (5, 6, 7, 6 + MAX_ROUNDS_AHEAD, 7 + MAX_ROUNDS_AHEAD):
        held.add(make(round_=round_))
        held.add(make(round_=round_))
    assert [len(held.take(r)) for r in range(5, 12)] == [0, 0, 1, 0, 1, 0, 0]
    held.add(make())
    held.begin(7)
    assert held.take(7) == []


def test_one_node_has_the_room_of_one_proposal_in_a_round():
    held = HeldProposals()
    held.begin(6)
    for number in range(20):
        held.add(make(batch=(bytes([number]),)))
    held.add(make(SIGNERS[1]))
    assert [proposal.batch for proposal in held.take(7)] == [(bytes([19]),), (b"a",)]


def test_early_proposals_are_bounded_in_bytes():
    held = HeldProposals()
    held.begin(6)
    half = (bytes(held_module.MAX_BYTES // 2),)
    for signer in SIGNERS:
        held.add(make(signer, batch=half))
    assert len(held.take(7)) == 2
    held.add(make(batch=half))
    assert len(held.take(7)) == 1


@pytest.mark.parametrize(
    ("proposal", "error"),
    [
        (make(runtime=OTHER, round_=9), ForeignProposal),
        (make(chain=OTHER_CHAIN, round_=9), BadSignature),
        (replace(make(round_=9), node_id=SIGNERS[1].public_key), BadSignature),
        (replace(make(round_=9), batch=(b"b",)), WrongBatchHash),
        (make(batch=(bytes(101),), round_=9), BatchTooLarge),
    ],
)
def test_a_proposal_is_refused_before_its_round_has_come(proposal, error):
    with pytest.raises(error):
        verify_batch(proposal, RoundDomain(RUNTIME, CHAIN), LIMITS)
