"""From values to money: whole weights, and a split that loses no wei."""

from collections.abc import Sequence

from apps.data_market.errors import BadJob, NothingOfValue

CAP_NUMERATOR, CAP_DENOMINATOR = 5, 4
"""Nobody weighs more than 1.25 times his Banzhaf share. Source: spec/ai.md 1.4."""


def pay_weights(shapley: Sequence[int], banzhaf: Sequence[int] | None) -> tuple[int, ...]:
    """
    Weigh contributors by their Shapley share, up to a cap.

    The cap is 1.25 times the Banzhaf share, and at least a quarter of an equal share: a cap is
    against copies, and rows of which some labels are wrong are not copies. A value below zero
    counts as zero. Weights have no unit: both shares are brought to one denominator, which no
    rounding touches.
    """
    values = [max(0, value) for value in shapley]
    caps = [max(0, value) for value in banzhaf or ()]
    all_values, all_caps, players = sum(values), sum(caps), len(values)
    if not all_caps:
        return tuple(values)
    # Shares times 4 * players * all_values * all_caps.
    return tuple(
        min(
            CAP_DENOMINATOR * players * value * all_caps,
            max(CAP_NUMERATOR * players * cap * all_values, all_values * all_caps),
        )
        for value, cap in zip(values, caps, strict=True)
    )


def split_pot(pot_wei: int, weights: Sequence[int]) -> tuple[int, ...]:
    """
    Split a pot by weights to the last wei, by largest remainder.

    Parameters
    ----------
    pot_wei : `int`
        What is shared [wei], not negative.
    weights : `Sequence[int]`
        Not negative; of equal remainders the earlier one gets the wei.

    Returns
    -------
    pays : `tuple[int, ...]`
        One part a weight [wei]; their sum is the pot.

    Raises
    ------
    BadJob
        A negative pot or weight.
    NothingOfValue
        Every weight is zero.
    """
    if pot_wei < 0 or any(weight < 0 for weight in weights):
        raise BadJob("a pot and its weights are not negative")
    whole = sum(weights)
    if not whole:
        raise NothingOfValue("no contributor's rows help: the pot stays with its owner")
    parts = [divmod(pot_wei * weight, whole) for weight in weights]
    pays = [quotient for quotient, _ in parts]
    missing = pot_wei - sum(pays)
    by_remainder = sorted(range(len(parts)), key=lambda at: (-parts[at][1], at))
    for at in by_remainder[:missing]:
        pays[at] += 1
    return tuple(pays)
