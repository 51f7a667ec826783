"""
Stake: delegation in shares, the way out through debonding, slashing, and claims on it.

Source: oasis-core go/staking/api/api.go and go/consensus/cometbft/apps/staking @ f9f1fdc. Differs:
no commission and no rewards per epoch, since genesis has no schedule for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.consensus.rules.staking.ledger import (
    COMMON_POOL,
    MAX_QUANTITY,
    RESERVED_ADDRESSES,
    InvalidAmount,
    ReservedAddress,
    give,
    load_account,
    save_account,
    take,
    verify_amount,
)
from services.consensus.rules.state import State
from shared.api.consensus import Slashed
from shared.crypto.address import ADDRESS_BYTES
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.messages import Payout
from shared.types.staking import Account, DebondingDelegation, Delegation, SharePool


class InsufficientShares(Rejected, module="staking", code=5):
    """The delegator does not own that many shares."""


class InsufficientStake(Rejected, module="staking", code=6):
    """The account's active stake does not cover what its registrations claim."""

    def __init__(self, stake: int, claimed: int) -> None:
        super().__init__(f"active stake {stake}, claimed {claimed} [base units]")
        self.stake, self.claimed = stake, claimed


class WorthlessPool(Rejected, module="staking", code=7):
    """So much stake of the account was slashed that new shares cannot be counted any more."""


# -- shares ------------------------------------------------------------------------------------


def shares_for(pool: SharePool, amount: int) -> int:
    """Shares that an amount buys: 1:1 in an empty pool, rounded down otherwise."""
    if pool.total_shares == 0:
        return amount
    if pool.balance == 0:
        raise WorthlessPool(f"{pool.total_shares} shares of nothing")
    return amount * pool.total_shares // pool.balance


def worth_of(pool: SharePool, shares: int) -> int:
    """Tokens that shares are worth, rounded down [base units]."""
    return shares * pool.balance // pool.total_shares if pool.total_shares else 0


def _deposited(pool: SharePool, amount: int) -> tuple[SharePool, int]:
    shares = shares_for(pool, amount)
    if pool.total_shares + shares > MAX_QUANTITY:
        raise WorthlessPool(f"{amount} base units would buy {shares} shares")
    return SharePool(pool.balance + amount, pool.total_shares + shares), shares


def _withdrawn(pool: SharePool, shares: int) -> tuple[SharePool, int]:
    amount = worth_of(pool, shares)
    return SharePool(pool.balance - amount, pool.total_shares - shares), amount


# -- delegation --------------------------------------------------------------------------------


def apply_add_escrow(state: State, delegator: bytes, address: bytes, amount: int) -> int:
    """
    Delegate tokens; gives the shares that they bought.

    Raises
    ------
    InvalidAmount
        The amount is not positive, or too small to buy one share.
    ReservedAddress, InsufficientBalance, WorthlessPool
        See each class.
    """
    verify_amount(amount)
    if address in RESERVED_ADDRESSES:
        raise ReservedAddress("nobody delegates to the ledger's own accounts")
    pool, shares = _deposited(load_account(state, address).active, amount)
    if shares == 0:
        raise InvalidAmount(f"{amount} base units buy no share")
    take(state, delegator, amount)
    # Loaded only now: the delegator may be the account itself.
    save_account(state, address, replace(load_account(state, address), active=pool))
    key = state_keys.delegation_key(address, delegator)
    owned = state.load(Delegation, key) or Delegation(0)
    state.save(key, Delegation(owned.shares + shares))
    return shares


def apply_reclaim_escrow(
    state: State, delegator: bytes, address: bytes, shares: int, *, end_epoch: int
) -> int:
    """
    Move shares from the active to the debonding pool, where they are paid out at an epoch.

    Gives the shares of that pool which they bought.

    Raises
    ------
    InvalidAmount, InsufficientShares
        See each class.
    InsufficientStake
        What stays does not cover the account's registrations.
    """
    verify_amount(shares)
    key = state_keys.delegation_key(address, delegator)
    owned = state.load(Delegation, key) or Delegation(0)
    if owned.shares < shares:
        raise InsufficientShares(f"owns {owned.shares} shares, reclaims {shares}")
    account = load_account(state, address)
    active, amount = _withdrawn(account.active, shares)
    debonding, bought = _deposited(account.debonding, amount)
    account = replace(account, active=active, debonding=debonding)
    save_account(state, address, account)
    if owned.shares == shares:
        state.remove(key)
    else:
        state.save(key, Delegation(owned.shares - shares))
    entry_key = state_keys.debonding_key(end_epoch, address, delegator)
    entry = state.load(DebondingDelegation, entry_key) or DebondingDelegation(0)
    state.save(entry_key, DebondingDelegation(entry.shares + bought))
    return bought


@dataclass(frozen=True, slots=True)
class Debonded:
    """Stake that was paid out."""

    delegator: bytes
    payout: Payout


def pay_debonded(state: State, epoch: int) -> tuple[Debonded, ...]:
    """Pay out all debonding stake whose epoch has come; gives what was paid."""
    prefix = state_keys.DEBONDING
    paid = []
    for key, entry in list(state.scan(DebondingDelegation, prefix)):
        due = int.from_bytes(key[len(prefix) : len(prefix) + 8], "big")
        if due > epoch:
            break
        addresses = key[len(prefix) + 8 :]
        address, delegator = addresses[:ADDRESS_BYTES], addresses[ADDRESS_BYTES:]
        account = load_account(state, address)
        pool, amount = _withdrawn(account.debonding, entry.shares)
        save_account(state, address, replace(account, debonding=pool))
        give(state, delegator, amount)
        state.remove(key)
        paid.append(Debonded(delegator, Payout(due, address, amount)))
    return tuple(paid)


# -- claims ------------------------------------------------------------------------------------


def claimed_stake(account: Account, thresholds: Mapping[str, int]) -> int:
    """Sum of all thresholds that an account's registrations claim [base units]."""
    return sum(thresholds.get(kind, 0) for kinds in account.claims.values() for kind in kinds)


def verify_stake(account: Account, thresholds: Mapping[str, int]) -> None:
    """Verify that active stake covers all claims, or raise `InsufficientStake`."""
    claimed = claimed_stake(account, thresholds)
    if account.active.balance < claimed:
        raise InsufficientStake(account.active.balance, claimed)


def claim_stake(
    state: State, address: bytes, name: str, kinds: tuple[str, ...], thresholds: Mapping[str, int]
) -> None:
    """Make, or replace, a claim on an account's active stake, or raise `InsufficientStake`."""
    account = load_account(state, address)
    claiming = replace(account, claims=account.claims | {name: kinds})
    verify_stake(claiming, thresholds)
    if claiming != account:
        save_account(state, address, claiming)


def release_claim(state: State, address: bytes, name: str) -> None:
    """Give a claim up."""
    account = load_account(state, address)
    claims = {other: kinds for other, kinds in account.claims.items() if other != name}
    save_account(state, address, replace(account, claims=claims))


# -- slashing ----------------------------------------------------------------------------------


def slash(state: State, address: bytes, amount: int, reason: str) -> int:
    """
    Take stake, from the active and the debonding pool in proportion to them.

    The caller hands the tokens on.

    Parameters
    ----------
    amount : `int`
        Penalty; no more is taken than there is [base units].

    Returns
    -------
    taken : `int`
        [base units]

    Source
    ------
    oasis-core apps/staking/state, SlashEscrow @ f9f1fdc. Differs: what rounding leaves is taken
    from the debonding pool, so that the penalty is exact.
    """
    account = load_account(state, address)
    active, debonding = account.active, account.debonding
    stake = active.balance + debonding.balance
    taken = min(amount, stake)
    if taken <= 0:
        return 0
    from_active = active.balance * taken // stake
    slashed = replace(
        account,
        active=replace(active, balance=active.balance - from_active),
        debonding=replace(debonding, balance=debonding.balance - (taken - from_active)),
    )
    save_account(state, address, slashed)
    state.emit(Slashed(address, reason, taken))
    return taken


def reward_stake(state: State, address: bytes, amount: int) -> None:
    """Add tokens, taken from elsewhere, to an account's active stake: its shares gain worth."""
    account = load_account(state, address)
    if account.active.total_shares == 0:
        give(state, COMMON_POOL, amount)
    elif amount:
        richer = replace(account.active, balance=account.active.balance + amount)
        save_account(state, address, replace(account, active=richer))
