"""Having the enclave execute: patience with what may come, none with a bug."""

import pytest

from services.compute.enclave.errors import NotLevel
from services.compute.execution import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    BatchExecuted,
    Execution,
    failure_of,
)
from shared.crypto.hashes import EMPTY_HASH
from shared.errors import PeerFailed, PeerUnavailable
from shared.types.commitment import CommitmentFailure, Proposal, ProposalHeader
from shared.types.key_requests import EphemeralSecretMissing

HEADER = ProposalHeader(7, b"p" * 32, b"h" * 32)
PROPOSAL = Proposal(b"r" * 32, b"n" * 32, HEADER, b"s" * 64, (b"raw",))
PATIENCE_S = 2.0


class Enclave:
    """Fails as told, then executes."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = 0

    async def execute(self, round_, batch, inbox):
        self.calls += 1
        self.inbox = inbox
        if self.failures:
            raise self.failures.pop(0)
        return (round_, batch)


async def run(enclave, *, stop_after=None, handed=EMPTY_HASH):
    """Execute once; what was posted, and the pauses."""
    posted, tasks, pauses = [], [], []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == stop_after:
            execution.stop()

    async def fetch_inbox(expected):
        return expected

    told = posted.append, tasks.append
    execution = Execution(enclave, None, PATIENCE_S, *told, fetch_inbox, sleep)
    execution.start(PROPOSAL, handed)
    await tasks.pop()
    (message,) = posted
    assert isinstance(message, BatchExecuted)
    assert message.proposal is PROPOSAL
    return message.outcome, pauses


async def test_what_consensus_hands_to_a_round_is_fetched_where_the_parent_says_so():
    for handed, expected in ((EMPTY_HASH, None), (b"h" * 32, b"h" * 32)):
        enclave = Enclave()
        await run(enclave, handed=handed)
        assert enclave.inbox == expected


async def test_what_is_missing_for_a_moment_is_waited_for_with_growing_pauses():
    enclave = Enclave(*[EphemeralSecretMissing("not yet")] * 4)
    outcome, pauses = await run(enclave)
    assert outcome == (7, (b"raw",))
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, LONGEST_PAUSE_S]


async def test_what_never_comes_is_given_up_within_the_time_of_a_round():
    enclave = Enclave(*[PeerUnavailable("no key manager")] * 1000)
    outcome, pauses = await run(enclave)
    assert isinstance(outcome, PeerUnavailable)
    assert sum(pauses) <= PATIENCE_S
    assert enclave.calls < 10


@pytest.mark.parametrize("error", [PeerFailed("a bug"), NotLevel("round 6 is not here")])
async def test_a_bug_and_a_missing_state_are_not_asked_about_again(error):
    enclave = Enclave(*[error] * 1000)
    outcome, pauses = await run(enclave)
    assert (outcome, pauses, enclave.calls) == (error, [], 1)


async def test_nothing_is_tried_again_once_the_round_is_over():
    enclave = Enclave(*[PeerUnavailable("gone")] * 1000)
    outcome, pauses = await run(enclave, stop_after=2)
    assert isinstance(outcome, PeerUnavailable)
    assert (len(pauses), enclave.calls) == (2, 3)


def test_a_vote_tells_a_missing_state_from_everything_else():
    assert failure_of(NotLevel("")) is CommitmentFailure.STATE_UNAVAILABLE
    assert failure_of(PeerFailed("")) is CommitmentFailure.UNKNOWN
