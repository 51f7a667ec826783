"""
Records of the staking ledger. Source: oasis-core go/staking/api @ f9f1fdc.

Differs: amounts are CBOR integers, and commission schedules are left out.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SharePool:
    """Tokens owned in shares: rewards and slashing move the price of a share, not the shares."""

    balance: int = 0
    """[base units]"""
    total_shares: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Value at `state_keys.account_key`; an absent account equals `Account()`."""

    balance: int = 0
    """What the owner can spend [base units]."""
    nonce: int = 0
    """Nonce of the owner's next transaction."""
    allowances: dict[bytes, int] = field(default_factory=dict)
    """What others may withdraw, by their address [base units]."""
    active: SharePool = SharePool()
    """Stake of everybody who delegated to this account."""
    debonding: SharePool = SharePool()
    """Stake on its way out; slashed like the active one."""
    claims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Kinds of threshold by name of the claim, such as a registered node."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """One delegator's part of the active stake of one account."""

    shares: int


@dataclass(frozen=True, slots=True)
class DebondingDelegation:
    """One delegator's part of the debonding stake of one account, paid out at an epoch."""

    shares: int


@dataclass(frozen=True, slots=True)
class Supply:
    """Value at `state_keys.SUPPLY`: what all accounts hold together."""

    total: int
    """[base units]"""
