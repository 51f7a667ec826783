import itertools

import pytest

from services.compute.rules.round import (
    ALLOWED,
    BEGINNINGS,
    Committed,
    Duty,
    Execute,
    Failed,
    Following,
    HoldForEvent,
    HoldUntil,
    Ignore,
    IllegalMove,
    Processing,
    WaitingForBatch,
    WaitingForEvent,
    duty_of,
    judge_proposal,
    move,
)
from services.compute.rules.timing import NEVER_NS, RoundTiming
from shared.types.commitment import (
    CommitmentFailure,
    ComputeResultsHeader,
    Proposal,
    ProposalHeader,
)
from shared.types.identity import Round
from shared.types.mining import Mining
from shared.types.registry import (
    Committee,
    CommitteeMember,
    CommitteeRole,
    SchedulerParameters,
)

WORKER = Duty(rank=1)
BACKUP = Duty(is_backup=True)
MS = 1_000_000


def proposal(rank: int) -> Proposal:
    header = ProposalHeader(7, bytes(32), bytes([rank]) * 32)
    return Proposal(bytes(32), bytes([rank]) * 32, header, bytes(64), ())


def states(round_: int, rank: int):
    results = ComputeResultsHeader(round_, bytes(32), bytes(32), bytes(32))
    return (
        Following(round_),
        WaitingForBatch(round_, WORKER),
        WaitingForEvent(round_, BACKUP, proposal(rank), rank),
        Processing(round_, WORKER, proposal(rank), rank),
        Committed(round_, WORKER, proposal(rank), rank, results),
        Failed(round_, WORKER, proposal(rank), rank, CommitmentFailure.UNKNOWN),
    )


WITHIN = list(itertools.product(states(7, 1), states(7, 0)))
ACROSS = list(itertools.product(states(7, 0), states(8, 0)))


def name_of(value) -> str:
    both = value if isinstance(value, tuple) else (value,)
    return "-".join(type(state).__name__ for state in both)


@pytest.mark.parametrize("pair", WITHIN, ids=name_of)
def test_within_a_round_the_table_alone_says_where_to_go(pair):
    before, after = pair
    if type(after) in ALLOWED[type(before)]:
        assert move(before, after) is after
    else:
        with pytest.raises(IllegalMove):
            move(before, after)


@pytest.mark.parametrize("pair", ACROSS, ids=name_of)
def test_a_later_round_begins_from_anywhere_but_only_at_its_beginning(pair):
    before, after = pair
    if isinstance(after, BEGINNINGS):
        assert move(before, after) is after
    else:
        with pytest.raises(IllegalMove):
            move(before, after)


@pytest.mark.parametrize("before", states(7, 0), ids=name_of)
def test_a_round_never_runs_backwards(before):
    with pytest.raises(IllegalMove):
        move(before, Following(6))


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("before", states(7, 1)[4:], ids=name_of)
def test_after_a_vote_only_a_better_proposal_is_executed(before, rank):
    with pytest.raises(IllegalMove):
        move(before, Processing(7, WORKER, proposal(rank), rank))


def test_a_backup_executes_the_very_proposal_it_holds():
    held = WaitingForEvent(7, BACKUP, proposal(1), 1)
    assert isinstance(move(held, Processing(7, BACKUP, proposal(1), 1)), Processing)
    with pytest.raises(IllegalMove):
        move(held, Processing(7, BACKUP, proposal(2), 2))


@pytest.mark.parametrize(
    ("phase", "rank", "judgement"),
    [
        (Following(7), 0, Ignore),
        (WaitingForBatch(7, WORKER), 0, Execute),
        (WaitingForBatch(7, BACKUP), 0, HoldForEvent),
        (WaitingForEvent(7, BACKUP, proposal(1), 1), 0, HoldForEvent),
        (WaitingForEvent(7, BACKUP, proposal(1), 1), 1, Ignore),
        (Processing(7, WORKER, proposal(1), 1), 0, Execute),
        (Processing(7, WORKER, proposal(0), 0), 0, Ignore),
        (states(7, 1)[4], 0, Execute),
        (states(7, 1)[4], 1, Ignore),
        (states(7, 1)[5], 2, Ignore),
    ],
)
def test_what_a_proposal_in_its_time_means(phase, rank, judgement):
    assert isinstance(judge_proposal(phase, rank, now_ns=5, due_ns=5), judgement)


def test_a_proposal_before_its_time_waits_for_it():
    assert judge_proposal(WaitingForBatch(7, WORKER), 1, now_ns=4, due_ns=5) == HoldUntil(5)


def test_a_node_may_be_worker_and_backup():
    members = [CommitteeMember(bytes([n]) * 32, CommitteeRole.WORKER) for n in range(3)]
    members.append(CommitteeMember(bytes([1]) * 32, CommitteeRole.BACKUP_WORKER))
    committee = Committee(bytes(32), 2, tuple(members))
    assert {duty_of(committee, 9, bytes([n]) * 32).rank for n in range(3)} == {0, 1, 2}
    assert duty_of(committee, 9, bytes([1]) * 32).is_backup
    assert not duty_of(committee, 9, b"x" * 32).is_member
    assert not duty_of(None, 9, bytes(32)).is_member


@pytest.mark.parametrize(
    ("work_ms", "is_first", "rank", "due_ms"),
    [
        (None, False, 0, 1000),
        (None, False, 2, 2000),
        (300, False, 0, 300),
        (300, False, 1, 800),
        (5000, False, 0, 1000),
        (None, True, 0, 0),
        (None, True, 1, 500),
    ],
)
def test_a_rank_may_propose_its_timeouts_after_there_is_something(work_ms, is_first, rank, due_ms):
    scheduler = SchedulerParameters(batch_flush_timeout_ms=1000, propose_batch_timeout_ms=500)
    work_ns = None if work_ms is None else work_ms * MS
    timing = RoundTiming(scheduler, 0, work_ns, is_first)
    assert timing.kept_awake(0).due_ns(rank) == due_ms * MS
    assert timing.peer_due_ns(rank) == due_ms * MS, "a peer may know of clients"


@pytest.mark.parametrize(
    ("asked_ms", "rank", "due_ms"),
    [
        ((), 0, 20_000),
        ((), 2, 21_000),
        # Somebody asked long ago, not so long ago, and just before the round began.
        ((-8_001,), 0, 20_000),
        ((-8_000,), 0, 2_000),
        ((-1,), 1, 2_500),
        # Somebody asks in a round that would have been made by now: it is due at once.
        ((7_000,), 0, 7_000),
        ((7_000,), 1, 7_500),
        ((7_000, 7_400), 0, 7_000),
        # Who asks before that changes nothing.
        ((1_000,), 0, 2_000),
        ((-9_000, 1_500), 0, 2_000),
    ],
)
def test_an_empty_batch_waits_longer_where_nobody_asks(asked_ms, rank, due_ms):
    scheduler = SchedulerParameters(batch_flush_timeout_ms=2_000, propose_batch_timeout_ms=500)
    begun_ns = 60_000 * MS
    timing = RoundTiming(scheduler, begun_ns)
    for at_ms in asked_ms:
        timing = timing.kept_awake(begun_ns + at_ms * MS)
    assert timing.due_ns(rank) == begun_ns + due_ms * MS


def test_a_pace_slower_than_the_wait_for_clients_is_kept_while_they_ask():
    timing = RoundTiming(SchedulerParameters(batch_flush_timeout_ms=60_000), 0)
    assert timing.due_ns(0) == 600_000 * MS
    assert timing.kept_awake(1).due_ns(0) == 60_000 * MS


def test_a_pace_of_zero_makes_no_empty_batches():
    timing = RoundTiming(SchedulerParameters(batch_flush_timeout_ms=0), 0)
    assert timing.due_ns(0) == timing.kept_awake(1).due_ns(0) == NEVER_NS


@pytest.mark.parametrize(
    ("mining", "work_ms", "due_ms"),
    [
        (Mining(interval_ms=0), None, None),
        (Mining(interval_ms=0), 300, 300),
        (Mining(interval_ms=5_000), None, 5_000),
        (Mining(automine=False), 300, None),
        (Mining(automine=False, interval_ms=2_000), 300, 2_000),
        (Mining(automine=False, interval_ms=0), 300, None),
        (Mining(automine=False, interval_ms=0, wanted=Round(6)), 300, None),
        (Mining(automine=False, interval_ms=0, wanted=Round(7)), None, 0),
    ],
)
def test_dev_controls_say_what_a_round_waits_for(mining, work_ms, due_ms):
    scheduler = SchedulerParameters(batch_flush_timeout_ms=1000)
    work_ns = None if work_ms is None else work_ms * MS
    quiet = RoundTiming(scheduler, 0, work_ns, round=Round(7), mining=mining)
    for timing in (quiet, quiet.kept_awake(0)):
        assert timing.due_ns(0) == (NEVER_NS if due_ms is None else due_ms * MS)
