"""
A model as its owner gets it: numbers in JSON, which loading cannot turn into code.

Nothing in it is a row: the scale is that of the owner's own validation set, the weights are what
the recipe's budget paid for.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import orjson

from apps.data_market.arrays import Floats, Integers
from apps.data_market.errors import BadModel
from apps.data_market.limits import MAX_CLASSES, MAX_FEATURES
from apps.data_market.train.logreg import GRID, LARGEST_WEIGHT, extended
from apps.data_market.value.quantize import Scale
from shared.crypto.hashes import sha512_256

FORMAT = "qanat/linear-model/1"
MAX_BYTES = 16 << 20
"""Longest document that is read: 1,025 lines of 256 weights, and names."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """A linear classifier with the scale of its features."""

    recipe: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    """What the labels were called, by class."""
    scale: Scale
    weights: Floats
    """(features + 1) x classes, on the grid; the last line is the intercept."""

    def predicted(self, features: Floats) -> Integers:
        """Most likely class of each row (n x features, as in the tables)."""
        scores = extended(self.scale.standardized(features)) @ self.weights
        found: Integers = scores.argmax(axis=1).astype(np.int64)
        return found

    def encode(self) -> bytes:
        """Write the model; equal models are equal bytes."""
        document = {
            "classes": self.classes,
            "deviation": [
                None if math.isinf(one) else one for one in self.scale.deviation.tolist()
            ],
            "features": self.features,
            "format": FORMAT,
            "mean": self.scale.mean.tolist(),
            "recipe": self.recipe,
            "weights": np.rint(self.weights * GRID).astype(np.int64).tolist(),
        }
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

    @property
    def hash(self) -> bytes:
        """Name of the model, 32 bytes."""
        return sha512_256(self.encode())

    @classmethod
    def decode(cls, raw: bytes) -> "LinearModel":
        """Read what `encode` wrote. Raises `BadModel`."""
        if len(raw) > MAX_BYTES:
            raise BadModel(f"a model of {len(raw)} bytes: at most {MAX_BYTES}")
        try:
            document = orjson.loads(raw)
            if document["format"] != FORMAT:
                raise BadModel(f"a model of another format than {FORMAT}")
            features, classes = _texts(document["features"]), _texts(document["classes"])
            deviations = [math.inf if one is None else float(one) for one in document["deviation"]]
            scale = Scale(_line(document["mean"]), np.array(deviations, dtype=np.float64))
            weights = _grid(document["weights"])
            recipe = str(document["recipe"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise BadModel(f"no model: {error}") from error
        if len(features) > MAX_FEATURES or len(classes) > MAX_CLASSES:
            raise BadModel("more features or classes than the market takes")
        if weights.shape != (len(features) + 1, len(classes)):
            raise BadModel("the weights do not fit the features and classes")
        if scale.mean.shape != (len(features),) or scale.deviation.shape != (len(features),):
            raise BadModel("the scale does not fit the features")
        if not (np.isfinite(scale.mean).all() and (scale.deviation > 0).all()):
            raise BadModel("the scale is none")
        return cls(recipe, features, classes, scale, weights)


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("names are a list of texts")
    return tuple(cast("list[str]", found))


def _line(found: object) -> Floats:
    if not isinstance(found, list):
        raise TypeError("a line of numbers is a list")
    return np.array([float(one) for one in found], dtype=np.float64)


def _grid(found: object) -> Floats:
    if not isinstance(found, list) or not found:
        raise TypeError("weights are a list of lines")
    widths = {len(line) for line in found}
    if len(widths) != 1:
        raise ValueError("lines of weights have one length")
    numbers = [one for line in found for one in line]
    if not all(type(one) is int and abs(one) <= LARGEST_WEIGHT for one in numbers):
        raise ValueError("weights are whole numbers of the grid")
    return np.array(numbers, dtype=np.float64).reshape(len(found), -1) / GRID
