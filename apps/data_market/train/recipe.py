"""
Recipes: what a contributor agrees to, by a hash of the code and its parameters.

Presets were tuned on sets that anybody has (those of scikit-learn, and made ones), so tuning cost
nobody's budget. A recipe's name never changes its meaning; a better one gets another number.
"""

from dataclasses import dataclass
from pathlib import Path

import orjson

from apps.data_market.errors import UnknownRecipe
from apps.data_market.privacy.gaussian import LARGEST_EPS, Budget, GaussianSteps, noise_multiplier
from apps.data_market.train.logreg import Settings
from shared.crypto.hashes import tuple_hash256

RECIPE_CONTEXT = b"qanat/data-market: recipe"
MEASURED = (
    "arrays.py",
    "privacy/gaussian.py",
    "train/logreg.py",
    "train/noise.py",
    "train/recipe.py",
    "value/quantize.py",
)
"""What decides what a recipe does, below this package."""
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Preset:
    """Parameters for budgets up to an epsilon."""

    up_to_eps: float
    steps: int
    rate: float
    clip: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way of making a model."""

    name: str
    presets: tuple[Preset, ...]
    """By rising epsilon; the last one serves all above."""

    @property
    def parameters(self) -> bytes:
        """What the code is told, as JSON with sorted keys."""
        presets = [[one.up_to_eps, one.steps, one.rate, one.clip] for one in self.presets]
        return orjson.dumps({"presets": presets}, option=orjson.OPT_SORT_KEYS)

    @property
    def hash(self) -> bytes:
        """Name, parameters and the bytes of each measured module, 32 bytes."""
        modules = [(PACKAGE / path).read_bytes() for path in MEASURED]
        return tuple_hash256(RECIPE_CONTEXT, self.name.encode(), self.parameters, *modules)

    def settings(self, budget: Budget) -> Settings:
        """How to train within a budget."""
        fitting = (one for one in self.presets if budget.eps <= one.up_to_eps)
        preset = next(fitting, self.presets[-1])
        return Settings(preset.clip, preset.rate, preset.steps, averaged=preset.steps // 2)

    def cost(self, budget: Budget) -> GaussianSteps:
        """What training within a budget spends of it: all."""
        steps = self.settings(budget).steps
        return GaussianSteps(noise_multiplier(budget, steps), steps)


DP_LOGREG = Recipe(
    "dp-logreg/1",
    presets=(
        Preset(up_to_eps=0.75, steps=10, rate=4.0, clip=1.0),
        Preset(up_to_eps=3.0, steps=10, rate=8.0, clip=1.0),
        Preset(up_to_eps=LARGEST_EPS, steps=40, rate=8.0, clip=0.5),
    ),
)
RECIPES = {one.name: one for one in (DP_LOGREG,)}


def recipe_of(name: str) -> Recipe:
    """Find a recipe. Raises `UnknownRecipe`."""
    if name not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise UnknownRecipe(f"no recipe has the name {name[:64]!r}: known are {known}")
    return RECIPES[name]


def public_count(rows: int) -> int:
    """Round a number of rows up to four leading bits: what everybody may know of it."""
    step = 1 << max(0, rows.bit_length() - 4)
    return -(-rows // step) * step
