"""
How a node follows its ParaTime, as a table: what it knows, and what is missing here.

Beside the round (`rules.round`), which begins anew with each block, this goes on for the life of
the node. Each state holds only what is known in it. A round counts as here when its transactions,
results and state are: published by the host, and taken up by the enclave.
"""

from dataclasses import dataclass

from shared.types.block import BlockHeader
from shared.types.identity import Round


class IllegalStep(AssertionError):
    """The node tried to go where the table does not lead: a bug."""


@dataclass(frozen=True, slots=True)
class Unaware:
    """Nothing of the chain is known yet, or it is in another life."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Something up to `head` is missing, or the enclave has not said yet that nothing is."""

    head: BlockHeader
    """Newest finalized round."""


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """What is missing up to `head` is being fetched from peers."""

    head: BlockHeader


@dataclass(frozen=True, slots=True)
class Level:
    """Everything up to `head` is here: the node may take part in the round after it."""

    head: BlockHeader


Following = Unaware | Behind | CatchingUp | Level

ALLOWED: dict[type, tuple[type, ...]] = {
    Unaware: (Behind,),
    Behind: (Behind, CatchingUp, Level),
    CatchingUp: (CatchingUp, Level),
    Level: (Level, Behind, CatchingUp),
}
"""
Steps within one life of the chain. The head never goes back.

`Level` leads to `CatchingUp` when the enclave turns out to lack what the host has settled.
"""


def step(now: Following, following: Following) -> Following:
    """
    Go from one state to the next.

    Raises
    ------
    IllegalStep
        The table does not allow it, or the head would go back.
    """
    if type(following) not in ALLOWED[type(now)]:
        raise IllegalStep(f"from {type(now).__name__} to {type(following).__name__}")
    if (
        not isinstance(now, Unaware)
        and not isinstance(following, Unaware)
        and following.head.round < now.head.round
    ):
        raise IllegalStep(f"from round {now.head.round} back to {following.head.round}")
    return following


def see_head(now: Following, head: BlockHeader, *, is_settled: bool) -> Following:
    """
    Take note of a newer finalized round.

    `is_settled` says that the node had executed every round up to it, so that its host has them;
    that the enclave has them too is then only a matter of its word.
    """
    match now:
        case Level() if is_settled:
            return step(now, Level(head))
        case CatchingUp():
            return step(now, CatchingUp(head))
        case _:
            return step(now, Behind(head))


def hear_enclave(now: Following, *, head: Round, is_level: bool, next_round: Round) -> Following:
    """
    Take note of where the enclave stands.

    Parameters
    ----------
    head : `Round`
        Newest round that the enclave has seen proven.
    is_level : `bool`
        Whether it holds the state of that round.
    next_round : `Round`
        First round that the host has not published.
    """
    if isinstance(now, Unaware) or head < now.head.round:
        # The answer to an older proof; the one to the newest is on its way.
        return now
    if is_level and next_round > head:
        return step(now, Level(now.head))
    return step(now, CatchingUp(now.head))
