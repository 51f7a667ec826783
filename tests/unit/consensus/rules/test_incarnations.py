"""What the first block after a rewind changes, and what was said before it."""

import pytest

from services.consensus.rules.roothash.round_state import RoundState
from shared.crypto.signing import BadSignature
from shared.rules import state_keys
from shared.types.incarnation import IncarnationStart, IncarnationState
from shared.types.methods import CommitmentEquivocation, Evidence, ExecutorCommit, Method
from tests.support.consensus_world import PARATIME, World, signer

BEFORE, AFTER = b"r" * 32, b"s" * 32


@pytest.fixture
def world() -> World:
    return World.running()


def life_of(world: World) -> IncarnationState:
    return world.load(IncarnationState, state_keys.INCARNATION)


def test_the_first_life_is_not_written_down(world):
    assert life_of(world) is None
    assert world.events.incarnation == 0


def test_a_new_life_says_where_it_left_the_one_before(world):
    height, round_ = world.height, world.last.round
    world.agree(BEFORE)
    world.next_epoch()
    world.rewind(height)
    assert world.events.incarnation == 1
    start = IncarnationStart(1, height, {PARATIME: round_}, {})
    assert life_of(world) == IncarnationState(1, (start,))
    world.rewind(world.height)
    assert [one.incarnation for one in life_of(world).starts] == [1, 2]
    world.rewind(height)
    assert [one.incarnation for one in life_of(world).starts] == [3]


def test_honest_votes_from_before_and_after_a_rewind_are_no_evidence(world):
    height, victim = world.height, world.workers()[0]
    before = world.commitment(victim, BEFORE)
    world.agree(BEFORE)
    world.rewind(height)
    after = world.commitment(victim, AFTER)
    world.agree(AFTER)
    stake = world.account(victim).active.balance
    for pair in ((before, after), (after, before)):
        body = Evidence(PARATIME, CommitmentEquivocation(*pair))
        result = world.run(signer("anybody"), Method.EVIDENCE, body)
        assert (result.codespace, result.code) == (BadSignature.module, BadSignature.code)
    assert world.account(victim).active.balance == stake
    assert not world.events.slashed


def test_a_vote_of_a_life_before_does_not_count(world):
    height, node = world.height, world.workers()[0]
    void = world.commitment(node, BEFORE)
    world.rewind(height)
    result = world.run(node.node, Method.EXECUTOR_COMMIT, ExecutorCommit(PARATIME, (void,)))
    assert (result.codespace, result.code) == (BadSignature.module, BadSignature.code)
    world.agree(AFTER)


def test_an_enclaves_word_of_a_life_before_does_not_count(world):
    height, node = world.height, world.workers()[0]
    word = world.commitment(node, BEFORE).header.rak_signature
    world.rewind(height)
    fresh = world.commitment(node, BEFORE)
    assert fresh.header.rak_signature != word


def test_votes_that_were_open_when_a_life_began_do_not_stand_against_those_after(world):
    workers = world.workers()
    world.vote((workers[0], BEFORE))
    height = world.height
    assert world.load(RoundState, state_keys.round_state_key(PARATIME)).proposals
    world.rewind(height)
    assert world.load(RoundState, state_keys.round_state_key(PARATIME)) == RoundState()
    # The scheduler of the new life takes another batch; nobody disagrees with anybody.
    world.agree(AFTER)
    assert not world.events.slashed
    assert not world.events.discrepancies


def test_two_words_within_one_life_are_still_evidence_after_a_rewind(world):
    world.rewind(world.height)
    guilty = world.workers()[0]
    pair = CommitmentEquivocation(world.commitment(guilty, BEFORE), world.commitment(guilty, AFTER))
    world.must(world.workers()[1].node, Method.EVIDENCE, Evidence(PARATIME, pair))
    assert world.events.slashed[0].account == guilty.address
