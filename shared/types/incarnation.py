"""Lives of the chain, as consensus state counts them (ADR 0014)."""

from dataclasses import dataclass, field

from shared.types.identity import Height, Incarnation


@dataclass(frozen=True, slots=True)
class IncarnationStart:
    """Where a life of the chain left the one before: the last that both have."""

    incarnation: Incarnation
    height: Height
    rounds: dict[bytes, int] = field(default_factory=dict)
    """Newest finalized round by ParaTime."""
    secrets: dict[bytes, int] = field(default_factory=dict)
    """Newest epoch with a published ephemeral secret, by key manager that had published one."""


@dataclass(frozen=True, slots=True)
class IncarnationState:
    """
    Value at `state_keys.INCARNATION`.

    Rises only; what an older life has beyond a start is void in this one.
    """

    incarnation: Incarnation
    starts: tuple[IncarnationStart, ...]
    """
    Oldest first, at most `shared.rules.incarnations.MAX_STARTS`.

    A start that a later one undercuts is left out: who missed both lives needs the lower one.
    """
