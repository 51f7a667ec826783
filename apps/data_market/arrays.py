"""The shapes that the market's parts hand to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Rows with a class each, in plain; they exist inside an enclave only."""

    features: Floats
    """One row a line, one feature a column; finite."""
    labels: Integers
    """The class of each row, from 0."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """The rows of one contributor."""

    name: str
    """Who is paid for them; unique in a job."""
    rows: LabelledRows
    """In the order of their commitment."""
