"""How blocks and time are made by dev controls: records of consensus state (ADR 0032)."""

from dataclasses import dataclass

from shared.types.identity import Round, RuntimeId

NO_ROUND = Round(0)
"""No scheduler proposes round 0: consensus makes it."""


@dataclass(frozen=True, slots=True)
class TimeShift:
    """Value at `state_keys.TIME_SHIFT`: how far consensus time was moved ahead of the clock."""

    shift_ns: int = 0


@dataclass(frozen=True, slots=True)
class Mining:
    """Value at `state_keys.mining_key`: when the schedulers of a ParaTime propose."""

    automine: bool = True
    """Whether a waiting transaction is proposed at once."""
    interval_ms: int | None = None
    """
    Time between rounds without such a reason [ms]; 0 for none at all.

    None is as the descriptor says with automine, and none at all without.
    """
    wanted: Round = NO_ROUND
    """Newest round that is to be proposed at once, whatever waits."""
    step_s: int = 0
    """Least that the timestamp of a round is ahead of the one before, where none was chosen [s]."""
    is_step_exact: bool | None = None
    """Whether a timestamp is the one before plus the step, whatever the time: exact replay."""
    next_timestamp: int | None = None
    """Timestamp of the next round that is mined or has transactions [Unix s]; None for the time."""


USUAL = Mining()
"""As long as dev controls have not said anything else."""

REPLAYED = Mining(interval_ms=0, step_s=1, is_step_exact=True)
"""Of a network with a seed: no round and no timestamp hangs on how fast anybody was (ADR 0040)."""


@dataclass(frozen=True, slots=True)
class MiningChanged:
    """A ParaTime's rounds are to be made in another way."""

    runtime_id: RuntimeId
    mining: Mining
