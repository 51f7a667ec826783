"""
Epochs, and the beacon value that elections draw from.

Source: oasis-core go/consensus/cometbft/apps/beacon/backend_insecure.go @ f9f1fdc. Differs: epochs
are spans of consensus time, since blocks come on demand (ADR 0002), and the value is a hash chain
from the chain context on. It is INSECURE: everybody can compute all elections to come (ADR 0006).
"""

from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.events import EpochBegan
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.state import State
from shared.crypto.hashes import tuple_hash256
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.identity import Epoch, Height

NS_PER_MS = 1_000_000
ENTROPY = b"qanat/beacon: insecure entropy"
KEPT_EPOCH_STARTS = 64
"""Past epochs whose first height is known [epochs]; bounds the age of attestations as well."""


class NotDevControl(Rejected, module="beacon", code=1):
    """The sender is not the network's dev control key, or the network has none."""


def load_epoch(state: State) -> EpochState:
    """Give the epoch; genesis wrote the first."""
    return state.load_required(EpochState, state_keys.EPOCH)


def begin_first_epoch(state: State, context: BlockContext, epoch: int) -> None:
    """Begin the epoch of genesis."""
    _save(state, EpochState(Epoch(epoch), Height(context.height), context.time_ns, bytes(32)))


def begin_next_epoch(state: State, context: BlockContext) -> Epoch:
    """
    Begin the epoch after the one that is; the caller applies what an epoch brings.

    Epochs follow each other without gaps as long as blocks come in time. After a jump of time,
    longer than an epoch, the next one begins at the block: time travel costs one epoch, not
    thousands.
    """
    last = load_epoch(state)
    interval_ns = load_parameters(state).beacon.epoch_interval_ms * NS_PER_MS
    due_ns = last.start_time_ns + interval_ns
    in_time = due_ns <= context.time_ns < due_ns + interval_ns
    epoch = Epoch(last.epoch + 1)
    begun = EpochState(
        epoch,
        Height(context.height),
        due_ns if in_time else context.time_ns,
        tuple_hash256(
            ENTROPY, context.chain_context.encode(), epoch.to_bytes(8, "big"), last.entropy
        ),
    )
    _save(state, begun)
    if epoch > KEPT_EPOCH_STARTS:
        state.remove(state_keys.epoch_start_key(epoch - KEPT_EPOCH_STARTS - 1))
    state.emit(EpochBegan(epoch))
    return epoch


def _save(state: State, begun: EpochState) -> None:
    state.save(state_keys.EPOCH, begun)
    state.save(state_keys.epoch_start_key(begun.epoch), begun)


def epoch_end_ns(state: State) -> int:
    """Consensus time at which the epoch ends by itself [ns]."""
    interval_ms = load_parameters(state).beacon.epoch_interval_ms
    return load_epoch(state).start_time_ns + interval_ms * NS_PER_MS


def oldest_fresh_height(state: State, max_age_epochs: int) -> int:
    """First height that an attestation of the largest age [epochs] may name."""
    oldest = load_epoch(state).epoch - max_age_epochs
    begun = state.load(EpochState, state_keys.epoch_start_key(oldest)) if oldest >= 0 else None
    # Before the first epoch nothing is too old.
    return 0 if begun is None else begun.start_height


def verify_dev_control(state: State, caller: Caller) -> None:
    """Verify that the caller may move epochs and time, or raise `NotDevControl`."""
    key = load_parameters(state).dev_control_key
    if key is None or caller.public_key != key:
        raise NotDevControl("only the network's dev control key may do this")
