"""
Our row values beside pyDVL's; run by `make oracle` in an environment of its own.

pyDVL wants an older numpy than the rest. Its values are floats, so a float twin of our recursion
must equal them to 1e-12, and our integers must equal the twin to one rounding a rank.
"""

import numpy as np
from pydvl.valuation.dataset import Dataset
from pydvl.valuation.methods.knn_shapley import KNNShapleyValuation
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.neighbors import KNeighborsClassifier

from apps.data_market.value.neighbours import neighbour_keys
from apps.data_market.value.quantize import Scale
from apps.data_market.value.shapley import UNIT, row_values

NEIGHBOURS = 5


def float_twin(train, train_labels, validation, validation_labels):
    """The recursion of `row_values`, with weights that are not rounded."""
    count = len(train)
    ranks = np.arange(1, count + 1)
    weights = np.minimum(NEIGHBOURS, ranks) / (ranks * NEIGHBOURS)
    values = np.zeros(count)
    for which, keys in neighbour_keys(train, validation):
        order = np.sort(keys, axis=1) % count
        is_right = (train_labels[order] == validation_labels[which, None]).astype(float)
        steps = is_right.copy()
        steps[:, :-1] -= is_right[:, 1:]
        found = np.cumsum((steps * weights)[:, ::-1], axis=1)[:, ::-1]
        for row_order, row in zip(order, found, strict=True):
            values[row_order] += row
    return values / len(validation)


def compare(name, features, labels, rows, validation_rows):
    chance = np.random.default_rng(0)
    order = chance.permutation(len(labels))[: rows + validation_rows]
    # Distances without ties: the two sides break them differently.
    features = features[order] + chance.normal(0, 0.05, (len(order), features.shape[1]))
    labels = labels[order].astype(np.int64)
    scale = Scale.of(features[rows:])
    train, validation = scale.quantized(features[:rows]), scale.quantized(features[rows:])
    valuation = KNNShapleyValuation(
        KNeighborsClassifier(NEIGHBOURS, algorithm="brute"),
        Dataset(validation.astype(float), labels[rows:]),
        progress=False,
    )
    theirs = np.asarray(valuation.fit(Dataset(train.astype(float), labels[:rows])).result.values)
    twin = float_twin(train, labels[:rows], validation, labels[rows:])
    ours = row_values(train, labels[:rows], validation, labels[rows:], NEIGHBOURS)
    from_theirs = float(np.abs(twin - theirs).max())
    from_twin = float(np.abs(ours / UNIT / validation_rows - twin).max())
    print(f"{name}: twin - pyDVL {from_theirs:.1e}, integers - twin {from_twin:.1e}")
    if from_theirs > 1e-12 or from_twin > rows / UNIT:
        raise SystemExit(f"{name}: values differ")


if __name__ == "__main__":
    compare("digits", *load_digits(return_X_y=True), 300, 200)
    compare("breast_cancer", *load_breast_cancer(return_X_y=True), 200, 171)
