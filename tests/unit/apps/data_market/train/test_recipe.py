"""Models are as good as promised, are named by what made them, and hold numbers only."""

import json
import math

import pytest

from apps.data_market.arrays import LabelledRows
from apps.data_market.errors import BadModel, UnknownRecipe
from apps.data_market.privacy.gaussian import Budget
from apps.data_market.train import recipe as recipes
from apps.data_market.train.logreg import train_weights
from apps.data_market.train.model import MAX_BYTES, LinearModel
from apps.data_market.train.noise import NormalStream
from apps.data_market.train.recipe import DP_LOGREG, public_count, recipe_of
from apps.data_market.value.quantize import Scale
from shared.crypto.secret import SecretBytes
from tests.support.market import public_rows


def trained(train, held, eps, seed=0):
    scale = Scale.of(held.features)
    count = public_count(len(train))
    budget = Budget(eps, 1 / (2 * count))
    classes = int(held.labels.max()) + 1
    weights = train_weights(
        scale.standardized(train.features),
        train.labels,
        classes=classes,
        public_rows=count,
        settings=DP_LOGREG.settings(budget),
        noise_multiplier=DP_LOGREG.cost(budget).noise_multiplier,
        noise=NormalStream(SecretBytes(bytes([seed]) * 32)),
    )
    names = tuple(f"f{at}" for at in range(train.features.shape[1]))
    return LinearModel(DP_LOGREG.name, names, tuple(map(str, range(classes))), scale, weights)


def accuracy(model, held):
    return float((model.predicted(held.features) == held.labels).mean())


@pytest.mark.parametrize(
    ("name", "eps", "least"),
    [
        ("digits", 0.5, 0.84),
        ("digits", 1.0, 0.89),
        ("digits", 4.0, 0.92),
        ("breast_cancer", 1.0, 0.92),
        ("breast_cancer", 4.0, 0.93),
    ],
)
def test_models_are_accurate_within_their_budget(name, eps, least) -> None:
    found = []
    for seed in range(4):
        train, held = public_rows(name, seed)
        found.append(accuracy(trained(train, held, eps, seed), held))
    assert min(found) >= least


def test_a_model_is_the_same_for_the_same_key_and_another_for_another() -> None:
    train, held = public_rows("breast_cancer")
    first = trained(train, held, 1.0)
    assert first.hash == trained(train, held, 1.0).hash
    assert first.hash != trained(train, held, 1.0, seed=1).hash


def test_a_model_comes_back_from_its_bytes() -> None:
    train, held = public_rows("digits")
    model = trained(train, held, 1.0)
    back = LinearModel.decode(model.encode())
    assert back.encode() == model.encode()
    assert (back.predicted(held.features) == model.predicted(held.features)).all()


def changed(**values):
    train, held = public_rows("breast_cancer")
    document = json.loads(
        trained(LabelledRows(train.features[:50], train.labels[:50]), held, 1.0).encode()
    )
    return json.dumps({**document, **values}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\x80\x04N.",
        b"[" * 100_000,
        b" " * (MAX_BYTES + 1),
        changed(format="other"),
        changed(weights=[[1, 2]]),
        changed(weights=[]),
        changed(weights=[[1.5, 2]] * 31),
        changed(weights=[[1 << 60, 2]] * 31),
        changed(weights=[[True, 2]] * 31),
        changed(weights=[[1, 2]] * 30 + [[1]]),
        changed(features=["a"]),
        changed(features="ab"),
        changed(classes=[1, 2]),
        changed(mean=[0] * 29),
        changed(mean=[math.nan] * 30),
        changed(mean=[10**400] * 30),
        changed(deviation=[0] * 30),
        changed(deviation=[-1] * 30),
    ],
    ids=range(22),
)
def test_what_is_no_model_is_refused(raw) -> None:
    with pytest.raises(BadModel):
        LinearModel.decode(raw)


def test_a_recipe_is_named_by_its_code_and_parameters(monkeypatch, tmp_path) -> None:
    before = DP_LOGREG.hash
    assert len(before) == 32
    other = recipes.Recipe(DP_LOGREG.name, DP_LOGREG.presets[:2])
    assert other.hash != before
    for path in recipes.MEASURED:
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((recipes.PACKAGE / path).read_bytes())
    monkeypatch.setattr(recipes, "PACKAGE", tmp_path)
    assert DP_LOGREG.hash == before
    with (tmp_path / "train/logreg.py").open("ab") as file:
        file.write(b"\n")
    assert DP_LOGREG.hash != before


def test_an_unknown_recipe_is_refused() -> None:
    assert recipe_of("dp-logreg/1") is DP_LOGREG
    with pytest.raises(UnknownRecipe):
        recipe_of("dp-logreg/2")


@pytest.mark.parametrize(
    ("rows", "public"), [(1, 1), (15, 15), (17, 18), (1257, 1280), (100_000, 106_496)]
)
def test_numbers_of_rows_are_rounded_up_to_four_bits(rows, public) -> None:
    assert public_count(rows) == public
