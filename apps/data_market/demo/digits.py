"""Twelve contributors of handwritten digits, two of whom are careless with labels."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from apps.data_market.arrays import Floats, Integers

LABEL = "digit"
NAMES = (
    *("ana", "ben", "cem", "dua", "eli", "fay"),
    *("gus", "hoa", "ivo", "jun", "kai", "lea"),
)
SHARE_WRONG = {"ben": 0.5, "cem": 0.25}
"""Of their labels, how many are wrong."""
VALIDATION_ROWS = 540


@dataclass(frozen=True, slots=True)
class JobFiles:
    """CSV files of a job, as their owners have them."""

    label: str
    validation: bytes
    contributors: Mapping[str, bytes]


def digits_files(seed: int = 0) -> JobFiles:
    """Share out scikit-learn's 1,797 digits: 540 validate, the others are contributed."""
    features, labels = load_digits(return_X_y=True)
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(labels))
    held, rest = order[:VALIDATION_ROWS], order[VALIDATION_ROWS:]
    contributors = {}
    for at, name in enumerate(NAMES):
        own = rest[at :: len(NAMES)]
        own_labels = labels[own].copy()
        wrong = chance.choice(len(own), int(SHARE_WRONG.get(name, 0.0) * len(own)), replace=False)
        own_labels[wrong] = (own_labels[wrong] + chance.integers(1, 10, len(wrong))) % 10
        contributors[name] = _as_csv(features[own], own_labels)
    return JobFiles(LABEL, _as_csv(features[held], labels[held]), contributors)


def _as_csv(features: Floats, labels: Integers) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow([*(f"pixel{at}" for at in range(features.shape[1])), LABEL])
    for row, label in zip(features.tolist(), labels.tolist(), strict=True):
        lines.writerow([*(f"{cell:g}" for cell in row), label])
    return text.getvalue().encode()
