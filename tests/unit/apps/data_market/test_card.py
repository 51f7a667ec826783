"""A model's card holds as it was written, and in no other way."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from apps.data_market.card import MAX_BYTES, verify_card
from apps.data_market.chain.uploads import Release
from apps.data_market.errors import BadCard, BadModel
from apps.data_market.privacy.gaussian import Budget, noise_multiplier
from apps.data_market.train.model import LinearModel
from apps.data_market.value.quantize import Scale
from qanat.ai import verify
from qanat.cli import app

STEPS = 40
BUDGET = Budget(1.0, 1e-5)
MODEL = LinearModel(
    "dp-logreg/1", ("a",), ("no", "yes"), Scale(np.zeros(1), np.ones(1)), np.zeros((2, 2))
)
FIELDS = {
    "accuracy": 0.91,
    "attack_auc": 0.52,
    "attack_hits_at_one_percent": 0.01,
    "delta": BUDGET.delta,
    "eps": BUDGET.eps,
    "model_hash": MODEL.hash.hex(),
    "noise_multiplier": round(noise_multiplier(BUDGET, STEPS), 6),
    "recipe": MODEL.recipe,
    "steps": STEPS,
}


def card(**changes: object) -> bytes:
    return json.dumps(FIELDS | changes).encode()


def test_a_card_holds_with_its_model_and_the_hash_of_the_chain():
    raw = card()
    pinned = Release(bytes(32), MODEL.encode(), raw).card_hash
    found = verify.card(raw, model=MODEL.encode(), card_hash=pinned, largest_auc=0.6)
    assert found.spent_eps == pytest.approx(BUDGET.eps, rel=1e-3)
    assert (found.card_hash, found.model_hash) == (pinned, MODEL.hash)
    assert (found.accuracy, found.attack_auc, found.budget) == (0.91, 0.52, BUDGET)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"eps": 0.9}, "is promised"),
        ({"steps": STEPS + 1}, "is promised"),
        ({"noise_multiplier": FIELDS["noise_multiplier"] * 0.9}, "is promised"),
        ({"eps": 0}, "eps 0"),
        ({"delta": 1}, "delta 1"),
        ({"steps": True}, "at least one step"),
        ({"steps": 0}, "at least one step"),
        ({"noise_multiplier": 0}, "at least one step"),
        ({"accuracy": 1.01}, "between 0 and 1"),
        ({"accuracy": "much"}, "no number"),
        ({"attack_auc": math.nan}, "no card"),
        ({"model_hash": "00"}, "32 bytes"),
        ({"model_hash": 7}, "no card"),
        ({"attack_auc": 0.7}, "over 0.6"),
    ],
)
def test_what_does_not_hold_is_named(changes, reason):
    with pytest.raises(BadCard, match=reason):
        verify_card(card(**changes), largest_auc=0.6)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b" " * (MAX_BYTES + 1), b"7"])
def test_anything_else_is_no_card(raw):
    with pytest.raises(BadCard):
        verify_card(raw)


def test_a_card_of_another_model_or_hash_is_refused():
    other = LinearModel(MODEL.recipe, ("b",), MODEL.classes, MODEL.scale, MODEL.weights)
    with pytest.raises(BadCard, match="another model"):
        verify_card(card(), model=other.encode())
    with pytest.raises(BadCard, match="another model"):
        verify_card(card(recipe="dp-logreg/2"), model=MODEL.encode())
    with pytest.raises(BadModel):
        verify_card(card(), model=b"{}")
    with pytest.raises(BadCard, match="another card"):
        verify_card(card(), card_hash=bytes(32))


def test_the_command_says_what_holds_and_what_does_not(tmp_path):
    good, bad, model = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "model.json"
    good.write_bytes(card())
    bad.write_bytes(card(eps=0.5))
    model.write_bytes(MODEL.encode())
    run = CliRunner().invoke
    told = run(app, ["verify", "card", str(good), "--model", str(model), "--json"])
    facts = json.loads(told.stdout)
    assert (told.exit_code, facts["verified"], facts["is_model_verified"]) == (0, True, True)
    told = run(app, ["verify", "card", str(bad), "--json"])
    assert (told.exit_code, json.loads(told.stdout)["error"]) == (1, "BadCard")
    assert run(app, ["verify", "card", str(good), "--hash", "xyz"]).exit_code == 2
