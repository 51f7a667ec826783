"""The beacon: which epoch it is. Source: oasis-core go/beacon/api @ f9f1fdc, backend `insecure`."""

from dataclasses import dataclass

from shared.types.identity import Epoch


@dataclass(frozen=True, slots=True)
class EpochState:
    """Consensus state of the beacon, at `state_keys.EPOCH`."""

    epoch: Epoch
    start_ns: int
    """Consensus time at which the epoch began [ns]."""
