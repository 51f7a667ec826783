"""
What an epoch brings: the order in which the modules hear of it, and elections in between.

Source: oasis-core go/consensus/cometbft/apps/*, handlers of epoch changes @ f9f1fdc. Differs: one
list in place of a message bus; liveness is judged before the election that it bears on; a runtime
without a committee gets one as soon as enough nodes are there, and newcomers join it (ADR 0006).
"""

from services.consensus.rules.beacon.elections import elect_committee, is_pool_full
from services.consensus.rules.beacon.epoch import begin_next_epoch, epoch_end_ns
from services.consensus.rules.context import BlockContext
from services.consensus.rules.events import NodeFrozen, NodeRegistered
from services.consensus.rules.keymanager.status import refresh_status
from services.consensus.rules.registry.nodes import expire_nodes
from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.evidence import forget_old_evidence
from services.consensus.rules.roothash.liveness import judge_liveness
from services.consensus.rules.roothash.messages import add_payouts
from services.consensus.rules.roothash.rounds import begin_committee
from services.consensus.rules.staking.escrow import pay_debonded
from services.consensus.rules.state import State
from shared.api.consensus import Slashed
from shared.crypto.address import runtime_address
from shared.rules import state_keys
from shared.types.registry import Committee, RuntimeKind


def is_epoch_over(state: State, context: BlockContext) -> bool:
    """Say whether consensus time has passed the end of the epoch."""
    return context.time_ns >= epoch_end_ns(state)


def advance_epoch(state: State, context: BlockContext) -> None:
    """Begin the next epoch, with all that hangs on it."""
    compute = list_runtimes(state, RuntimeKind.COMPUTE)
    epoch = begin_next_epoch(state, context)
    for runtime in compute:
        judge_liveness(state, runtime.id)
        forget_old_evidence(state, runtime.id)
    debonded = pay_debonded(state, epoch)
    for runtime in compute:
        address = runtime_address(runtime.id)
        own = [one.payout for one in debonded if one.delegator == address]
        if own:
            # Before the committee begins: the block that says so carries them.
            add_payouts(state, runtime.id, own)
    expire_nodes(state, epoch)
    for manager in list_runtimes(state, RuntimeKind.KEY_MANAGER):
        refresh_status(state, context, manager.id, is_epoch_start=True)
    for runtime in compute:
        begin_committee(state, context, runtime, elect_committee(state, context, runtime))


def elect_between_epochs(state: State, context: BlockContext) -> None:
    """
    At the end of a block: elect where there is no committee, or where it may be another now.

    That is so after a slash or a freeze, and when a newcomer registers: the nodes of a network that
    starts arrive one by one, and none should have to wait for the next epoch. The same lots are
    drawn as at the start of the epoch, so who stays eligible keeps its order.
    """
    registered = [event for event in state.events if isinstance(event, NodeRegistered)]
    may_change = any(event.is_newcomer for event in registered) or any(
        isinstance(event, Slashed | NodeFrozen) for event in state.events
    )
    if not registered and not may_change:
        return
    for runtime in list_runtimes(state, RuntimeKind.COMPUTE):
        before = state.load(Committee, state_keys.committee_key(runtime.id))
        if before is None and not is_pool_full(state, context, runtime):
            continue
        if before is None or may_change:
            after = elect_committee(state, context, runtime)
            if after != before:
                begin_committee(state, context, runtime, after)
