"""The real models: pinned, repeatable, within their bounds."""

import importlib.util
import time

import pytest

from apps.inference.errors import BadCompletion, WeightsChanged, WeightsMissing
from apps.inference.models import weights
from apps.inference.models.chat import PROMPT_PART_TOKENS, LanguageModel
from apps.inference.models.embedding import DIMENSIONS, Embedder
from shared.crypto.entropy import SystemEntropy

GREEDY = {
    "messages": [{"role": "user", "content": "Name three colours."}],
    "temperature": 0,
    "max_tokens": 12,
}


@pytest.fixture(scope="module")
def model():
    return LanguageModel(SystemEntropy())


def test_two_workers_answer_greedy_prompts_alike(model) -> None:
    first, second = [], []
    one = model.chat(GREEDY, lambda text: bool(first.append(text)))
    model.chat({**GREEDY, "messages": [{"role": "user", "content": "Other."}]}, lambda _: False)
    again = LanguageModel(SystemEntropy()).chat(GREEDY, lambda text: bool(second.append(text)))
    assert "".join(first) == "".join(second) != ""
    assert one == again
    assert one.completion_tokens == 12


def test_who_stops_listening_stops_the_answer(model) -> None:
    pieces = []
    began = time.process_time()

    def first_alone(text: str) -> bool:
        pieces.extend([text] if text else [])
        return bool(pieces)

    ended = model.chat({**GREEDY, "max_tokens": 500}, first_alone)
    assert len(pieces) == 1
    assert time.process_time() - began < 5
    # Who is cut off has used what was computed by then.
    assert (ended.prompt_tokens > 20, ended.completion_tokens) == (True, 1)


def test_a_long_prompt_is_left_between_its_parts(model) -> None:
    asked = {"messages": [{"role": "user", "content": "word " * 1_900}], "max_tokens": 1}
    questions = []
    ended = model.chat(asked, lambda text: len(questions.append(text) or questions) == 3)
    assert questions == ["", "", ""]
    assert ended.prompt_tokens == 2 * PROMPT_PART_TOKENS


def test_prompt_that_does_not_fit_is_refused(model) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 5_000}], "max_tokens": 1}
    with pytest.raises(BadCompletion):
        model.chat(long, lambda _: False)


def test_embeddings_are_unit_vectors_near_for_near_texts() -> None:
    embedder = Embedder()
    (cat, kitten, market), tokens = embedder.embed(
        ["a cat sits", "a kitten is sitting", "the stock market crashed"]
    )
    assert tokens > 9
    assert len(cat) == DIMENSIONS
    assert abs(dot(cat, cat) - 1) < 1e-5
    assert dot(cat, kitten) > 0.6 > 0.3 > dot(cat, market)
    assert Embedder().embed(["a cat sits"])[0][0] == cat


def dot(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_other_weights_are_refused(monkeypatch, tmp_path) -> None:
    package = tmp_path / "fakeweights"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "model").write_bytes(b"not what was pinned")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with pytest.raises(WeightsChanged):
        weights.locate(weights.Weights("fakeweights", "model", "00" * 32))
    with pytest.raises(WeightsMissing):
        weights.locate(weights.Weights("no_such_weights", "model", "00" * 32))
