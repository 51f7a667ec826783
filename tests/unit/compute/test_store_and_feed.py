import asyncio
from dataclasses import replace

import pytest

from services.compute import feed as feed_module
from services.compute.feed import NetworkRewound, RoundFeed
from services.compute.open_rounds import OpenRounds, Vote
from services.compute.own_votes import OwnVotes
from services.compute.rules.proposal import RoundDomain, build_proposal
from services.compute.rules.vote import sign_failure, sign_results
from services.compute.store import BYTES_TOGETHER, IN_MEMORY, ROUNDS_TOGETHER, Store
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import Signer
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from shared.types.commitment import CommitmentFailure, ComputeResultsHeader
from shared.types.identity import Incarnation

RUNTIME, CHAIN = bytes([0x80]) + bytes(31), "ab" * 32
SIGNER = Signer(b"s" * 32)
ROOTS = (b"S" * 32, b"I" * 32)


def header(round_: int, kind=HeaderType.NORMAL, roots=ROOTS) -> BlockHeader:
    return BlockHeader(1, RUNTIME, round_, round_, kind, EMPTY_HASH, roots[1], roots[0])


def proposal(round_: int):
    domain = RoundDomain(RUNTIME, CHAIN)
    return build_proposal(SIGNER, domain, round_=round_, previous_hash=EMPTY_HASH, batch=(b"t",))


def vote(round_: int, rank: int = 0, roots=ROOTS) -> Vote:
    results = ComputeResultsHeader(round_, EMPTY_HASH, roots[1], roots[0])
    commitment = sign_results(
        SIGNER,
        domain=RoundDomain(RUNTIME, CHAIN),
        scheduler_id=SIGNER.public_key,
        results=results,
        rak_signature=bytes(64),
    )
    return Vote(rank, proposal(round_), commitment, (b"t%d" % rank,), (b"r%d" % rank,))


@pytest.fixture(params=["memory", "file"])
def reopen(request, tmp_path):
    """Open the store; a second call opens the same file after the process died."""
    opened: list[Store] = []

    def open_() -> Store:
        if opened and request.param == "memory":
            return opened[-1]
        if opened:
            opened[-1]._final.clear()
            opened[-1].close()
        path = IN_MEMORY if request.param == "memory" else tmp_path / "compute.sqlite"
        opened.append(Store(path))
        return opened[-1]

    yield open_
    opened[-1].close()


def test_a_proposal_and_votes_are_there_again_after_a_kill(reopen):
    store = reopen()
    store.open_rounds.save_proposal(proposal(3))
    store.open_rounds.save_vote(vote(3, rank=1))
    store.open_rounds.save_vote(vote(3, rank=0))
    store = reopen()
    assert store.open_rounds.load_proposal(3) == proposal(3)
    assert store.open_rounds.load_votes(3) == (vote(3, rank=0), vote(3, rank=1))
    assert (store.open_rounds.load_proposal(2), store.open_rounds.load_votes(2)) == (None, ())


def test_a_vote_for_a_failure_is_kept_as_well(reopen):
    commitment = sign_failure(
        SIGNER,
        domain=RoundDomain(RUNTIME, CHAIN),
        scheduler_id=b"o" * 32,
        round_=3,
        failure=CommitmentFailure.UNKNOWN,
    )
    failure = Vote(0, proposal(3), commitment)
    reopen().open_rounds.save_vote(failure)
    assert reopen().open_rounds.load_votes(3) == (failure,)


def final(round_: int) -> RoundBlock:
    return RoundBlock(header(round_), (b"t0",), (b"r0",), epoch=7)


def test_final_rounds_are_written_together_and_their_votes_forgotten(reopen):
    store = reopen()
    for round_ in range(ROUNDS_TOGETHER + 1):
        store.open_rounds.save_vote(vote(round_))
        if store.note_final(final(round_)):
            store.flush()
    store = reopen()
    assert store.load_newest_round() == ROUNDS_TOGETHER - 1
    assert store.open_rounds.load_votes(3) == ()
    assert store.open_rounds.load_votes(ROUNDS_TOGETHER) == (vote(ROUNDS_TOGETHER),)
    assert store.load_block(3) == final(3)


def test_large_rounds_do_not_wait_for_others(reopen):
    store = reopen()
    large = replace(final(0), results=(bytes(BYTES_TOGETHER + 1),))
    assert store.note_final(large)
    store.flush()
    assert reopen().load_block(0) == large


def test_who_asks_for_a_round_gets_it_whether_or_not_it_is_written(reopen):
    store = reopen()
    store.note_final(final(0))
    assert store.load_headers(0, 1) == (header(0),)
    assert store.load_block(0) == final(0)


def test_a_kill_leaves_votes_from_which_rounds_are_found_again(tmp_path):
    path = tmp_path / "compute.sqlite"
    store = Store(path)
    for round_ in (3, 4):
        store.open_rounds.save_vote(vote(round_))
        store.note_final(final(round_))
    store._final.clear()
    store.close()
    store = Store(path)
    assert store.load_newest_round() is None
    votes = OwnVotes(store.open_rounds, pytest.fail)
    for round_ in (3, 4):
        votes.recall(round_)
        settled = votes.settle(header(round_)).block
        assert settled == replace(final(round_), epoch=None)
    store.close()


def test_the_round_that_is_found_is_the_one_of_the_headers_roots():
    open_rounds = OpenRounds(None, Incarnation(0))
    open_rounds.save_vote(vote(3, rank=0, roots=(b"x" * 32, b"y" * 32)))
    open_rounds.save_vote(vote(3, rank=1))
    votes = OwnVotes(open_rounds, pytest.fail)
    votes.recall(3)
    assert votes.settle(header(3)).block.transactions == (b"t1",)
    assert votes.settle(header(3, roots=(b"z" * 32, b"z" * 32))) is None


def test_rounds_from_elsewhere_replace_nothing_and_clear_the_open_round(reopen):
    store = reopen()
    store.open_rounds.save_proposal(proposal(2))
    store.open_rounds.save_vote(vote(2))
    block = RoundBlock(header(2), (b"a",), (b"b",), epoch=8)
    store.save_blocks((RoundBlock(header(1, HeaderType.EPOCH_TRANSITION)), block))
    store.save_blocks((RoundBlock(header(2), (b"other",), (b"other",)),))
    store = reopen()
    assert store.load_block(2) == block
    assert store.load_block(1).transactions == ()
    assert (store.open_rounds.load_proposal(2), store.open_rounds.load_votes(2)) == (None, ())


def test_a_rewind_forgets_later_rounds_and_every_vote(reopen):
    store = reopen()
    store.save_blocks(tuple(RoundBlock(header(r)) for r in range(4)))
    store.open_rounds.save_vote(vote(4))
    store.note_final(final(4))
    store.rollback(1, 1)
    assert store.load_newest_round() == 1
    assert store.load_block(2) is None
    assert store.open_rounds.load_votes(4) == ()
    assert store.incarnation == 1


def feed_of(count: int) -> tuple[RoundFeed, Store]:
    store = Store(IN_MEMORY)
    feed = RoundFeed(store)
    for round_ in range(count):
        block = RoundBlock(header(round_))
        feed.publish(block)
        store.save_blocks((block,))
    return feed, store


async def take(stream, count: int) -> list[int]:
    rounds = []
    async for block in stream:
        rounds.append(block.header.round)
        if len(rounds) == count:
            break
    return rounds


async def test_a_watcher_gets_old_rounds_from_the_store_and_new_ones_as_they_come():
    feed, store = feed_of(300)
    watching = asyncio.create_task(take(feed.watch(0), 301))
    await asyncio.sleep(0)
    feed.publish(RoundBlock(header(300)))
    assert await watching == list(range(301))
    store.close()


async def test_memory_holds_the_newest_rounds_and_few_large_ones(monkeypatch):
    monkeypatch.setattr(feed_module, "RECENT_BYTES", 1_000)
    feed, store = feed_of(0)
    loaded = []
    monkeypatch.setattr(store, "load_block", loaded.append)
    for round_ in range(12):
        feed.publish(RoundBlock(header(round_), (bytes(400),), (bytes(100),)))
    for round_ in range(12):
        feed.find(round_)
    assert loaded == list(range(8)), "the newest four may not be stored yet"
    for round_ in range(12, 100):
        feed.publish(RoundBlock(header(round_)))
    loaded.clear()
    assert all(feed.find(round_) for round_ in range(36, 100))
    assert feed.find(35) is None
    store.close()


async def test_rounds_are_published_in_order_only():
    feed, store = feed_of(2)
    for round_ in (1, 3):
        with pytest.raises(ValueError, match="out of turn"):
            feed.publish(RoundBlock(header(round_)))
    store.close()


async def test_a_rewind_ends_every_watch_and_begins_again_below():
    feed, store = feed_of(5)
    watching = asyncio.create_task(take(feed.watch(3), 9))
    await asyncio.sleep(0)
    store.rollback(1, 1)
    feed.rewind(1)
    with pytest.raises(NetworkRewound):
        await watching
    assert (feed.next_round, feed.find(2)) == (2, None)
    feed.publish(RoundBlock(header(2)))
    assert feed.find(2) is not None
    store.close()


async def test_waiting_for_a_round_ends_when_it_comes_or_when_patience_does():
    feed, store = feed_of(1)
    assert await feed.until_published(0, 0)
    assert not await feed.until_published(1, 0.01)
    waiting = asyncio.create_task(feed.until_published(1, 5))
    await asyncio.sleep(0)
    feed.publish(RoundBlock(header(1)))
    assert await waiting
    store.close()
