"""A check that was under way when the network went back counts for nothing."""

import asyncio

from services.compute.admission import LATE_ROUNDS, Admission, Checked
from services.compute.rules.txpool import BatchLimits
from shared.crypto.hashes import EMPTY_HASH
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.identity import Round
from shared.types.runtime import CheckedTransaction
from tests.support.turns import turns

SENDER = b"s" * 20


class SlowEnclave:
    """Says of a sender's account what the state says at the moment; answers when told to."""

    def __init__(self) -> None:
        self.account_sequence = 5
        self.may_answer = asyncio.Event()

    async def check(self, raws):
        answers = tuple(
            CheckedTransaction(
                hash=raw.ljust(32),
                sender=SENDER,
                sequence=raw[0],
                state_sequence=self.account_sequence,
                priority=1,
                weight=1,
            )
            for raw in raws
        )
        await self.may_answer.wait()
        return answers


async def nothing_to_wait_for():
    return None


async def test_a_check_on_a_void_state_is_made_again_and_its_sender_is_answered_then():
    enclave, posted = SlowEnclave(), asyncio.Queue()
    tasks = set()

    def spawn(work):
        tasks.add(asyncio.create_task(work))

    limits = BatchLimits(1000, 1024 * 1024, max_weight=1000)
    admission = Admission(enclave, limits, 1000, nothing_to_wait_for, posted.put_nowait, spawn)
    answer = asyncio.create_task(admission.submit((bytes([3]),)))
    await turns()
    # The network goes back to where the account had used three sequences, not five.
    admission.clear()
    enclave.account_sequence = 3
    enclave.may_answer.set()
    stale: Checked = await posted.get()
    assert admission.apply_checked(stale) == ()
    assert not answer.done()
    assert admission.apply_checked(await posted.get()) == (bytes([3]),)
    (submission,) = await answer
    assert submission.module == ""
    assert admission.select_batch() == (bytes([3]),)


async def test_what_a_round_held_is_not_taken_from_peers_again():
    """A peer may hand it on late: in another batch every enclave would check it once more."""
    limits = BatchLimits(1000, 1024 * 1024, max_weight=1000)
    admission = Admission(SlowEnclave(), limits, 1000, nothing_to_wait_for, print, print)
    first, second = bytes([3]), bytes([4])
    admission.add_gossiped((first, second))
    header = BlockHeader(
        1, bytes(32), Round(7), 0, HeaderType.NORMAL, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH
    )
    admission.apply_block(RoundBlock(header, (first,)))
    admission.add_gossiped((first,))
    assert admission.select_batch() == (second,)
    for _ in range(LATE_ROUNDS):
        admission.apply_block(RoundBlock(header, (second,)))
    admission.add_gossiped((first,))
    assert admission.select_batch() == (first,)
    # After a rewind it may run again.
    admission.clear()
    admission.add_gossiped((second,))
    assert admission.select_batch() == (second,)
