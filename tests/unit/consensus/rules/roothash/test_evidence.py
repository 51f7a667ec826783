"""Equivocation: proven, punished once, and nobody else."""

from dataclasses import replace

import pytest

from services.consensus.rules.registry import entities
from services.consensus.rules.roothash import evidence
from shared.crypto.address import runtime_address
from shared.encoding.record import encode_record
from shared.errors import QanatError
from shared.rules import state_keys
from shared.types.commitment import PROPOSAL, CommitmentFailure, ProposalHeader
from shared.types.methods import (
    CommitmentEquivocation,
    Evidence,
    ExecutorCommit,
    Method,
    ProposalEquivocation,
    ProposalStatement,
    UnfreezeNode,
)
from tests.support.consensus_world import COMPUTE, PARATIME, World, signer

GOOD, BAD = b"g" * 32, b"b" * 32
REASON = "runtime-equivocation"


@pytest.fixture
def world() -> World:
    return World.running()


def refused(result, error) -> None:
    assert (result.codespace, result.code) == (error.module, error.code), result.log


def pair_of(world: World, keys, *, round_=None, **second) -> Evidence:
    fixed = {} if round_ is None else {"round": round_}
    scheduler = world.scheduler()
    first = world.commitment(keys, GOOD, scheduler=scheduler, **fixed)
    other = world.commitment(keys, BAD, **({"scheduler": scheduler} | fixed | second))
    return Evidence(PARATIME, commitments=CommitmentEquivocation(first, other))


def proposal(world: World, keys, batch: bytes, *, round_=None, chain=None) -> ProposalStatement:
    header = ProposalHeader(round_ or world.last.round + 1, world.last.hash(), batch)
    context = PROPOSAL.for_runtime(chain or world.chain_context, PARATIME, world.incarnation)
    return ProposalStatement(keys.id, header, keys.node.sign(context, encode_record(header)))


def culprit_and_reporter(world: World):
    return world.workers()[0], world.workers()[1]


def test_two_votes_on_one_proposal_are_slashed_shared_out_and_frozen(world):
    guilty, reporter = culprit_and_reporter(world)
    before = {k: world.account(k).active.balance for k in COMPUTE}
    world.must(reporter.node, Method.EVIDENCE, pair_of(world, guilty))
    (slashed,) = world.events.slashed
    assert (slashed.account, slashed.amount, slashed.reason) == (guilty.address, 40, REASON)
    assert world.account(runtime_address(PARATIME)).balance == 20
    gains = {k: world.account(k).active.balance - before[k] for k in COMPUTE}
    assert gains == {k: {guilty: -40, reporter: 20}.get(k, 0) for k in COMPUTE}
    # The committee goes on without the culprit, in a new round.
    assert guilty.id not in {member.node_id for member in world.committee.members}


def test_two_proposals_for_one_round_are_evidence_too(world):
    guilty, reporter = culprit_and_reporter(world)
    statements = (proposal(world, guilty, b"1" * 32), proposal(world, guilty, b"2" * 32))
    world.must(
        reporter.node,
        Method.EVIDENCE,
        Evidence(PARATIME, proposals=ProposalEquivocation(*statements)),
    )
    assert world.events.slashed[0].account == guilty.address


def test_a_node_is_punished_once_for_a_round_and_kind(world):
    guilty, reporter = culprit_and_reporter(world)
    body = pair_of(world, guilty)
    turned = Evidence(
        PARATIME,
        commitments=CommitmentEquivocation(body.commitments.second, body.commitments.first),
    )
    world.must(reporter.node, Method.EVIDENCE, body)
    stake = world.account(guilty).active.balance
    for again in (body, turned):
        refused(world.run(reporter.node, Method.EVIDENCE, again), evidence.AlreadyPunished)
    assert world.account(guilty).active.balance == stake


def test_a_frozen_node_comes_back_after_its_time_and_on_its_entitys_word(world):
    guilty, reporter = culprit_and_reporter(world)
    world.must(reporter.node, Method.EVIDENCE, pair_of(world, guilty))
    unfreeze = UnfreezeNode(guilty.id)
    refused(world.run(guilty.entity, Method.UNFREEZE_NODE, unfreeze), entities.StillFrozen)
    world.next_epoch(*COMPUTE)
    assert guilty.id not in {member.node_id for member in world.committee.members}
    world.must(guilty.entity, Method.UNFREEZE_NODE, unfreeze)
    for _ in range(8):
        world.next_epoch(*COMPUTE)
        if guilty.id in {member.node_id for member in world.committee.members}:
            return
    pytest.fail("the node was never elected again")


def test_who_reports_itself_earns_nothing(world):
    guilty, _ = culprit_and_reporter(world)
    before = world.account(guilty).active.balance
    world.must(guilty.node, Method.EVIDENCE, pair_of(world, guilty))
    assert world.account(guilty).active.balance == before - 40


def test_anybody_may_report(world):
    guilty, _ = culprit_and_reporter(world)
    world.must(signer("anybody"), Method.EVIDENCE, pair_of(world, guilty))
    assert world.events.slashed[0].account == guilty.address


def test_what_does_not_contradict_itself_is_no_evidence(world):
    first, second = culprit_and_reporter(world)
    vote = world.commitment(first, GOOD)
    others = world.workers()
    failure = world.commitment(others[2], failure=CommitmentFailure.UNKNOWN, scheduler=others[0])
    bodies = [
        Evidence(PARATIME),
        Evidence(PARATIME, commitments=CommitmentEquivocation(vote, vote)),
        Evidence(PARATIME, commitments=CommitmentEquivocation(vote, world.commitment(second, BAD))),
        pair_of(world, first, scheduler=world.scheduler(1)),
        pair_of(world, first, round=world.last.round + 2),
        Evidence(
            PARATIME,
            commitments=CommitmentEquivocation(
                failure, world.commitment(others[2], GOOD, scheduler=others[0])
            ),
        ),
        Evidence(
            PARATIME,
            commitments=pair_of(world, first).commitments,
            proposals=ProposalEquivocation(
                proposal(world, first, b"1" * 32), proposal(world, first, b"2" * 32)
            ),
        ),
        Evidence(
            PARATIME,
            proposals=ProposalEquivocation(
                proposal(world, first, b"1" * 32), proposal(world, first, b"1" * 32)
            ),
        ),
        Evidence(
            PARATIME,
            proposals=ProposalEquivocation(
                proposal(world, first, b"1" * 32), proposal(world, second, b"2" * 32)
            ),
        ),
    ]
    for body in bodies:
        refused(world.run(second.node, Method.EVIDENCE, body), evidence.NotEquivocation)
    assert all(world.account(k).active.balance == 1000 for k in COMPUTE)


def test_renaming_the_round_outside_the_signature_is_no_evidence(world):
    guilty, reporter = culprit_and_reporter(world)
    pair = pair_of(world, guilty).commitments
    moved = CommitmentEquivocation(
        replace(pair.first, round=pair.first.round - 1),
        replace(pair.second, round=pair.second.round - 1),
    )
    result = world.run(reporter.node, Method.EVIDENCE, Evidence(PARATIME, commitments=moved))
    refused(result, evidence.NotEquivocation)


def test_forged_or_foreign_statements_are_refused(world):
    guilty, reporter = culprit_and_reporter(world)
    pair = pair_of(world, guilty).commitments
    foreign = pair_of(world, guilty, chain="00" * 32).commitments
    forged = replace(pair.second, signature=bytes(64))
    for second in (forged, foreign.second):
        body = Evidence(PARATIME, commitments=CommitmentEquivocation(pair.first, second))
        assert world.run(reporter.node, Method.EVIDENCE, body).codespace == "crypto"
    statements = (proposal(world, guilty, b"1" * 32), proposal(world, guilty, b"2" * 32, chain="1"))
    body = Evidence(PARATIME, proposals=ProposalEquivocation(*statements))
    assert world.run(reporter.node, Method.EVIDENCE, body).codespace == "crypto"
    assert world.account(guilty).active.balance == 1000


def test_old_and_future_rounds_are_not_punished(world):
    guilty, reporter = culprit_and_reporter(world)
    old = pair_of(world, guilty)
    for _ in range(7):
        world.agree()
    assert old.commitments.first.round == world.last.round - 6  # the limit is 5
    refused(world.run(reporter.node, Method.EVIDENCE, old), evidence.EvidenceTooOld)
    ahead = pair_of(world, guilty, round_=world.last.round + 2)
    refused(world.run(reporter.node, Method.EVIDENCE, ahead), evidence.EvidenceFromFuture)
    assert world.account(guilty).active.balance == 1000


def test_evidence_of_the_oldest_round_that_counts_is_punished(world):
    guilty, reporter = culprit_and_reporter(world)
    old = pair_of(world, guilty)
    for _ in range(6):
        world.agree()
    world.must(reporter.node, Method.EVIDENCE, old)
    assert world.account(guilty).active.balance == 960


def test_marks_of_rounds_that_are_too_old_are_forgotten(world):
    guilty, reporter = culprit_and_reporter(world)
    world.must(reporter.node, Method.EVIDENCE, pair_of(world, guilty))
    marks = state_keys.evidence_prefix(PARATIME)
    assert len(list(world.state.scan(bytes, marks))) == 1
    for _ in range(7):
        world.agree()
    world.next_epoch(*COMPUTE)
    assert list(world.state.scan(bytes, marks)) == []


def test_evidence_about_an_unknown_runtime_or_node_is_refused(world):
    guilty, reporter = culprit_and_reporter(world)
    unknown = replace(pair_of(world, guilty), runtime_id=b"\x80" * 32)
    result = world.run(reporter.node, Method.EVIDENCE, unknown)
    assert result.codespace == "crypto"  # the signatures are for another runtime
    stranger = replace(guilty, node=signer("stranger"))
    result = world.run(reporter.node, Method.EVIDENCE, pair_of(world, stranger))
    refused(result, entities.UnknownNode)


# -- votes that consensus itself sees ------------------------------------------------------------


def forwarded(world: World, by, *commitments) -> bytes:
    return world.tx(by.node, Method.EXECUTOR_COMMIT, ExecutorCommit(PARATIME, commitments))


def test_a_vote_that_contradicts_the_first_is_punished_where_it_is_cast(world):
    guilty, reporter = culprit_and_reporter(world)
    scheduler, stake = world.scheduler(), world.account(reporter).active.balance
    world.vote((guilty, GOOD))
    second = world.commitment(guilty, BAD, scheduler=scheduler)
    (result,) = world.block(forwarded(world, reporter, second))
    assert result.code == 0
    (slashed,) = world.events.slashed
    assert (slashed.account, slashed.amount, slashed.reason) == (guilty.address, 40, REASON)
    assert world.account(reporter).active.balance == stake + 20
    assert world.events.commitments == ()
    assert guilty.id not in {member.node_id for member in world.committee.members}


def test_both_votes_in_one_transaction_are_a_contradiction_too(world):
    guilty, reporter = culprit_and_reporter(world)
    scheduler = world.scheduler()
    votes = [world.commitment(guilty, root, scheduler=scheduler) for root in (GOOD, BAD)]
    (result,) = world.block(forwarded(world, reporter, *votes))
    assert result.code == 0
    assert [slashed.account for slashed in world.events.slashed] == [guilty.address]
    assert len(world.events.commitments) == 1


def test_a_contradiction_is_punished_among_votes_that_count(world):
    guilty, reporter = culprit_and_reporter(world)
    scheduler = world.scheduler()
    world.vote((guilty, GOOD))
    others = [k for k in world.workers() if k != guilty]
    votes = [world.commitment(keys, GOOD, scheduler=scheduler) for keys in others]
    second = world.commitment(guilty, BAD, scheduler=scheduler)
    (result,) = world.block(forwarded(world, reporter, votes[0], second, second, votes[1]))
    assert result.code == 0
    assert [slashed.account for slashed in world.events.slashed] == [guilty.address]
    assert [event.node_id for event in world.events.commitments] == [k.id for k in others]
    assert world.last.state_root == GOOD


def test_a_contradiction_costs_once_for_a_round(world):
    guilty, reporter = culprit_and_reporter(world)
    scheduler = world.scheduler()
    world.vote((guilty, GOOD))
    body = pair_of(world, guilty)
    seconds = [world.commitment(guilty, root, scheduler=scheduler) for root in (BAD, b"c" * 32)]
    results = world.block(
        *(forwarded(world, reporter, one) for one in seconds),
        world.tx(reporter.node, Method.EVIDENCE, body),
    )
    assert [result.code for result in results] == [0] + [evidence.AlreadyPunished.code] * 2
    assert len(world.events.slashed) == 1


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        ({"signature": bytes(64)}, "BadSignature"),
        ({"node_id": b"n" * 32}, "NotInCommittee"),
    ],
)
def test_nobody_is_punished_for_a_vote_that_another_made_up(world, spoil, refusal):
    victim, liar = culprit_and_reporter(world)
    scheduler = world.scheduler()
    world.vote((victim, GOOD))
    forged = replace(world.commitment(victim, BAD, scheduler=scheduler), **spoil)
    (result,) = world.block(forwarded(world, liar, forged))
    assert QanatError.by_code[result.codespace, result.code].__name__ == refusal
    assert world.events.slashed == ()


def test_a_vote_of_the_life_before_a_rewind_contradicts_nothing(world):
    victim, liar = culprit_and_reporter(world)
    world.agree(GOOD)
    height = world.height
    stale = [world.commitment(victim, BAD, scheduler=keys) for keys in world.workers()]
    world.rewind(height)
    world.block()
    world.vote((victim, GOOD))
    results = world.block(*(forwarded(world, liar, one) for one in stale))
    assert all(result.code for result in results)
    assert world.events.slashed == ()


def test_a_failure_and_a_result_exclude_nothing(world):
    node, reporter = culprit_and_reporter(world)
    if node == world.scheduler():
        node, reporter = reporter, node
    world.vote((world.scheduler(), GOOD))
    failed = world.commitment(node, failure=CommitmentFailure.UNKNOWN)
    world.block(forwarded(world, node, failed))
    (result,) = world.block(forwarded(world, reporter, world.commitment(node, GOOD)))
    assert result.code != 0
    assert world.events.slashed == ()
