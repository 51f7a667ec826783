"""The whole way from rows to pay, which every worker of a job goes alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.data_market.arrays import Contribution, Integers, LabelledRows
from apps.data_market.errors import BadJob, TooLarge
from apps.data_market.limits import MAX_CONTRIBUTORS, MAX_NEIGHBOURS, MAX_VALIDATION_ROWS
from apps.data_market.value.banzhaf import MAX_PLAYERS, contributor_values
from apps.data_market.value.duplicates import duplicate_threshold, first_of_each
from apps.data_market.value.neighbours import check_sizes
from apps.data_market.value.quantize import Scale
from apps.data_market.value.shapley import NEIGHBOURS, row_values
from apps.data_market.value.split import pay_weights, split_pot
from shared.crypto.hashes import tuple_hash256

VALUE_CONTEXT = b"qanat/data-market: values"


@dataclass(frozen=True, slots=True)
class Valuation:
    """What each contributor's rows are worth, in the order of the contributions."""

    names: tuple[str, ...]
    shapley: tuple[int, ...]
    """Sum of his rows' values [2^-40 validation rows]."""
    banzhaf: tuple[int, ...] | None
    """His Banzhaf value times 2^(n-1) K m; none of more than twelve contributors."""
    rows_used: tuple[int, ...]
    rows_dropped: tuple[int, ...]
    """Copies of earlier rows."""

    @property
    def weights(self) -> tuple[int, ...]:
        """What pay is proportional to."""
        return pay_weights(self.shapley, self.banzhaf)

    @property
    def value_hash(self) -> bytes:
        """What workers must agree on before anybody is paid, 32 bytes."""
        columns = [self.shapley, self.banzhaf or (), self.rows_used, self.rows_dropped]
        texts = [",".join(map(str, column)).encode() for column in columns]
        return tuple_hash256(VALUE_CONTEXT, *[name.encode() for name in self.names], *texts)

    def pays(self, pot_wei: int) -> dict[str, int]:
        """Split a pot [wei] by value; the sum is the pot. Raises `NothingOfValue`."""
        return dict(zip(self.names, split_pot(pot_wei, self.weights), strict=True))


def value_contributions(
    contributions: Sequence[Contribution],
    validation: LabelledRows,
    neighbours: int = NEIGHBOURS,
) -> Valuation:
    """
    Value contributions against a validation set.

    Parameters
    ----------
    contributions : `Sequence[Contribution]`
        In the order of their commitments: of two equal rows the earlier one counts.
    validation : `LabelledRows`
        The model owner's, committed before any data was opened.
    neighbours : `int`
        K of the nearest-neighbour game.

    Returns
    -------
    valuation : `Valuation`
        Integers only, equal on every worker.

    Raises
    ------
    BadJob, BadTable, TooLarge
        Names twice, nothing to value or to value by, or too much of it.
    """
    _check(contributions, validation, neighbours)
    scale = Scale.of(validation.features)
    measured = scale.quantized(validation.features)
    rows = np.concatenate([scale.quantized(one.rows.features) for one in contributions])
    labels = np.concatenate([one.rows.labels for one in contributions])
    sizes = [len(one.rows) for one in contributions]
    owners = np.repeat(np.arange(len(contributions)), sizes)
    is_kept = first_of_each(rows, duplicate_threshold(measured, len(rows)))
    kept, kept_labels, kept_owners = rows[is_kept], labels[is_kept], owners[is_kept]
    by_row = row_values(kept, kept_labels, measured, validation.labels, neighbours)
    banzhaf = None
    if len(contributions) <= MAX_PLAYERS:
        found = contributor_values(
            kept, kept_labels, kept_owners, measured, validation.labels, neighbours
        )
        # Whoever comes last and has nothing left is no player.
        banzhaf = (*found, *[0] * (len(contributions) - len(found)))
    used = np.bincount(kept_owners, minlength=len(contributions))
    return Valuation(
        names=tuple(one.name for one in contributions),
        shapley=_sums(by_row, kept_owners, len(contributions)),
        banzhaf=banzhaf,
        rows_used=tuple(int(count) for count in used),
        rows_dropped=tuple(size - int(count) for size, count in zip(sizes, used, strict=True)),
    )


def _sums(values: Integers, owners: Integers, count: int) -> tuple[int, ...]:
    # Not by bincount: its weights are floats.
    return tuple(int(values[owners == owner].sum()) for owner in range(count))


def _check(
    contributions: Sequence[Contribution], validation: LabelledRows, neighbours: int
) -> None:
    if not 1 <= neighbours <= MAX_NEIGHBOURS:
        raise BadJob(f"{neighbours} neighbours: 1 to {MAX_NEIGHBOURS}")
    names = [one.name for one in contributions]
    if not names or len(set(names)) != len(names):
        raise BadJob("a job has contributors, each with a name of his own")
    if len(names) > MAX_CONTRIBUTORS:
        raise TooLarge(f"{len(names)} contributors: at most {MAX_CONTRIBUTORS}")
    if len(validation) > MAX_VALIDATION_ROWS:
        raise TooLarge(f"{len(validation)} validation rows: at most {MAX_VALIDATION_ROWS}")
    columns = {one.rows.features.shape[1] for one in contributions}
    if columns != {validation.features.shape[1]}:
        raise BadJob("every table of a job has the same features")
    total = sum(len(one.rows) for one in contributions)
    if not total:
        raise BadJob("the contributors have no rows")
    check_sizes(total, validation.features.shape[1])
