"""Public data for the tests of the data market, shared out as contributors would have it."""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from apps.data_market.arrays import Contribution, LabelledRows

LOADERS = {"breast_cancer": load_breast_cancer, "digits": load_digits}


def public_rows(name="digits", seed=0):
    """Training rows (70 %) and validation rows of a set that comes with scikit-learn."""
    features, labels = LOADERS[name](return_X_y=True)
    train, held, train_labels, held_labels = train_test_split(
        features.astype(np.float64),
        labels.astype(np.int64),
        test_size=0.3,
        random_state=seed,
        stratify=labels,
    )
    return LabelledRows(train, train_labels), LabelledRows(held, held_labels)


def shared_out(rows, count, prefix="c"):
    """As many contributors, each with an equal part of the rows."""
    return [
        Contribution(
            f"{prefix}{at:02}", LabelledRows(rows.features[at::count], rows.labels[at::count])
        )
        for at in range(count)
    ]


def with_flipped(one, share, classes, seed=0):
    """The same contributor with a share of his labels wrong."""
    rng = np.random.default_rng(seed)
    labels = one.rows.labels.copy()
    wrong = rng.choice(len(labels), int(share * len(labels)), replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return Contribution(one.name, LabelledRows(one.rows.features, labels))


def with_copies(one, times, jitter=0.0, scale=None, seed=0):
    """The same contributor, who hands in each of his rows `times` times."""
    rng = np.random.default_rng(seed)
    copies = np.concatenate([one.rows.features] * times)
    if jitter:
        fresh = slice(len(one.rows), None)
        copies[fresh] += rng.normal(0, jitter, copies[fresh].shape) * scale
    return Contribution(one.name, LabelledRows(copies, np.concatenate([one.rows.labels] * times)))
