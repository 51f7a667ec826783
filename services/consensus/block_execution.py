"""One block on top of the committed state: what it makes, and what becomes of its transactions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from services.consensus.abci import (
    Block,
    BlockResult,
    Misbehavior,
    MisbehaviorKind,
    TxResult,
)
from services.consensus.block_events import collect_events
from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.block import (
    Executed,
    Offence,
    RuleFailed,
    begin_block,
    end_block,
    execute_transaction,
)
from services.consensus.rules.context import BlockContext
from services.consensus.rules.events import Event
from services.consensus.rules.parameters import Parameters, load_parameters
from services.consensus.rules.state import State
from services.consensus.rules.transactions import OpenedTransaction
from shared.api.consensus import BlockEvents, FinalizedRound
from shared.crypto.hashes import sha256
from shared.crypto.state_tree import StateTree
from shared.errors import Rejected

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Execution:
    """What a block makes of the committed state."""

    key: tuple[object, ...]
    transactions: tuple[bytes, ...]
    """Those of the block without the one that carries the root."""
    tree: StateTree
    records: dict[bytes, object | None]
    changes: dict[bytes, bytes | None]
    results: tuple[TxResult, ...]
    events: BlockEvents
    finalized: tuple[FinalizedRound, ...]

    def result(self) -> BlockResult:
        """What an engine is told; the transaction with the root has a result as well."""
        return BlockResult(self.tree.root, (*self.results, TxResult(0)))


def execute_block(
    block: Block,
    candidates: Iterable[bytes],
    state: State,
    context: BlockContext,
    *,
    tree: StateTree,
    open_transaction: Callable[[bytes, Parameters], OpenedTransaction],
    happened: tuple[Event, ...],
    must_fit: bool,
) -> Execution:
    """
    Execute candidates on top of a state.

    Parameters
    ----------
    block : `Block`
        Everything of it but its transactions.
    candidates : iterable
        Raw transactions. One that has no place is left out, or raises where all `must_fit`.
    state : `State`
        Over the committed state; holds the changes afterwards.
    context : `BlockContext`
        Of this block.
    tree : `StateTree`
        The committed state.
    open_transaction : callable
        Verifies a transaction's signature, or raises `Rejected`.
    happened : tuple of `Event`
        What the block tells beside its own events: those of genesis, at the first.
    must_fit : `bool`
        Whether the block is decided or proposed, not still to be made.

    Raises
    ------
    Rejected
        A transaction has no place, and all `must_fit`.
    """
    begin_block(state, context, map(_offence_of, block.misbehavior))
    parameters = load_parameters(state)
    included: list[bytes] = []
    results: list[TxResult] = []
    for tx in candidates:
        try:
            opened = open_transaction(tx, parameters)
            executed = execute_transaction(state, context, opened)
        except Rejected:
            if must_fit:
                raise
            continue
        if isinstance(executed.error, RuleFailed):
            log.error(
                "transaction_failed_by_a_bug",
                tx_hash=sha256(tx).hex(),
                method=opened.method,
                height=block.height,
                exc_info=executed.error.__cause__,
            )
        included.append(tx)
        results.append(_result_of(executed))
    for broke in end_block(state, context):
        log.error(
            "round_failed_by_a_bug",
            runtime_id=broke.runtime_id.hex(),
            height=block.height,
            exc_info=broke.error,
        )
    changes = state.changes()
    events = collect_events(happened + state.events, context, load_epoch(state).epoch)
    return Execution(
        key=key_of(block, tuple(included)),
        transactions=tuple(included),
        tree=tree.with_changes(changes),
        records=state.records(),
        changes=changes,
        results=tuple(results),
        events=events,
        finalized=events.finalized,
    )


def key_of(block: Block, transactions: tuple[bytes, ...]) -> tuple[object, ...]:
    """Everything that the outcome of a block depends on beside the committed state."""
    return block.height, block.time_ns, block.proposer, block.misbehavior, transactions


def _offence_of(misbehavior: Misbehavior) -> Offence:
    is_attack = misbehavior.kind is MisbehaviorKind.LIGHT_CLIENT_ATTACK
    return Offence(misbehavior.address, is_attack)


def _result_of(executed: Executed) -> TxResult:
    if executed.error is not None:
        return refusal_of(executed.error, executed.gas_wanted, executed.gas_used)
    return TxResult(0, gas_wanted=executed.gas_wanted, gas_used=executed.gas_used)


def refusal_of(error: Rejected, gas_wanted: int = 0, gas_used: int = 0) -> TxResult:
    """Give the result of a transaction that was refused."""
    return TxResult(
        error.code,
        gas_wanted=gas_wanted,
        gas_used=gas_used,
        log=error.message,
        codespace=error.module,
    )
