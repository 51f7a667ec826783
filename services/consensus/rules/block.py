"""
A block of consensus: misbehavior and time first, then its transactions, then what they decide.

    begin:         open a new incarnation after a rewind; punish proven misbehavior of validators;
                   begin the next epoch if its time came
    transactions:  authenticate, run the method; a failed one keeps only its fee and nonce
    end:           decide rounds, elect where it is due, pay out fees

A transaction fails by a rule that refuses it, and as well by a bug in one (ADR 0013). So does a
round, by a bug in its decision (ADR 0037).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.consensus.rules.context import BlockContext
from services.consensus.rules.epoch_change import advance_epoch, elect_between_epochs, is_epoch_over
from services.consensus.rules.incarnations import begin_incarnation
from services.consensus.rules.methods import apply_method
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.entities import FREEZE_FOREVER, freeze_node, load_status
from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.agreement import (
    decide_round,
    forget_votes,
    give_up_round,
)
from services.consensus.rules.roothash.penalties import CONSENSUS_EQUIVOCATION, LIGHT_CLIENT_ATTACK
from services.consensus.rules.staking.escrow import slash
from services.consensus.rules.staking.ledger import COMMON_POOL, disburse_fees, give
from services.consensus.rules.state import State
from services.consensus.rules.transactions import (
    OpenedTransaction,
    apply_authentication,
    gas_needed,
    verify_gas,
)
from shared.crypto.address import staking_address
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.registry import NodeDescriptor, RuntimeKind


class RuleFailed(Rejected, module="transaction", code=8):
    """
    A rule met a bug of its own in this transaction; its `__cause__` is what it raised.

    The text says nothing of the cause: results are the same on every validator, messages of Python
    need not be.
    """

    def __init__(self) -> None:
        super().__init__("a rule failed by a bug; the log of the consensus node has it")


MACHINE_FAULTS = (MemoryError, RecursionError)
"""What the machine lacks, and another one may have: no verdict about a transaction."""


def is_bug(error: BaseException) -> bool:
    """
    Say whether an exception shows a bug in the code, the same on every machine.

    A panic of a native library counts: PyO3 raises it beside `Exception`, like an interrupt.
    """
    is_panic = type(error).__name__ == "PanicException"
    return is_panic or (isinstance(error, Exception) and not isinstance(error, MACHINE_FAULTS))


@dataclass(frozen=True, slots=True)
class Offence:
    """What the engine has proven of a validator."""

    address: bytes
    """CometBFT address, 20 bytes."""
    is_light_client_attack: bool = False


@dataclass(frozen=True, slots=True)
class Executed:
    """A transaction that has a place in the block, whatever became of its method."""

    gas_wanted: int
    gas_used: int
    error: Rejected | None = None
    """Why the method was refused, or that it failed by a bug; None on success."""


def begin_block(state: State, context: BlockContext, offences: Iterable[Offence]) -> None:
    """Do what is due before the first transaction."""
    begin_incarnation(state, context)
    for offence in offences:
        punish_validator(state, offence)
    if is_epoch_over(state, context):
        advance_epoch(state, context)


def punish_validator(state: State, offence: Offence) -> None:
    """
    Slash the entity of a validator, and freeze its node for ever; a frozen one has paid.

    A validator that is no registered node, as those of genesis may be, has no stake to lose here.
    Source: oasis-core go/consensus/cometbft/apps/staking/slashing.go @ f9f1fdc.
    """
    node_id = state.load(bytes, state_keys.validator_owner_key(offence.address))
    node = None if node_id is None else state.load(NodeDescriptor, state_keys.node_key(node_id))
    if node is None or load_status(state, node.id).freeze_end == FREEZE_FOREVER:
        return
    reason = LIGHT_CLIENT_ATTACK if offence.is_light_client_attack else CONSENSUS_EQUIVOCATION
    penalty = load_parameters(state).staking.slashing.get(reason, 0)
    give(state, COMMON_POOL, slash(state, staking_address(node.entity_id), penalty, reason))
    freeze_node(state, node.id, FREEZE_FOREVER)


def execute_transaction(state: State, context: BlockContext, opened: OpenedTransaction) -> Executed:
    """
    Execute one transaction. What it changed is encoded as well: that may fail, too.

    Raises
    ------
    InvalidNonce, InsufficientBalance, GasLimitTooHigh, GasPriceTooLow
        It has no place in the block; nothing was changed.
    """
    apply_authentication(state, opened)
    needed = gas_needed(opened, load_parameters(state))
    used = min(needed, opened.fee.gas)
    try:
        verify_gas(opened, needed)
        with state.attempt():
            apply_method(state, context, opened.caller, opened.method, opened.transaction.body)
            state.encode()
    except Rejected as error:
        return Executed(opened.fee.gas, used, error)
    except BaseException as error:
        if not is_bug(error):
            raise
        failure = RuleFailed()
        failure.__cause__ = error
        return Executed(opened.fee.gas, used, failure)
    return Executed(opened.fee.gas, needed)


@dataclass(frozen=True, slots=True)
class RoundBroke:
    """A bug in the decision of a round, which failed for that."""

    runtime_id: bytes
    error: BaseException


def end_block(state: State, context: BlockContext) -> tuple[RoundBroke, ...]:
    """
    Do what follows from the transactions of the block and from its time.

    Returns
    -------
    broke : tuple of `RoundBroke`
        For the log. A bug in the decision of a round is that ParaTime's alone; one in anything
        else leaves this function, since what it should have kept is in nobody's hands (ADR 0037).
    """
    broke = tuple(
        RoundBroke(runtime.id, error)
        for runtime in list_runtimes(state, RuntimeKind.COMPUTE)
        for error in _end_round(state, context, runtime.id)
    )
    elect_between_epochs(state, context)
    disburse_fees(state, _proposer_entity(state, context))
    return broke


def _end_round(state: State, context: BlockContext, runtime_id: bytes) -> Iterator[BaseException]:
    """Decide a round, or else do less and less with it; gives the bugs that were met."""
    for step in (decide_round, give_up_round, forget_votes):
        try:
            with state.attempt():
                step(state, context, runtime_id)
                state.encode()
        except BaseException as error:
            # Also a refusal is a bug here: nobody asked.
            if not is_bug(error):
                raise
            yield error
        else:
            return


def _proposer_entity(state: State, context: BlockContext) -> bytes | None:
    node_id = state.load(bytes, state_keys.validator_owner_key(context.proposer))
    node = None if node_id is None else state.load(NodeDescriptor, state_keys.node_key(node_id))
    return None if node is None else staking_address(node.entity_id)
