"""The ledger: transfers, allowances, stake in shares, debonding, slashing, claims."""

import pytest

from services.consensus.rules.staking import escrow, ledger
from services.consensus.rules.staking.ledger import COMMON_POOL, FEE_ACCUMULATOR
from services.consensus.rules.state import CommittedState, State
from shared.crypto.state_tree import StateTree
from shared.encoding.record import MalformedRecord
from shared.rules import state_keys
from shared.types.methods import AddEscrow, Allow, Burn, Method, ReclaimEscrow, Transfer, Withdraw
from shared.types.staking import Account, SharePool, Supply
from tests.support.consensus_world import BALANCE, COMPUTE, CONTROL, OWNER, STAKE, World, signer
from tests.support.hostile import hostile_bytes

ALICE, BOB = COMPUTE[0], COMPUTE[1]
A, B = b"\x00" + b"a" * 20, b"\x00" + b"b" * 20


def refused(result, error) -> None:
    assert (result.codespace, result.code) == (error.module, error.code), result.log


def empty_state() -> State:
    return State(CommittedState(StateTree.empty()))


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        (Method.TRANSFER, Transfer(BOB.address, 0), "amount"),
        (Method.BURN, Burn(0), "amount"),
        (Method.ADD_ESCROW, AddEscrow(BOB.address, 0), "amount"),
        (Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, 0), "shares"),
        (Method.WITHDRAW, Withdraw(BOB.address, 0), "amount"),
    ],
)
def test_amounts_must_be_positive(method, body, field):
    world = World()
    refused(world.run(ALICE.entity, method, body), ledger.InvalidAmount)
    refused(world.run(ALICE.entity, method, hostile_bytes(body, **{field: -1})), MalformedRecord)


def test_transfer_to_oneself_changes_nothing():
    world = World()
    world.must(ALICE.entity, Method.TRANSFER, Transfer(ALICE.address, 5))
    assert world.account(ALICE).balance == BALANCE


@pytest.mark.parametrize("address", [COMMON_POOL, FEE_ACCUMULATOR])
def test_reserved_addresses_take_nothing_from_users(address):
    world = World()
    for method, body in (
        (Method.TRANSFER, Transfer(address, 1)),
        (Method.ADD_ESCROW, AddEscrow(address, 1)),
        (Method.ALLOW, Allow(address, 1)),
    ):
        assert world.run(ALICE.entity, method, body).code == ledger.ReservedAddress.code


def test_burn_lowers_the_supply():
    world = World()
    before = world.load(Supply, state_keys.SUPPLY).total
    world.must(ALICE.entity, Method.BURN, Burn(40))
    assert world.load(Supply, state_keys.SUPPLY).total == before - 40
    assert world.account(ALICE).balance == BALANCE - 40


def test_withdraw_needs_an_allowance_and_uses_it_up():
    world = World()
    pull = Withdraw(ALICE.address, 30)
    assert world.run(BOB.entity, Method.WITHDRAW, pull).code == ledger.InsufficientAllowance.code
    world.must(ALICE.entity, Method.ALLOW, Allow(BOB.address, 50))
    world.must(BOB.entity, Method.WITHDRAW, pull)
    assert world.account(ALICE).allowances == {BOB.address: 20}
    assert world.account(BOB).balance == BALANCE + 30
    assert world.run(BOB.entity, Method.WITHDRAW, pull).code == ledger.InsufficientAllowance.code


def test_allowance_falls_to_zero_and_no_lower():
    world = World()
    world.must(ALICE.entity, Method.ALLOW, Allow(BOB.address, 50))
    world.must(ALICE.entity, Method.ALLOW, Allow(BOB.address, -80))
    assert world.account(ALICE).allowances == {}


def test_allowance_above_the_balance_cannot_be_drawn():
    world = World()
    world.must(ALICE.entity, Method.ALLOW, Allow(BOB.address, BALANCE * 2))
    result = world.run(BOB.entity, Method.WITHDRAW, Withdraw(ALICE.address, BALANCE + 1))
    assert result.code == ledger.InsufficientBalance.code
    assert world.account(ALICE).allowances == {BOB.address: BALANCE * 2}


def test_allowance_too_large_to_encode_is_refused():
    world = World()
    for _ in range(2):
        world.must(ALICE.entity, Method.ALLOW, Allow(BOB.address, 2**63 - 1))
    result = world.run(ALICE.entity, Method.ALLOW, Allow(BOB.address, 2**63 - 1))
    assert result.code == ledger.InvalidAmount.code


def test_reclaimed_stake_is_paid_out_when_debonding_ends_and_not_before():
    world = World()
    world.must(BOB.entity, Method.ADD_ESCROW, AddEscrow(ALICE.address, 100))
    assert world.account(ALICE).active == SharePool(STAKE + 100, STAKE + 100)
    world.must(BOB.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, 60))
    assert world.account(BOB).balance == BALANCE - 100
    assert world.account(ALICE).debonding == SharePool(60, 60)
    world.must(CONTROL, Method.ADVANCE_EPOCH, b"\xa0")
    assert world.account(BOB).balance == BALANCE - 40
    assert world.account(ALICE).debonding == SharePool(0, 0)


def test_reclaims_for_the_same_epoch_are_merged():
    world = World()
    world.must(BOB.entity, Method.ADD_ESCROW, AddEscrow(ALICE.address, 100))
    for shares in (10, 20):
        world.must(BOB.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, shares))
    entries = list(world.state.scan(object, state_keys.DEBONDING))
    assert len(entries) == 1
    world.must(CONTROL, Method.ADVANCE_EPOCH, b"\xa0")
    assert world.account(BOB).balance == BALANCE - 70


def test_nobody_reclaims_the_shares_of_others():
    result = World().run(BOB.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, 1))
    assert result.code == escrow.InsufficientShares.code


def test_stake_that_registrations_claim_stays():
    world = World()
    world.register(ALICE)  # claims 100 for the entity and 100 for the node
    too_much = ReclaimEscrow(ALICE.address, STAKE - 199)
    result = world.run(ALICE.entity, Method.RECLAIM_ESCROW, too_much)
    assert result.code == escrow.InsufficientStake.code
    assert world.account(ALICE).active.balance == STAKE
    world.must(ALICE.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, STAKE - 200))


def test_shares_keep_their_count_and_lose_worth_when_slashed():
    state = empty_state()
    ledger.give(state, A, 300)
    escrow.apply_add_escrow(state, A, B, 200)
    assert escrow.slash(state, B, 100, "test") == 100
    account = ledger.load_account(state, B)
    assert account.active == SharePool(100, 200)
    assert escrow.apply_add_escrow(state, A, B, 50) == 100  # a share costs half


@pytest.mark.parametrize(
    ("penalty", "active", "debonding"), [(10, 92, 48), (15, 90, 45), (149, 1, 0), (500, 0, 0)]
)
def test_slashing_takes_from_both_pools_in_proportion(penalty, active, debonding):
    state = empty_state()
    pools = {"active": SharePool(100, 100), "debonding": SharePool(50, 50)}
    ledger.save_account(state, A, Account(**pools))
    taken = escrow.slash(state, A, penalty, "test")
    account = ledger.load_account(state, A)
    assert taken == min(penalty, 150)
    assert account.active.balance + account.debonding.balance == 150 - taken
    assert abs(account.active.balance - active) <= 2
    assert abs(account.debonding.balance - debonding) <= 2


def test_debonding_stake_is_slashed_before_it_is_paid_out():
    world = World()
    world.must(BOB.entity, Method.ADD_ESCROW, AddEscrow(ALICE.address, 1000))
    world.must(BOB.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, 1000))
    state = world.state
    escrow.slash(state, ALICE.address, 500, "test")
    escrow.pay_debonded(state, world.epoch + 1)
    assert ledger.load_account(state, BOB.address).balance == BALANCE - 250


def test_an_amount_that_buys_no_share_is_refused_and_kept():
    state = empty_state()
    ledger.give(state, A, 1)
    ledger.save_account(state, B, Account(active=SharePool(1000, 10)))
    with state.attempt(), pytest.raises(ledger.InvalidAmount):
        escrow.apply_add_escrow(state, A, B, 1)
    assert ledger.load_account(state, A).balance == 1


def test_worthless_pool_takes_no_stake():
    state = empty_state()
    ledger.give(state, A, 10)
    ledger.save_account(state, B, Account(active=SharePool(0, 10)))
    with pytest.raises(escrow.WorthlessPool):
        escrow.apply_add_escrow(state, A, B, 5)
    ledger.save_account(state, B, Account(active=SharePool(1, 2**61)))
    with pytest.raises(escrow.WorthlessPool):
        escrow.apply_add_escrow(state, A, B, 10)
    assert ledger.load_account(state, A).balance == 10


def test_reward_without_shares_goes_to_the_common_pool():
    state = empty_state()
    escrow.reward_stake(state, A, 7)
    assert ledger.load_account(state, COMMON_POOL).balance == 7


def test_only_the_dev_control_key_advances_the_epoch():
    world = World()
    for key in (OWNER.entity, signer("anybody")):
        assert world.run(key, Method.ADVANCE_EPOCH, b"\xa0").codespace == "beacon"
    world.must(CONTROL, Method.ADVANCE_EPOCH, b"\xa0")
