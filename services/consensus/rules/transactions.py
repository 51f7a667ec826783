"""
Transactions before their method runs: form, signature, nonce, fee, gas.

Source: oasis-core go/consensus/api/transaction/{transaction,gas}.go and
go/consensus/cometbft/apps/staking/auth.go @ f9f1fdc.
"""

from dataclasses import dataclass, replace

from services.consensus.rules.context import Caller, caller_of
from services.consensus.rules.parameters import Parameters, load_parameters
from services.consensus.rules.staking.ledger import (
    FEE_ACCUMULATOR,
    InsufficientBalance,
    give,
    load_account,
    save_account,
)
from services.consensus.rules.state import State
from shared.api.consensus import InvalidNonce
from shared.crypto.signing import verify_signature
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules.fees import gas_of
from shared.types.genesis import ConsensusParameters
from shared.types.methods import Method
from shared.types.transaction import CONSENSUS_TRANSACTION, Fee, SignedTransaction, Transaction

NO_FEE = Fee(0, 0)


class TransactionTooLarge(Rejected, module="transaction", code=1):
    """The transaction is over the limit that genesis sets."""


class UnknownMethod(Rejected, module="transaction", code=2):
    """The application has no such method."""


class GasPriceTooLow(Rejected, module="transaction", code=4):
    """The fee offers less for a unit of gas than consensus asks."""


class OutOfGas(Rejected, module="transaction", code=5):
    """The fee's gas does not cover what the transaction uses."""

    def __init__(self, limit: int, needed: int) -> None:
        super().__init__(f"gas limit {limit}, needed {needed}")
        self.limit, self.needed = limit, needed


class GasLimitTooHigh(Rejected, module="transaction", code=7):
    """The fee asks for more gas than genesis lets any transaction use."""


@dataclass(frozen=True, slots=True)
class OpenedTransaction:
    """A transaction whose form and signature were verified; what is in it may still be refused."""

    caller: Caller
    method: Method
    transaction: Transaction
    size_bytes: int

    @property
    def fee(self) -> Fee:
        """What the sender offers."""
        return self.transaction.fee or NO_FEE


def open_transaction(
    untrusted: bytes, chain_context: str, parameters: ConsensusParameters
) -> OpenedTransaction:
    """
    Decode a transaction and verify its signature. Depends on no state, so the outcome may be kept.

    Raises
    ------
    TransactionTooLarge, MalformedCbor, MalformedRecord, BadSignature, UnknownMethod
        See each class.
    """
    if len(untrusted) > parameters.max_tx_bytes:
        raise TransactionTooLarge(f"{len(untrusted)} bytes, at most {parameters.max_tx_bytes}")
    signed = decode_record(SignedTransaction, untrusted)
    endorsed = signed.signature
    context = CONSENSUS_TRANSACTION.for_chain(chain_context)
    verify_signature(endorsed.public_key, context, signed.untrusted_raw_value, endorsed.signature)
    transaction = decode_record(Transaction, signed.untrusted_raw_value)
    try:
        method = Method(transaction.method)
    except ValueError:
        raise UnknownMethod(f"there is no method {transaction.method!r}") from None
    return OpenedTransaction(caller_of(endorsed.public_key), method, transaction, len(untrusted))


def verify_admission(state: State, opened: OpenedTransaction, next_nonce: int) -> None:
    """
    Verify that a transaction may enter a block: nonce, balance for the fee, price of gas.

    Raises
    ------
    InvalidNonce, InsufficientBalance, GasLimitTooHigh, GasPriceTooLow
        See each class.
    """
    if opened.transaction.nonce != next_nonce:
        raise InvalidNonce(opened.transaction.nonce, next_nonce)
    fee, rules = opened.fee, load_parameters(state).consensus
    if fee.gas > rules.max_tx_gas:
        raise GasLimitTooHigh(f"gas limit {fee.gas}, at most {rules.max_tx_gas}")
    price = fee.amount // fee.gas if fee.gas else 0
    if price < rules.min_gas_price:
        raise GasPriceTooLow(f"gas price {price}, at least {rules.min_gas_price}")
    balance = load_account(state, opened.caller.address).balance
    if balance < fee.amount:
        raise InsufficientBalance(balance, fee.amount)


def apply_authentication(state: State, opened: OpenedTransaction) -> None:
    """
    Admit a transaction: its fee moves and its nonce is used, whatever becomes of its method.

    Raises
    ------
    InvalidNonce, InsufficientBalance, GasLimitTooHigh, GasPriceTooLow
        The transaction has no place in the block at all.
    """
    account = load_account(state, opened.caller.address)
    verify_admission(state, opened, account.nonce)
    charged = replace(account, balance=account.balance - opened.fee.amount, nonce=account.nonce + 1)
    save_account(state, opened.caller.address, charged)
    give(state, FEE_ACCUMULATOR, opened.fee.amount)


def gas_needed(opened: OpenedTransaction, parameters: Parameters) -> int:
    """Gas that a transaction uses: for its size, and for its method."""
    return gas_of(parameters.consensus, opened.method, opened.size_bytes)


def verify_gas(opened: OpenedTransaction, needed: int) -> None:
    """Verify that the fee's gas suffices, or raise `OutOfGas`; unused gas is not given back."""
    if needed > opened.fee.gas:
        raise OutOfGas(opened.fee.gas, needed)
