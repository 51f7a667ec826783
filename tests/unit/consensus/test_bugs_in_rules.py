"""A bug in a rule fails its transaction, the same everywhere, and never stops the chain."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from services.consensus import application, block_execution
from services.consensus.rules import block as block_rules
from services.consensus.rules.block import RuleFailed
from services.consensus.rules.staking.ledger import give
from shared.types.methods import Burn, Method, Transfer
from shared.types.transaction import Fee
from tests.support.consensus_world import BALANCE, COMPUTE, OWNER, World

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
        honest(state, context)

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
