"""
The staking ledger: accounts, and every way in which tokens move between them.

Each function keeps the sum over all accounts, of balances and both pools of stake, equal to the
supply. The common pool and the fee accumulator are accounts like others at reserved addresses.
Source: oasis-core go/consensus/cometbft/apps/staking/{transactions,fees}.go @ f9f1fdc.
"""

from dataclasses import replace

from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.staking import Account, Supply

_RESERVED = bytes.fromhex("1abe11ed")
COMMON_POOL = staking_address(_RESERVED + bytes.fromhex("c001") + b"\xff" * 26)
"""Holds what belongs to nobody, such as slashed stake."""
FEE_ACCUMULATOR = staking_address(_RESERVED + bytes.fromhex("feeacc") + b"\xff" * 25)
"""Holds the fees of a block until it ends."""
RESERVED_ADDRESSES = frozenset({COMMON_POOL, FEE_ACCUMULATOR})
"""Source: oasis-core go/staking/api/address.go @ f9f1fdc."""
MAX_QUANTITY = 2**64 - 1
"""Largest amount and number of shares: what a CBOR integer holds without a tag."""


class InsufficientBalance(Rejected, module="staking", code=1):
    """The account does not hold that much."""

    def __init__(self, balance: int, needed: int) -> None:
        super().__init__(f"balance {balance}, needed {needed} [base units]")
        self.balance, self.needed = balance, needed


class InvalidAmount(Rejected, module="staking", code=2):
    """The amount is below zero, or zero where something must move."""


class ReservedAddress(Rejected, module="staking", code=3):
    """The address belongs to the ledger itself."""


class InsufficientAllowance(Rejected, module="staking", code=4):
    """The owner allows less."""


def load_account(state: State, address: bytes) -> Account:
    """Give an account; one that was never used is empty."""
    return state.load(Account, state_keys.account_key(address)) or _EMPTY


def save_account(state: State, address: bytes, account: Account) -> None:
    """Put an account back."""
    state.save(state_keys.account_key(address), account)


_EMPTY = Account()


def verify_amount(amount: int) -> None:
    """Refuse amounts that move nothing or the wrong way, with `InvalidAmount`."""
    if amount <= 0:
        raise InvalidAmount(f"amount {amount}: must be above 0")


def take(state: State, address: bytes, amount: int) -> None:
    """Take tokens out of a balance, or raise `InsufficientBalance`; the caller puts them back."""
    account = load_account(state, address)
    if account.balance < amount:
        raise InsufficientBalance(account.balance, amount)
    save_account(state, address, replace(account, balance=account.balance - amount))


def give(state: State, address: bytes, amount: int) -> None:
    """Add tokens, taken from elsewhere, to a balance."""
    if amount:
        account = load_account(state, address)
        save_account(state, address, replace(account, balance=account.balance + amount))


def apply_transfer(state: State, source: bytes, to: bytes, amount: int) -> None:
    """
    Move tokens between balances.

    Raises
    ------
    InvalidAmount, ReservedAddress, InsufficientBalance
        See each class.
    """
    verify_amount(amount)
    _verify_unreserved(to)
    take(state, source, amount)
    give(state, to, amount)


def apply_burn(state: State, source: bytes, amount: int) -> None:
    """
    Destroy tokens; the supply shrinks by as many.

    Raises
    ------
    InvalidAmount, InsufficientBalance
        See each class.
    """
    verify_amount(amount)
    take(state, source, amount)
    supply = state.load_required(Supply, state_keys.SUPPLY)
    state.save(state_keys.SUPPLY, Supply(supply.total - amount))


def apply_allow(state: State, owner: bytes, beneficiary: bytes, change: int) -> None:
    """
    Raise or lower what a beneficiary may withdraw; it does not fall below zero.

    Raises
    ------
    InvalidAmount
        The change is zero, or the allowance would be too large to write down.
    ReservedAddress
        See the class.
    """
    if change == 0:
        raise InvalidAmount("a change of zero")
    _verify_unreserved(beneficiary)
    if beneficiary == owner:
        raise ReservedAddress("an owner needs no allowance")
    account = load_account(state, owner)
    allowed = max(account.allowances.get(beneficiary, 0) + change, 0)
    if allowed > MAX_QUANTITY:
        raise InvalidAmount(f"an allowance is at most {MAX_QUANTITY}")
    save_account(state, owner, _with_allowance(account, beneficiary, allowed))


def apply_withdraw(state: State, beneficiary: bytes, owner: bytes, amount: int) -> None:
    """
    Pull allowed tokens out of an owner's balance.

    Raises
    ------
    InvalidAmount, InsufficientAllowance, InsufficientBalance
        See each class.
    """
    verify_amount(amount)
    account = load_account(state, owner)
    allowed = account.allowances.get(beneficiary, 0)
    if allowed < amount:
        raise InsufficientAllowance(f"allowed {allowed}, asked {amount} [base units]")
    if account.balance < amount:
        raise InsufficientBalance(account.balance, amount)
    lighter = replace(account, balance=account.balance - amount)
    save_account(state, owner, _with_allowance(lighter, beneficiary, allowed - amount))
    give(state, beneficiary, amount)


def _with_allowance(account: Account, beneficiary: bytes, allowed: int) -> Account:
    others = {key: value for key, value in account.allowances.items() if key != beneficiary}
    return replace(account, allowances=others | ({beneficiary: allowed} if allowed else {}))


def _verify_unreserved(address: bytes) -> None:
    if address in RESERVED_ADDRESSES:
        raise ReservedAddress("tokens come to this address by the ledger's own rules only")


def disburse_fees(state: State, receiver: bytes | None) -> None:
    """
    Pay the fees of a block out when it ends.

    Parameters
    ----------
    receiver : `bytes` or None
        Address of the proposer's entity; the common pool where it is not registered.

    Source
    ------
    oasis-core apps/staking/fees.go @ f9f1fdc. Differs: all goes to the proposer, nothing by votes.
    """
    fees = load_account(state, FEE_ACCUMULATOR).balance
    if fees:
        take(state, FEE_ACCUMULATOR, fees)
        give(state, COMMON_POOL if receiver is None else receiver, fees)


def measure_supply(state: State) -> int:
    """Sum of everything that all accounts hold [base units]; equals the supply at all times."""
    accounts = state.scan(Account, state_keys.ACCOUNTS)
    return sum(a.balance + a.active.balance + a.debonding.balance for _, a in accounts)
