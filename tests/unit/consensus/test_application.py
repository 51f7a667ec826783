"""The application under an engine: one execution, restarts, same-block roots."""

from dataclasses import replace

import pytest

from services.consensus import block_execution
from services.consensus.abci import Block, UnknownQuery
from services.consensus.application import ConsensusApplication, RootMismatch
from services.consensus.rules.roothash import commitments
from services.consensus.store import Store
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.meta import decode_meta, encode_meta
from shared.types.block import BlockHeader
from shared.types.methods import Method, Transfer
from tests.support.consensus_world import BALANCE, COMPUTE, PARATIME, World

ALICE, BOB = COMPUTE[0], COMPUTE[1]


def transfer(world: World, amount: int = 1) -> bytes:
    return world.tx(ALICE.entity, Method.TRANSFER, Transfer(BOB.address, amount))


def candidate(world: World, *txs: bytes) -> Block:
    return Block(world.height + 1, world.time_ns + 1_000_000, txs, bytes(20))


def prepared(world: World, *txs: bytes) -> Block:
    block = candidate(world, *txs)
    return replace(block, txs=tuple(world.app.prepare_proposal(block, 1_000_000)))


def test_the_last_transaction_carries_the_root_of_the_same_block():
    world = World()
    block = prepared(world, transfer(world))
    result = world.app.finalize_block(block)
    assert decode_meta(block.txs[-1]).state_root == result.app_hash
    assert len(result.tx_results) == len(block.txs)
    world.app.commit()
    assert world.app.info().app_hash == result.app_hash == world.store.load_tree().root


def test_a_block_without_work_leaves_the_root_as_it_was():
    world = World.running()
    before = world.app.info().app_hash
    world.block(seconds=1)
    assert world.app.info().app_hash == before
    assert world.app.info().height == world.height


def test_a_proposal_is_executed_once_for_all_its_steps(monkeypatch):
    world = World.running()
    block = prepared(world, *(world.commit(k) for k in world.workers()))

    def refuse(*_):
        raise AssertionError("executed again")

    monkeypatch.setattr(block_execution, "begin_block", refuse)
    assert world.app.process_proposal(block)
    world.app.finalize_block(replace(block, hash=b"h" * 32))


def test_another_validator_comes_to_the_same_root():
    one, other = World.running(), World.running()
    block = prepared(one, transfer(one))
    assert other.app.process_proposal(block)
    assert other.app.finalize_block(block) == one.app.finalize_block(block)


@pytest.mark.parametrize("spoil", ["root", "missing", "unsigned", "twice", "order"])
def test_a_dishonest_proposal_is_refused(spoil):
    world = World()
    first, second = transfer(world), transfer(world)
    block = prepared(world, first, second)
    meta = block.txs[-1]
    txs = {
        "root": (first, second, encode_meta(b"x" * 32)),
        "missing": (first, second),
        "unsigned": (first, second, b"\xa0", meta),
        "twice": (first, first, meta),
        "order": (second, first, meta),
    }[spoil]
    bad = replace(block, txs=txs)
    assert not world.app.process_proposal(bad)
    with pytest.raises((Rejected, RootMismatch)):
        world.app.finalize_block(bad)
    assert world.app.process_proposal(block)


def test_an_empty_block_without_root_is_refused():
    world = World()
    assert not world.app.process_proposal(candidate(world))


def test_finalizing_writes_nothing_and_may_be_repeated():
    world = World()
    before = world.store.height
    block = prepared(world, transfer(world))
    result = world.app.finalize_block(block)
    assert world.app.finalize_block(block) == result
    assert world.store.height == before
    fresh = ConsensusApplication(world.store, world.verifier)
    assert fresh.finalize_block(block) == result


def test_a_restart_goes_on_where_the_store_is():
    world = World.running()
    world.agree()
    world.app = ConsensusApplication(world.store, world.verifier)
    assert world.app.info().height == world.height
    deadline = world.app.next_deadline_ns()
    assert deadline is not None
    world.agree(b"s" * 32)
    assert world.last.state_root == b"s" * 32


def test_a_crash_before_the_first_commit_begins_again():
    store = Store()
    world = World(store=store)
    twin = World()
    assert world.init_result == twin.init_result
    assert ConsensusApplication(Store(), world.verifier).info().app_hash == b""


def test_genesis_entries_reach_the_store_with_the_first_block():
    world = World()
    first = decode_record(
        BlockHeader, world.app.query("state", state_keys.last_block_key(PARATIME), 0).value
    )
    assert first.round == 0
    assert world.store.rounds.load_header(PARATIME, 0) == first
    assert world.store.load_events(1).finalized[0].header == first


def test_old_heights_can_be_read():
    world = World()
    key = state_keys.account_key(BOB.address)
    before = world.app.query("state", key, 0)
    world.block(transfer(world))
    assert world.app.query("state", key, before.height) == before
    assert world.app.query("state", key, 0).value != before.value
    assert world.app.query("state", b"nothing", 0).value is None
    with pytest.raises(UnknownQuery):
        world.app.query("elsewhere", b"", 0)


def test_a_rewind_is_taken_up_by_a_new_application():
    world = World.running()
    height, root = world.height, world.app.info().app_hash
    world.agree()
    world.store.rollback(height)
    world.app = ConsensusApplication(world.store, world.verifier)
    world.height = height
    assert world.app.info().app_hash == root
    world.agree(b"z" * 32)


def test_a_block_takes_what_fits_and_leaves_the_rest():
    world = World()
    first, second = transfer(world), transfer(world)
    block = candidate(world, first, second)
    limit = len(first) + 120
    chosen = world.app.prepare_proposal(block, limit)
    assert list(chosen[:-1]) == [first]
    assert sum(map(len, chosen)) <= limit


def test_a_failed_transaction_has_its_place_and_its_neighbours_run():
    world = World()
    txs = (transfer(world), transfer(world, BALANCE * 2), transfer(world))
    assert [result.code != 0 for result in world.block(*txs)] == [False, True, False]
    assert world.account(BOB).balance == BALANCE + 2


def test_events_of_a_failed_transaction_do_not_happen():
    world = World.running()
    first, second, third = world.workers()
    world.vote((first, b"r" * 32))
    (result,) = world.block(world.commit(second, previous_hash=b"x" * 32))
    assert result.code == commitments.WrongParent.code
    assert world.events.commitments == ()
    world.vote((second, b"r" * 32), (third, b"r" * 32))


def test_commit_comes_after_finalize():
    with pytest.raises(RuntimeError):
        World().app.commit()
