"""
Lives of the chain: what the first block after a rewind changes (ADR 0014).

The engine counts rewinds; each block says in which life it was made. Nothing that was signed in an
earlier one counts in this one, so whatever was open when it began is opened anew.
"""

from services.consensus.rules.context import BlockContext
from services.consensus.rules.registry.runtimes import list_runtimes
from services.consensus.rules.roothash.round_state import RoundState
from services.consensus.rules.roothash.rounds import load_last_block
from services.consensus.rules.state import State
from shared.rules import state_keys
from shared.rules.incarnations import FIRST_LIFE, with_start
from shared.types.identity import Height
from shared.types.incarnation import IncarnationStart, IncarnationState
from shared.types.keymanager import SignedPublishedSecret
from shared.types.registry import RuntimeKind


def load_incarnation(state: State) -> IncarnationState:
    """Give the life of the chain in which the state's block was made."""
    return state.load(IncarnationState, state_keys.INCARNATION) or FIRST_LIFE


def begin_incarnation(state: State, context: BlockContext) -> None:
    """
    Where the block begins a new life, write it down and empty the open rounds.

    Votes of the life before would else stand against those of the same nodes in this one.
    """
    known = load_incarnation(state)
    if context.incarnation == known.incarnation:
        return
    start = IncarnationStart(
        context.incarnation, Height(context.height - 1), _newest_rounds(state), _secrets(state)
    )
    state.save(state_keys.INCARNATION, with_start(known, start))
    for runtime in list_runtimes(state, RuntimeKind.COMPUTE):
        key = state_keys.round_state_key(runtime.id)
        if state.load(RoundState, key) is not None:
            state.save(key, RoundState())


def _newest_rounds(state: State) -> dict[bytes, int]:
    compute = list_runtimes(state, RuntimeKind.COMPUTE)
    return {runtime.id: load_last_block(state, runtime.id).round for runtime in compute}


def _secrets(state: State) -> dict[bytes, int]:
    published = {
        manager.id: state.load(SignedPublishedSecret, state_keys.ephemeral_secret_key(manager.id))
        for manager in list_runtimes(state, RuntimeKind.KEY_MANAGER)
    }
    return {id_: one.secret.epoch for id_, one in published.items() if one is not None}
