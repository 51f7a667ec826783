"""A bug in a rule fails its transaction, the same everywhere, and never stops the chain."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from services.consensus import application, block_execution
from services.consensus.rules import block as block_rules
from services.consensus.rules.block import RuleFailed
from services.consensus.rules.roothash import agreement
from services.consensus.rules.roothash.round_state import RoundState
from services.consensus.rules.staking.ledger import give
from shared.rules import state_keys
from shared.types.block import HeaderType
from shared.types.methods import Burn, Method, Transfer
from shared.types.transaction import Fee
from tests.support.consensus_world import BALANCE, COMPUTE, OWNER, PARATIME, World

ALICE, BOB, CAROL = COMPUTE[:3]
POISON = 666


class PanicException(BaseException):
    """As PyO3 raises it, beside `Exception`."""


class Interrupt(BaseException):
    """As a signal raises it."""


@pytest.fixture
def broken(monkeypatch):
    """Make a rule break where somebody burns the poisonous amount, after it changed something."""

    def break_with(error: BaseException) -> None:
        honest = block_rules.apply_method

        def apply(state, context, caller, method, untrusted):
            if method is Method.BURN:
                give(state, BOB.address, 1)
                raise error
            honest(state, context, caller, method, untrusted)

        monkeypatch.setattr(block_rules, "apply_method", apply)

    return break_with


def poison(world: World, keys=ALICE) -> bytes:
    return world.tx(keys.entity, Method.BURN, Burn(POISON), fee=Fee(3, 5))


def transfer(world: World, keys=ALICE) -> bytes:
    return world.tx(keys.entity, Method.TRANSFER, Transfer(CAROL.address, 1))


def prepared(world: World, *txs: bytes):
    block = application.Block(world.height + 1, world.time_ns + 1, txs, bytes(20))
    return replace(block, txs=tuple(world.app.prepare_proposal(block, 1_000_000)))


BUGS = [KeyError("x"), TypeError(), AssertionError(), OverflowError(), OSError(), PanicException()]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
def test_a_bug_fails_its_transaction_and_nothing_else(broken, bug):
    world = World()
    broken(bug)
    with capture_logs() as logs:
        results = world.block(transfer(world), poison(world), transfer(world))
    assert [result.code for result in results] == [0, RuleFailed.code, 0]
    assert results[1].codespace == "transaction"
    assert world.account(BOB).balance == BALANCE
    assert world.account(CAROL).balance == BALANCE + 2
    assert world.account(ALICE).balance == BALANCE - 2 - 3
    assert world.account(ALICE).nonce == 3
    (error,) = [log for log in logs if log["log_level"] == "error"]
    assert (error["event"], error["exc_info"]) == ("transaction_failed_by_a_bug", bug)


def test_two_validators_give_a_bug_the_same_result(broken):
    one, other = World(), World()
    broken(KeyError("x"))
    block = prepared(one, poison(one), transfer(one, BOB))
    broken(TypeError("another Python"))
    assert other.app.process_proposal(block)
    assert other.app.finalize_block(block) == one.app.finalize_block(block)


@pytest.mark.parametrize("fault", [MemoryError(), RecursionError()])
def test_what_one_machine_lacks_is_no_verdict(broken, fault):
    world = World()
    block = prepared(world, poison(world))
    world.app = application.ConsensusApplication(world.store, world.verifier)
    broken(fault)
    assert not world.app.process_proposal(block)
    with pytest.raises(type(fault)):
        world.app.finalize_block(block)
    # Whoever proposes leaves it out.
    assert len(prepared(world, poison(world), transfer(world, BOB)).txs) == 2


def test_an_interrupt_stays_one(broken):
    world = World()
    broken(Interrupt())
    with pytest.raises(Interrupt):
        world.block(poison(world))


def test_a_record_without_encoding_fails_its_transaction(monkeypatch):
    world = World()
    honest = block_rules.apply_method

    def overflow(state, context, caller, method, untrusted):
        honest(state, context, caller, method, untrusted)
        if method is Method.BURN:
            give(state, BOB.address, 2**64)

    monkeypatch.setattr(block_rules, "apply_method", overflow)
    bad, good = world.block(poison(world), transfer(world))
    assert (bad.code, good.code) == (RuleFailed.code, 0)
    assert world.account(BOB).balance == BALANCE


def test_a_transaction_that_breaks_its_block_is_left_out(monkeypatch):
    world = World()
    honest = block_execution.end_block

    def end_block(state, context):
        if application.load_account(state, ALICE.address).nonce:
            raise ZeroDivisionError
        return honest(state, context)

    monkeypatch.setattr(block_execution, "end_block", end_block)
    bad = poison(world)
    good = [transfer(world, keys) for keys in (BOB, CAROL, OWNER)]
    with capture_logs() as logs:
        block = prepared(world, good[0], good[1], bad, good[2])
    assert list(block.txs[:-1]) == good
    assert "transaction_breaks_blocks" in [log["event"] for log in logs]
    # It leaves the pool, and does not come back.
    assert world.app.check_tx(bad, True).code == RuleFailed.code
    assert world.app.check_tx(good[0], True).code == 0


def test_a_block_that_breaks_without_transactions_is_no_transactions_fault(monkeypatch):
    world = World()

    def end_block(state, context):
        raise ZeroDivisionError

    monkeypatch.setattr(block_execution, "end_block", end_block)
    tx = transfer(world)
    for candidates in ((), (tx,)):
        with pytest.raises(ZeroDivisionError):
            prepared(world, *candidates)
    assert world.app.check_tx(tx, False).code == 0


def test_a_bug_in_a_check_refuses_the_transaction(monkeypatch):
    world = World()

    def verify(*_):
        raise IndexError

    monkeypatch.setattr(application, "verify_admission", verify)
    with capture_logs() as logs:
        result = world.app.check_tx(transfer(world), False)
    assert (result.codespace, result.code) == ("transaction", RuleFailed.code)
    assert logs[0]["event"] == "transaction_check_failed"
    monkeypatch.undo()
    world._used.clear()
    assert world.app.check_tx(transfer(world), False).code == 0


def test_a_bug_in_advice_is_logged_and_gives_none(monkeypatch):
    world = World()

    def fails(*_):
        raise IndexError

    monkeypatch.setattr(application, "missing_voters", fails)
    with capture_logs() as logs:
        assert world.app.missing_voters([transfer(world)]) == frozenset()
    assert logs[0]["event"] == "missing_voters_failed"


@pytest.mark.parametrize("bug", [*BUGS, RuleFailed()], ids=lambda bug: type(bug).__name__)
def test_a_bug_in_the_decision_of_a_round_fails_that_round(monkeypatch, bug):
    world = World.running()
    before = world.last

    def finalize(state, context, runtime_id, pool, committee):
        give(state, BOB.address, 1)
        raise bug

    monkeypatch.setattr(agreement, "finalize_round", finalize)
    balance = world.account(BOB).balance
    with capture_logs() as logs:
        results = world.block(*(world.commit(keys) for keys in world.workers()), transfer(world))
    # No vote is to blame, and nothing of the decision stays.
    assert {result.code for result in results} == {0}
    assert world.account(BOB).balance == balance
    assert (world.last.round, world.last.header_type) == (before.round + 1, HeaderType.ROUND_FAILED)
    assert world.last.state_root == before.state_root
    errors = [log for log in logs if log["log_level"] == "error"]
    assert {log["event"] for log in errors} == {"round_failed_by_a_bug"}
    assert (errors[0]["runtime_id"], errors[0]["exc_info"]) == (PARATIME.hex(), bug)
    monkeypatch.undo()
    world.agree()
    assert world.last.header_type is HeaderType.NORMAL


def test_a_round_that_cannot_even_be_given_up_is_left_without_votes(monkeypatch):
    world = World.running()
    before = world.last
    monkeypatch.setattr(agreement, "finalize_round", lambda *_: 1 // 0)
    monkeypatch.setattr(agreement, "fail_round", lambda *_: 1 // 0)
    results = world.block(*(world.commit(keys) for keys in world.workers()), transfer(world))
    assert {result.code for result in results} == {0}
    assert world.last == before
    # No deadline stands, by which an engine would make one block after another.
    assert world.load(RoundState, state_keys.round_state_key(PARATIME)) == RoundState()
    assert agreement.next_deadline_ns(world.state) is None
    monkeypatch.undo()
    world.next_epoch(*COMPUTE)
    world.agree()


def test_two_validators_fail_a_round_alike_whatever_the_bug_says(monkeypatch):
    one, other = World.running(), World.running()
    monkeypatch.setattr(agreement, "finalize_round", lambda *_: 1 // 0)
    block = prepared(one, *(one.commit(keys) for keys in one.workers()))
    monkeypatch.setattr(agreement, "finalize_round", lambda *_: {}["another Python"])
    assert other.app.process_proposal(block)
    assert other.app.finalize_block(block) == one.app.finalize_block(block)


@pytest.mark.parametrize("fault", [MemoryError, RecursionError, Interrupt])
def test_what_one_machine_lacks_fails_no_round(monkeypatch, fault):
    world = World.running()

    def finalize(*_):
        raise fault

    block = prepared(world, *(world.commit(keys) for keys in world.workers()))
    world.app = application.ConsensusApplication(world.store, world.verifier)
    monkeypatch.setattr(agreement, "finalize_round", finalize)
    with pytest.raises(fault):
        world.app.finalize_block(block)
