import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from services.compute.joint_votes import FALLBACK_S, GATHERING_S, JointVotes, VotesDue
from services.compute.rules.proposal import RoundDomain
from services.compute.rules.vote import sign_failure, sign_results
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import Signer
from shared.types.commitment import CommitmentFailure, ComputeResultsHeader, ExecutorCommitment
from shared.types.registry import Committee, CommitteeMember, CommitteeRole
from tests.support.virtual_time import run_virtual

RUNTIME, CHAIN = bytes([0x80]) + bytes(31), "ab" * 32
DOMAIN = RoundDomain(RUNTIME, CHAIN)
OWN, FIRST, SECOND, BACKUP = (Signer(bytes([n]) * 32) for n in range(1, 5))
COMMITTEE = Committee(
    RUNTIME,
    2,
    (
        *(CommitteeMember(s.public_key, CommitteeRole.WORKER) for s in (OWN, FIRST, SECOND)),
        CommitteeMember(BACKUP.public_key, CommitteeRole.BACKUP_WORKER),
    ),
)
STRANGE = b"n" * 32
"""A peer that is not known."""


def vote(
    signer: Signer, *, by: Signer = OWN, round_: int = 7, domain: RoundDomain = DOMAIN
) -> ExecutorCommitment:
    results = ComputeResultsHeader(round_, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH)
    return sign_results(
        signer,
        domain=domain,
        scheduler_id=by.public_key,
        results=results,
        rak_signature=bytes(64),
    )


class Scene:
    """One node, whose transactions and messages to peers are kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[ExecutorCommitment, ...]] = []
        self.handed: list[tuple[ExecutorCommitment, bytes]] = []
        self.joint = JointVotes(OWN.public_key, self, self, self._on_due)
        self.joint.begin(7, COMMITTEE)

    def send(self, *commitments) -> None:
        self.sent.append(commitments)

    def send_vote(self, commitment, scheduler_id) -> bool:
        self.handed.append((commitment, scheduler_id))
        return scheduler_id != STRANGE

    def hear(self, *votes: ExecutorCommitment) -> None:
        for one in votes:
            self.joint.hear(one, DOMAIN)

    def _on_due(self, message: VotesDue) -> None:
        self.joint.on_due(message)


def in_virtual_time(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Have a test of a scene sleep for no time."""

    def run(**parameters) -> None:
        async def main() -> None:
            await test(Scene(), **parameters)

        run_virtual(main())

    run.__name__, (_, *rest) = test.__name__, inspect.signature(test).parameters.values()
    run.__signature__ = inspect.Signature(rest)
    return run


# -- who gathers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("own_place", [0, 1, 2])
@in_virtual_time
async def test_all_votes_go_in_one_transaction_as_soon_as_they_are_there(scene, own_place):
    others = [vote(FIRST), vote(SECOND)]
    scene.hear(*others[:own_place])
    scene.joint.cast(vote(OWN))
    scene.hear(*others[own_place:])
    (together,) = scene.sent
    assert set(together) == {vote(OWN), *others}
    await asyncio.sleep(1)
    assert len(scene.sent) == 1


@in_virtual_time
async def test_nothing_is_sent_before_the_own_vote(scene):
    scene.hear(vote(FIRST), vote(SECOND))
    await asyncio.sleep(1)
    assert scene.sent == []


@in_virtual_time
async def test_a_silent_worker_is_waited_for_once(scene):
    scene.joint.cast(vote(OWN))
    scene.hear(vote(FIRST))
    await asyncio.sleep(GATHERING_S / 2)
    assert scene.sent == []
    await asyncio.sleep(GATHERING_S)
    assert scene.sent == [(vote(OWN), vote(FIRST))]
    scene.joint.begin(8, COMMITTEE)
    scene.joint.cast(vote(OWN, round_=8))
    scene.hear(vote(FIRST, round_=8))
    assert len(scene.sent) == 2


@in_virtual_time
async def test_a_late_vote_is_sent_at_once_and_its_node_waited_for_again(scene):
    scene.joint.cast(vote(OWN))
    scene.hear(vote(FIRST))
    await asyncio.sleep(2 * GATHERING_S)
    scene.hear(vote(SECOND), vote(SECOND))
    assert scene.sent == [(vote(OWN), vote(FIRST)), (vote(SECOND),)]
    scene.joint.begin(8, COMMITTEE)
    scene.joint.cast(vote(OWN, round_=8))
    scene.hear(vote(FIRST, round_=8))
    assert len(scene.sent) == 2


@pytest.mark.parametrize(
    "bad",
    [
        replace(vote(SECOND), signature=bytes(64)),
        replace(vote(FIRST), node_id=SECOND.public_key),
        vote(SECOND, domain=replace(DOMAIN, incarnation=1)),
        vote(SECOND, domain=replace(DOMAIN, chain_context="cd" * 32)),
        vote(SECOND, by=FIRST),
        vote(SECOND, round_=8),
        vote(SECOND, round_=6),
        replace(vote(SECOND, round_=8), round=7),
        replace(vote(SECOND), messages=(b"m",)),
        vote(BACKUP),
        vote(Signer(b"x" * 32)),
        sign_failure(
            SECOND,
            domain=DOMAIN,
            scheduler_id=OWN.public_key,
            round_=7,
            failure=CommitmentFailure.STATE_UNAVAILABLE,
        ),
    ],
)
@in_virtual_time
async def test_a_vote_that_is_not_one_takes_nobodys_place(scene, bad):
    scene.hear(bad)
    scene.joint.cast(vote(OWN))
    scene.hear(bad, vote(FIRST))
    assert scene.sent == []
    scene.hear(vote(SECOND))
    (together,) = scene.sent
    assert set(together) == {vote(OWN), vote(FIRST), vote(SECOND)}


@in_virtual_time
async def test_nobody_speaks_in_the_place_of_who_gathers(scene):
    scene.hear(vote(OWN), vote(FIRST), vote(SECOND))
    assert scene.sent == []


@in_virtual_time
async def test_a_round_that_ends_takes_its_votes_along(scene):
    scene.joint.cast(vote(OWN))
    scene.joint.begin(8, COMMITTEE)
    scene.hear(vote(FIRST), vote(SECOND))
    await asyncio.sleep(1)
    assert scene.sent == []


@in_virtual_time
async def test_where_there_is_no_committee_nobody_is_heard_and_the_node_speaks_for_itself(scene):
    scene.joint.begin(7, None)
    scene.hear(vote(FIRST))
    scene.joint.cast(vote(OWN))
    assert scene.sent == [(vote(OWN),)]


# -- who hands on --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_vote_is_handed_to_the_scheduler_and_sent_when_the_round_stays_open(scene):
    own = vote(OWN, by=FIRST)
    scene.joint.cast(own)
    assert (scene.handed, scene.sent) == ([(own, FIRST.public_key)], [])
    await asyncio.sleep(FALLBACK_S / 2)
    assert scene.sent == []
    await asyncio.sleep(FALLBACK_S)
    assert scene.sent == [(own,)]


@in_virtual_time
async def test_a_round_that_ends_in_time_has_nobody_send_alone(scene):
    scene.joint.cast(vote(OWN, by=FIRST))
    await asyncio.sleep(FALLBACK_S / 2)
    scene.joint.begin(8, COMMITTEE)
    await asyncio.sleep(1)
    assert scene.sent == []


@in_virtual_time
async def test_a_scheduler_that_is_not_known_is_not_waited_for(scene):
    own = replace(vote(OWN), header=replace(vote(OWN).header, scheduler_id=STRANGE))
    scene.joint.cast(own)
    assert scene.sent == [(own,)]


@in_virtual_time
async def test_the_proposal_of_a_better_rank_is_voted_on_as_well(scene):
    scene.joint.cast(vote(OWN))
    better = vote(OWN, by=FIRST)
    scene.joint.cast(better)
    scene.hear(vote(FIRST), vote(SECOND))
    await asyncio.sleep(1)
    assert (better,) in scene.sent
