"""Rounds from commitments to blocks: agreement, discrepancy, resolution, time, replay."""

from dataclasses import replace

import pytest

from services.consensus.rules.roothash import agreement, commitments, pool, rounds
from services.consensus.rules.roothash.round_state import RoundResults, RoundState
from shared.crypto.address import runtime_address
from shared.crypto.hashes import EMPTY_HASH
from shared.rules import state_keys
from shared.types.block import HeaderType, RoundRoots
from shared.types.commitment import CommitmentFailure, ExecutorCommitment
from shared.types.methods import ExecutorCommit, Method
from shared.types.registry import ExecutorParameters
from tests.support.consensus_world import (
    COMPUTE,
    OWNER,
    PARATIME,
    SECOND,
    World,
    make_genesis,
    signer,
)

GOOD, BAD, WORSE = b"g" * 32, b"b" * 32, b"w" * 32
FAILED = CommitmentFailure.STATE_UNAVAILABLE


@pytest.fixture
def world() -> World:
    return World.running()


def small(world_executor: ExecutorParameters) -> World:
    return World.running(make_genesis(executor=world_executor))


def pool_of(world: World) -> RoundState:
    return world.load(RoundState, state_keys.round_state_key(PARATIME))


def refused(world: World, raw: bytes, error) -> None:
    before = pool_of(world)
    (result,) = world.block(raw)
    assert (result.codespace, result.code) == (error.module, error.code), result.log
    assert pool_of(world) == before


def only_worker(world: World):
    """The worker that is no backup worker."""
    return next(k for k in world.workers() if k not in world.backups())


def only_backup(world: World):
    return next(k for k in world.backups() if k not in world.workers())


# -- agreement -----------------------------------------------------------------------------------


def test_equal_votes_of_all_workers_make_the_next_block(world):
    parent = world.last
    world.agree(GOOD)
    last = world.last
    assert (last.round, last.header_type) == (parent.round + 1, HeaderType.NORMAL)
    assert (last.state_root, last.io_root) == (GOOD, b"i" * 32)
    assert last.previous_hash == parent.hash()
    assert last.timestamp == world.time_ns // SECOND
    (finalized,) = world.events.finalized
    assert finalized.header == last
    assert not finalized.had_discrepancy
    assert set(finalized.good_nodes) == {k.id for k in world.workers()}
    assert pool_of(world) == RoundState()


def test_a_round_waits_for_its_last_worker(world):
    first, second, third = world.workers()
    world.vote((first, GOOD), (second, GOOD))
    assert world.events.finalized == ()
    assert [event.node_id for event in world.events.commitments] == [first.id, second.id]
    world.vote((third, GOOD))
    assert world.last.state_root == GOOD


def test_votes_count_only_once_their_scheduler_has_committed(world):
    scheduler = world.scheduler()
    others = [k for k in world.workers() if k != scheduler]
    world.vote(*((k, GOOD) for k in others))
    assert pool_of(world).highest_rank is None
    world.vote((scheduler, GOOD))
    assert world.last.state_root == GOOD


def test_scheduler_that_proposed_and_fell_silent_costs_one_round(world):
    """Its host is alive and sent the proposal, and its enclave stands still."""
    parent, scheduler = world.last, world.scheduler()
    others = [k for k in world.workers() if k != scheduler]
    world.vote((others[0], GOOD))
    armed = pool_of(world).deadline_ns
    assert armed is not None
    world.vote((others[1], GOOD))
    assert pool_of(world).deadline_ns == armed
    assert world.app.next_deadline_ns() == armed
    world.block(seconds=1.9)
    assert world.last == parent
    world.block(seconds=0.2)
    assert (world.last.round, world.last.header_type) == (
        parent.round + 1,
        HeaderType.ROUND_FAILED,
    )
    assert world.scheduler() != scheduler
    world.agree(GOOD)
    assert world.last.state_root == GOOD


def test_many_commitments_travel_in_one_transaction(world):
    body = ExecutorCommit(PARATIME, tuple(world.commitment(k, GOOD) for k in world.workers()))
    world.must(signer("a relay"), Method.EXECUTOR_COMMIT, body)
    assert world.last.state_root == GOOD


def joint(world: World, by, *votes) -> bytes:
    """One transaction with several votes, by whoever gathers them."""
    return world.tx(by.node, Method.EXECUTOR_COMMIT, ExecutorCommit(PARATIME, votes))


def test_a_vote_that_was_cast_already_keeps_no_other_out(world):
    """Its node waited for who gathers votes, sent it alone, and then it came along after all."""
    first, second, third = world.workers()
    world.vote((first, GOOD))
    (result,) = world.block(
        joint(world, second, *(world.commitment(k, GOOD) for k in (first, second, third)))
    )
    assert result.code == 0
    assert [event.node_id for event in world.events.commitments] == [second.id, third.id]
    assert world.last.state_root == GOOD


def test_a_vote_that_comes_twice_in_one_transaction_counts_once(world):
    first, second, _ = world.workers()
    votes = [world.commitment(k, GOOD) for k in (first, first, second)]
    (result,) = world.block(joint(world, first, *votes))
    assert result.code == 0
    assert [event.node_id for event in world.events.commitments] == [first.id, second.id]


def spoilt_votes(world: World) -> dict[str, ExecutorCommitment]:
    """Votes of the third worker that do not count, by what is wrong with them."""
    second, third = world.workers()[1:]
    good = world.commitment(third, GOOD)
    return {
        "by nobody": replace(good, node_id=OWNER.id),
        "by another": replace(world.commitment(second, GOOD), node_id=third.id),
        "another enclave": world.commitment(third, GOOD, rak=second.rak),
        "another round": world.commitment(third, GOOD, round=world.last.round + 2),
        "another parent": world.commitment(third, GOOD, previous_hash=b"x" * 32),
        "a failure": world.commitment(third, failure=FAILED),
        "messages": replace(good, messages=(b"m",)),
    }


@pytest.mark.parametrize("spoilt", list(spoilt_votes(World.running())))
def test_a_vote_that_does_not_count_spoils_nothing_but_itself(world, spoilt):
    first, second, third = world.workers()
    assert world.scheduler() != third
    votes = (
        world.commitment(first, GOOD),
        spoilt_votes(world)[spoilt],
        world.commitment(second, GOOD),
    )
    (result,) = world.block(joint(world, first, *votes))
    assert result.code == 0
    assert [event.node_id for event in world.events.commitments] == [first.id, second.id]
    world.vote((third, GOOD))
    assert world.last.state_root == GOOD


def test_a_transaction_of_which_no_vote_counts_is_refused_for_the_first(world):
    first, second, _ = world.workers()
    stranger = replace(world.commitment(second, GOOD), node_id=OWNER.id)
    late = world.commitment(second, GOOD, round=world.last.round)
    refused(world, joint(world, first, stranger, late), pool.NotInCommittee)
    assert world.events.commitments == ()


def test_stragglers_within_the_allowance_cost_nothing():
    world = small(ExecutorParameters(allowed_stragglers=1))
    first = world.scheduler()
    second = next(k for k in world.workers() if k != first)
    world.vote((first, GOOD), (second, GOOD))
    assert world.last.header_type is HeaderType.NORMAL


def test_roots_of_recent_rounds_are_kept_and_older_ones_dropped(world):
    for index in range(5):
        world.agree(bytes([index]) * 32)
    kept = list(world.state.scan(RoundRoots, state_keys.past_roots_key(PARATIME, 0)[:-8]))
    assert [roots.state_root[0] for _, roots in kept] == [2, 3, 4]
    heights = [roots.height for _, roots in kept]
    assert heights == sorted(set(heights))
    assert heights[-1] == world.height, "the block that made the newest final"


# -- discrepancy ---------------------------------------------------------------------------------


def test_a_lone_wrong_worker_is_overruled_and_alone_is_slashed(world):
    scheduler, liar = world.scheduler(), next(k for k in world.workers() if k != world.scheduler())
    before = {k: world.account(k).active.balance for k in COMPUTE}
    honest = [k for k in COMPUTE if k != liar]
    in_committee = {*world.committee.workers(), *world.committee.backups()}
    world.vote(
        (scheduler, GOOD),
        *((k, GOOD) for k in honest if k != scheduler and k.id in in_committee),
        (liar, BAD),
    )
    assert world.last.header_type is HeaderType.NORMAL
    assert world.last.state_root == GOOD
    (discrepancy,) = world.events.discrepancies
    assert (discrepancy.rank, discrepancy.is_timeout) == (0, False)
    (slashed,) = world.events.slashed
    assert (slashed.account, slashed.amount) == (liar.address, 50)
    assert slashed.reason == "runtime-incorrect-results"
    assert world.account(liar).active.balance == before[liar] - 50
    assert all(world.account(k).active.balance >= before[k] for k in honest)


def test_the_penalty_is_paid_to_the_runtime_and_to_those_who_were_right(world):
    scheduler = world.scheduler()
    liar = next(k for k in world.workers() if k != scheduler)
    before = {k: world.account(k).active.balance for k in COMPUTE}
    world.vote(*((k, BAD if k == liar else GOOD) for k in COMPUTE))
    assert world.account(runtime_address(PARATIME)).balance == 10  # 20 % of 50
    honest = [k for k in COMPUTE if k != liar]
    assert [world.account(k).active.balance - before[k] for k in honest] == [13, 13, 13]


def test_backups_need_a_majority_and_wait_for_it(world):
    worker, backup = only_worker(world), only_backup(world)
    scheduler = world.scheduler()
    both = [k for k in world.workers() if k in world.backups()]
    if scheduler != worker:
        world.vote((worker, BAD), (scheduler, GOOD))
        assert len(world.events.discrepancies) == 1
        assert world.last.header_type is HeaderType.EPOCH_TRANSITION
        rest = [k for k in both if k != scheduler]
        world.vote((rest[0], GOOD))
        assert world.last.state_root == GOOD
        assert world.load(RoundResults, state_keys.round_results_key(PARATIME)).bad_nodes == (
            worker.id,
        )
    else:
        world.vote((worker, BAD), (both[0], GOOD))
        assert len(world.events.discrepancies) == 1
        world.vote((backup, GOOD))
        # The majority has another result than the scheduler.
        assert world.last.header_type is HeaderType.ROUND_FAILED


def test_a_scheduler_that_is_overruled_fails_the_round_and_nobody_is_slashed(world):
    scheduler = world.scheduler()
    parent = world.last
    world.vote((scheduler, BAD), *((k, GOOD) for k in COMPUTE if k != scheduler))
    assert world.last.header_type is HeaderType.ROUND_FAILED
    assert world.last.state_root == parent.state_root
    assert world.last.io_root == EMPTY_HASH
    assert world.events.slashed == ()
    assert world.events.finalized[0].had_discrepancy


def test_without_a_majority_the_round_fails(world):
    votes = dict(zip((k.id for k in world.backups()), (GOOD, BAD, WORSE), strict=True))
    scheduler = world.scheduler()
    for keys in COMPUTE:
        votes.setdefault(keys.id, GOOD)
    order = [scheduler, *(k for k in COMPUTE if k != scheduler)]
    world.vote(*((k, votes[k.id]) for k in order))
    assert world.last.header_type is HeaderType.ROUND_FAILED
    assert world.events.slashed == ()


def test_after_a_discrepancy_only_backup_workers_vote(world):
    scheduler, worker = world.scheduler(), only_worker(world)
    if scheduler == worker:
        world.agree(GOOD)  # the next round has another scheduler
        scheduler = world.scheduler()
    both = next(k for k in world.workers() if k in world.backups() and k != scheduler)
    world.vote((scheduler, GOOD), (both, BAD))
    assert pool_of(world).is_discrepancy
    refused(world, world.commit(worker, GOOD), pool.NotInCommittee)
    world.vote((only_backup(world), GOOD))
    assert world.last.state_root == GOOD


def test_failures_of_workers_are_a_discrepancy_and_are_not_punished(world):
    scheduler = world.scheduler()
    failing = next(k for k in world.workers() if k != scheduler)
    others = [k for k in COMPUTE if k not in (scheduler, failing)]
    world.vote((scheduler, GOOD))
    assert world.block(world.commit(failing, failure=FAILED))[0].code == 0
    assert len(world.events.discrepancies) == 1
    for keys in others:
        if pool_of(world).is_discrepancy and keys in world.backups():
            world.vote((keys, GOOD))
    assert world.last.state_root == GOOD
    assert world.events.slashed == ()
    results = world.load(RoundResults, state_keys.round_results_key(PARATIME))
    assert failing.id not in results.good_nodes + results.bad_nodes


# -- ranks ---------------------------------------------------------------------------------------


def test_a_later_rank_takes_over_and_a_worse_one_is_refused(world):
    second = world.scheduler(1)
    world.block(world.commit(second, GOOD, scheduler=second))
    assert pool_of(world).highest_rank == 1
    refused(
        world,
        world.commit(world.scheduler(0), GOOD, scheduler=world.scheduler(2)),
        pool.WorseRank,
    )
    for keys in world.workers():
        if keys != second:
            world.block(world.commit(keys, GOOD, scheduler=second))
    assert world.last.state_root == GOOD


def test_a_better_rank_drops_the_votes_for_worse_ones(world):
    first, second = world.scheduler(0), world.scheduler(1)
    world.block(world.commit(second, BAD, scheduler=second))
    deadline = pool_of(world).deadline_ns
    world.vote((first, GOOD), seconds=1)
    assert pool_of(world).highest_rank == 0
    assert set(pool_of(world).proposals) == {0}
    assert pool_of(world).deadline_ns == deadline + SECOND
    world.vote(*((k, GOOD) for k in world.workers() if k != first))
    assert world.last.state_root == GOOD


def test_votes_for_a_better_rank_are_kept_until_its_scheduler_commits(world):
    first, second = world.scheduler(0), world.scheduler(1)
    third = world.scheduler(2)
    world.vote((third, GOOD))
    world.block(world.commit(second, BAD, scheduler=second))
    assert pool_of(world).highest_rank == 1
    world.vote((first, GOOD), (second, GOOD))
    assert world.last.state_root == GOOD


def test_failures_about_a_later_rank_wait_for_the_deadline(world):
    second = world.scheduler(1)
    others = [k for k in world.workers() if k != second]
    world.block(world.commit(second, GOOD, scheduler=second))
    world.block(*(world.commit(k, scheduler=second, failure=FAILED) for k in others))
    assert world.events.discrepancies == ()
    world.block(seconds=2)
    (discrepancy,) = world.events.discrepancies
    assert (discrepancy.rank, discrepancy.is_timeout) == (1, True)


def test_a_proposal_by_somebody_who_is_no_worker_is_refused(world):
    outsider = only_backup(world)
    raw = world.commit(outsider, GOOD, scheduler=outsider)
    refused(world, raw, pool.NotScheduler)


# -- time ----------------------------------------------------------------------------------------


def test_a_silent_worker_costs_a_timeout_and_not_the_round(world):
    scheduler, silent = world.scheduler(), only_worker(world)
    if silent == scheduler:
        world.agree()
        scheduler = world.scheduler()
    world.vote(*((k, GOOD) for k in world.workers() if k != silent))
    armed = pool_of(world).deadline_ns
    assert armed == world.time_ns + 2 * SECOND
    assert world.app.next_deadline_ns() == armed
    world.block(seconds=1.9)
    assert world.events.discrepancies == ()
    world.block(seconds=0.2)
    assert world.events.discrepancies[0].is_timeout
    # Both other workers are backup workers too: their votes are a majority of three.
    assert world.last.state_root == GOOD
    assert world.events.slashed == ()


def test_backups_have_half_as_long_again_then_the_round_fails(world):
    scheduler, liar = world.scheduler(), next(k for k in world.workers() if k != world.scheduler())
    world.vote((scheduler, GOOD), (liar, BAD))
    assert pool_of(world).deadline_ns == world.time_ns + 3 * SECOND
    world.block(seconds=2.9)
    assert world.last.header_type is HeaderType.EPOCH_TRANSITION
    world.block(seconds=0.1)
    assert world.last.header_type is HeaderType.ROUND_FAILED
    assert world.events.slashed == ()
    assert pool_of(world) == RoundState()
    world.agree(GOOD)


def test_without_commitments_there_is_no_deadline_but_the_epoch(world):
    assert pool_of(world).deadline_ns is None
    epoch_end = world.app.next_deadline_ns()
    world.block(seconds=5)
    assert world.events.finalized == ()
    assert world.app.next_deadline_ns() == epoch_end


def test_a_runtime_without_patience_still_hears_its_backups():
    world = small(ExecutorParameters(round_timeout_ms=0))
    scheduler = world.scheduler()
    world.vote((scheduler, GOOD))
    assert world.events.discrepancies[0].is_timeout
    assert pool_of(world).is_discrepancy
    world.block()
    assert world.last.header_type is HeaderType.ROUND_FAILED


# -- what is refused -----------------------------------------------------------------------------


def test_second_vote_on_a_proposal_is_refused(world):
    first = world.workers()[0]
    world.vote((first, GOOD))
    refused(world, world.commit(first, GOOD), pool.AlreadyCommitted)


@pytest.mark.parametrize("shift", [-1, 1])
def test_commitment_for_another_round_is_refused(world, shift):
    keys = world.workers()[0]
    round_ = world.last.round + 1 + shift
    refused(world, world.commit(keys, round=round_), commitments.WrongRound)


def test_commitment_of_a_past_round_cannot_be_played_again(world):
    old = tuple(world.commitment(k, GOOD) for k in world.workers())
    body = ExecutorCommit(PARATIME, old)
    world.must(COMPUTE[0].node, Method.EXECUTOR_COMMIT, body)
    refused(world, world.tx(COMPUTE[0].node, Method.EXECUTOR_COMMIT, body), commitments.WrongRound)
    renamed = ExecutorCommit(PARATIME, (replace(old[0], round=world.last.round + 1),))
    raw = world.tx(COMPUTE[0].node, Method.EXECUTOR_COMMIT, renamed)
    refused(world, raw, commitments.MalformedCommitment)


def test_results_on_another_parent_are_refused(world):
    keys = world.workers()[0]
    refused(world, world.commit(keys, previous_hash=b"x" * 32), commitments.WrongParent)


@pytest.mark.parametrize(
    "domain", [{"chain": "00" * 32}, {"runtime_id": b"\x80" + bytes(30) + b"\x07"}]
)
def test_commitment_signed_for_another_network_or_runtime_is_refused(world, domain):
    raw = world.commit(world.workers()[0], **domain)
    (result,) = world.block(raw)
    assert result.codespace == "crypto"
    assert pool_of(world) == RoundState()


def test_commitment_by_another_key_is_refused(world):
    first, second, _ = world.workers()
    forged = replace(world.commitment(first, GOOD), node_id=second.id)
    body = ExecutorCommit(PARATIME, (forged,))
    (result,) = world.block(world.tx(first.node, Method.EXECUTOR_COMMIT, body))
    assert result.codespace == "crypto"


def test_results_that_the_registered_enclave_did_not_sign_are_refused(world):
    first, second, _ = world.workers()
    (result,) = world.block(world.commit(first, GOOD, rak=second.rak))
    assert result.codespace == "crypto"
    assert pool_of(world) == RoundState()


def test_a_restarted_enclave_signs_with_its_new_key_once_registered(world):
    first = world.workers()[0]
    restarted = replace(first, rak=signer("a fresh key"))
    (result,) = world.block(world.commit(restarted, GOOD))
    assert result.codespace == "crypto"
    world.register(restarted)
    assert world.block(world.commit(restarted, GOOD))[0].code == 0


@pytest.mark.parametrize("changes", [{"in_msgs_hash": b"m" * 32}, {"in_msgs_count": 1}])
def test_there_is_no_queue_of_incoming_messages(world, changes):
    raw = world.commit(world.workers()[0], **changes)
    refused(world, raw, commitments.MalformedCommitment)


def test_a_scheduler_cannot_fail_its_own_proposal(world):
    raw = world.commit(world.scheduler(), failure=FAILED)
    refused(world, raw, commitments.MalformedCommitment)


def test_a_failure_is_sent_by_the_node_itself(world):
    scheduler = world.scheduler()
    failing = next(k for k in world.workers() if k != scheduler)
    body = ExecutorCommit(PARATIME, (world.commitment(failing, failure=FAILED),))
    raw = world.tx(scheduler.node, Method.EXECUTOR_COMMIT, body)
    refused(world, raw, commitments.MalformedCommitment)


def test_contradicting_parts_are_refused(world):
    first = world.workers()[0]
    good = world.commitment(first, GOOD)
    for header in (
        replace(good.header, failure=FAILED),
        replace(good.header, rak_signature=None),
        replace(good.header, results=None),
        replace(good.header, results=None, rak_signature=None),
    ):
        body = ExecutorCommit(PARATIME, (replace(good, header=header),))
        raw = world.tx(first.node, Method.EXECUTOR_COMMIT, body)
        refused(world, raw, commitments.MalformedCommitment)


@pytest.mark.parametrize("count", [0, agreement.MAX_COMMITMENTS + 1])
def test_number_of_commitments_is_bounded(world, count):
    first = world.workers()[0]
    body = ExecutorCommit(PARATIME, (world.commitment(first, GOOD),) * count)
    raw = world.tx(first.node, Method.EXECUTOR_COMMIT, body)
    refused(world, raw, agreement.CommitmentCount)


def test_unknown_runtimes_have_no_rounds(world):
    first = world.workers()[0]
    body = ExecutorCommit(b"\x80" * 32, (world.commitment(first, GOOD),))
    raw = world.tx(first.node, Method.EXECUTOR_COMMIT, body)
    refused(world, raw, rounds.NoOpenRound)
