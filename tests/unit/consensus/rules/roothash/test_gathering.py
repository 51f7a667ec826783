"""A block waits for votes that can still come, and for nothing else."""

import pytest

from services.consensus.rules.roothash.gathering import missing_voters
from services.consensus.rules.transactions import OpenedTransaction, open_transaction
from shared.types.genesis import ConsensusParameters
from shared.types.methods import Burn, Method
from tests.support.consensus_world import OWNER, World

GOOD, BAD = b"g" * 32, b"b" * 32


@pytest.fixture
def world() -> World:
    return World.running()


def opened(world: World, raw: bytes) -> OpenedTransaction:
    return open_transaction(raw, world.genesis.chain_context(), ConsensusParameters())


def missing(world: World, *raws: bytes) -> set[bytes]:
    return set(missing_voters(world.state, [opened(world, raw) for raw in raws]))


def ids(*keys) -> set[bytes]:
    return {one.id for one in keys}


def test_the_first_vote_waits_for_the_other_workers(world):
    first, second, third = world.workers()
    assert missing(world, world.commit(first, GOOD)) == ids(second, third)


def test_votes_that_wait_together_are_counted_together(world):
    first, second, third = world.workers()
    both = world.commit(first, GOOD), world.commit(second, GOOD)
    assert missing(world, *both) == ids(third)


def test_nothing_is_missing_when_all_workers_voted(world):
    assert missing(world, *(world.commit(one, GOOD) for one in world.workers())) == set()


def test_votes_in_the_state_are_not_waited_for_again(world):
    first, second, third = world.workers()
    world.vote((first, GOOD))
    assert missing(world, world.commit(second, GOOD)) == ids(third)


def test_after_a_discrepancy_backup_workers_are_waited_for(world):
    workers, backups = world.workers(), world.backups()
    # A backup worker among those that differ, so that no majority decides the round at once.
    dissenter = next(one for one in workers if one in backups)
    agreeing = [(one, GOOD) for one in workers if one is not dissenter]
    world.vote(*agreeing, (dissenter, BAD))
    backup = next(one for one in world.backups() if one not in workers)
    others = ids(*world.backups()) - ids(backup, *workers)
    assert missing(world, world.commit(backup, GOOD)) == others


def test_anything_but_votes_wants_its_block_at_once(world):
    first, *_ = world.workers()
    burn = world.tx(OWNER.entity, Method.BURN.value, Burn(1))
    assert missing(world, world.commit(first, GOOD), burn) == set()


def test_votes_that_cannot_be_read_are_not_waited_for(world):
    first, *_ = world.workers()
    broken = world.tx(first.node, Method.EXECUTOR_COMMIT.value, Burn(1))
    assert missing(world, broken) == set()


def test_an_empty_pool_waits_for_nobody(world):
    assert missing(world) == set()
