"""The epoch that consensus is in, and the beacon value that elections draw from."""

from dataclasses import dataclass

from shared.types.identity import Epoch, Hash, Height


@dataclass(frozen=True, slots=True)
class EpochState:
    """Value at `state_keys.EPOCH`; changes only when an epoch begins."""

    epoch: Epoch
    start_height: Height
    """First block of the epoch."""
    start_time_ns: int
    """Consensus time from which the epoch's length counts [ns]."""
    entropy: Hash
    """
    Beacon value of the epoch. Insecure: anybody can compute it, and whoever writes blocks can
    choose it. It makes elections repeatable, not fair (ADR 0006).
    """
