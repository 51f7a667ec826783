"""
What ParaTimes ask of consensus: done when their round is final, with their account's tokens.

Source: oasis-core go/consensus/cometbft/apps/roothash/messages.go @ f9f1fdc.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.staking.escrow import (
    apply_add_escrow,
    apply_reclaim_escrow,
    verify_stake,
)
from services.consensus.rules.staking.ledger import apply_transfer, apply_withdraw, load_account
from services.consensus.rules.state import State
from shared.crypto.address import runtime_address
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.messages import (
    AddEscrowMessage,
    Body,
    Inbox,
    MessageResult,
    Payout,
    ReclaimEscrowMessage,
    TransferMessage,
    WithdrawMessage,
)


def execute_messages(
    state: State, runtime_id: bytes, messages: tuple[Body, ...]
) -> tuple[MessageResult, ...]:
    """Do what a round asks, one after the other; what is refused changes nothing, and says why."""
    address = runtime_address(runtime_id)
    return tuple(_attempt(state, address, message) for message in messages)


def _attempt(state: State, address: bytes, message: Body) -> MessageResult:
    try:
        with state.attempt():
            return _execute(state, address, message)
    except Rejected as error:
        return MessageResult(error.module, error.code)


def _execute(state: State, address: bytes, message: Body) -> MessageResult:
    match message:
        case TransferMessage(to=to, amount=amount):
            apply_transfer(state, address, to, amount)
            return MessageResult()
        case WithdrawMessage(owner=owner, amount=amount):
            apply_withdraw(state, address, owner, amount)
            return MessageResult()
        case AddEscrowMessage(account=account, amount=amount):
            return MessageResult(shares=apply_add_escrow(state, address, account, amount))
        case ReclaimEscrowMessage(account=account, shares=shares):
            staking = load_parameters(state).staking
            end = load_epoch(state).epoch + staking.debonding_interval
            bought = apply_reclaim_escrow(state, address, account, shares, end_epoch=end)
            verify_stake(load_account(state, account), staking.thresholds)
            return MessageResult(shares=bought, epoch=end)
        case _:
            assert_never(message)


def load_inbox(state: State, runtime_id: bytes) -> Inbox:
    """Give what the next round of a ParaTime begins with."""
    return state.load(Inbox, state_keys.inbox_key(runtime_id)) or Inbox()


def save_inbox(state: State, runtime_id: bytes, inbox: Inbox) -> None:
    """Put an inbox in the place of the one before."""
    key, before = state_keys.inbox_key(runtime_id), load_inbox(state, runtime_id)
    if inbox == before:
        return
    if inbox == Inbox():
        state.remove(key)
    else:
        state.save(key, inbox)


def add_payouts(state: State, runtime_id: bytes, payouts: Iterable[Payout]) -> None:
    """Add stake that came back to what the next round begins with."""
    inbox = load_inbox(state, runtime_id)
    save_inbox(state, runtime_id, replace(inbox, payouts=(*inbox.payouts, *payouts)))
