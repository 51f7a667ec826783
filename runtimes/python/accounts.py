"""
The module `accounts`: balances, nonces, transfers.

Its state is public, as upstream's is. Source: oasis-sdk
`runtime-sdk/src/modules/accounts` @ 00da39c.
"""

from dataclasses import dataclass

from runtimes.python import errors
from runtimes.python.context import Address, Context
from runtimes.python.module import Module, call, query
from runtimes.python.state import Grouped, Map, Value
from shared.encoding.quantity import encode_quantity
from shared.encoding.record import Bytes21
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import NATIVE, BaseUnits, Quantity

TRANSFER_EVENT, BURN_EVENT, MINT_EVENT = 1, 2, 3
DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Transfer:
    """Arguments of `accounts.Transfer`."""

    to: Bytes21
    amount: BaseUnits


@dataclass(frozen=True, slots=True)
class AddressQuery:
    """Asks about an account."""

    address: Bytes21


@dataclass(frozen=True, slots=True)
class Balances:
    """Of one account, by denomination."""

    balances: dict[bytes, Quantity]


@dataclass(frozen=True, slots=True)
class Denomination:
    """Asks about a kind of token."""

    denomination: bytes


@dataclass(frozen=True, slots=True)
class DenominationInfo:
    """What is known of a kind of token."""

    decimals: int


class Accounts(Module):
    """Balances and nonces of everybody."""

    name = "accounts"
    is_public = True
    balance = Grouped(Bytes21, bytes, Quantity)
    nonces = Map(Bytes21, int)
    supply = Map(bytes, Quantity)
    fees = Value(Quantity, 0)
    """Collected since genesis; they leave the payer and wait here."""

    @call(gas=1_000)
    def transfer(self, ctx: Context, args: Transfer) -> None:
        """Move tokens of the sender."""
        self.move(ctx, ctx.require_sender(), args.to, args.amount)

    def move(self, ctx: Context, sender: Address, to: Address, amount: BaseUnits) -> None:
        """Move tokens between any accounts: for other modules."""
        units, denomination = amount
        self.take(ctx, sender, units, denomination)
        self.give(ctx, to, units, denomination)
        before, ctx.module = ctx.module, self.name
        ctx.emit_value(
            TRANSFER_EVENT,
            {"from": sender, "to": to, "amount": [encode_quantity(units), denomination]},
        )
        ctx.module = before

    def take(
        self, ctx: Context, account: Address, units: int, denomination: bytes = NATIVE
    ) -> None:
        """Lower a balance, or refuse with `accounts` 2."""
        held = self.balance.get(ctx, account, denomination, 0)
        if held < units:
            raise RuntimeRejected(errors.ACCOUNTS, 2, "insufficient balance")
        if held == units:
            self.balance.remove(ctx, account, denomination)
        else:
            self.balance.set(ctx, account, denomination, held - units)

    def give(
        self, ctx: Context, account: Address, units: int, denomination: bytes = NATIVE
    ) -> None:
        """Raise a balance."""
        if units:
            held = self.balance.get(ctx, account, denomination, 0)
            self.balance.set(ctx, account, denomination, held + units)

    @query
    def nonce(self, ctx: Context, args: AddressQuery) -> int:
        """Nonce of the next transaction of an account."""
        return self.nonces.get(ctx, args.address, 0)

    @query
    def balances(self, ctx: Context, args: AddressQuery) -> Balances:
        """All balances of an account."""
        return Balances(dict(self.balance.items(ctx, args.address)))

    @query
    def denomination_info(self, ctx: Context, args: Denomination) -> DenominationInfo:
        """Decimals of a kind of token."""
        if args.denomination != NATIVE and not self.supply.get(ctx, args.denomination, 0):
            raise RuntimeRejected(errors.ACCOUNTS, 5, "denomination not found")
        return DenominationInfo(DECIMALS)
