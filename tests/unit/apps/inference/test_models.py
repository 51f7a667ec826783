"""The real models: pinned, repeatable, within their bounds."""

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from apps.inference.errors import (
    BadCompletion,
    ModelEnded,
    ModelSilent,
    WeightsChanged,
    WeightsMissing,
)
from apps.inference.models import weights
from apps.inference.models.chat import LanguageModel
from apps.inference.models.embedding import DIMENSIONS, Embedder
from shared.crypto.entropy import SystemEntropy
from shared.kit import cpu_share

ALL = 1.0
"""Share of a core: it takes what it gets, so that it ends on a busy machine too."""
GREEDY = {
    "messages": [{"role": "user", "content": "Name three colours."}],
    "temperature": 0,
    "max_tokens": 12,
}


@pytest.fixture(scope="module")
def model():
    return LanguageModel(SystemEntropy(), ALL)


@pytest.mark.long
def test_two_workers_answer_greedy_prompts_alike(model) -> None:
    first, second = [], []
    one = model.chat(GREEDY, lambda text: bool(first.append(text)))
    model.chat({**GREEDY, "messages": [{"role": "user", "content": "Other."}]}, lambda _: False)
    again = LanguageModel(SystemEntropy(), ALL).chat(GREEDY, lambda text: bool(second.append(text)))
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


@pytest.mark.long
def test_a_long_prompt_is_left_at_once(model) -> None:
    asked = {"messages": [{"role": "user", "content": "word " * 1_900}], "max_tokens": 1}
    questions = []
    ended = model.chat(asked, lambda text: len(questions.append(text) or questions) == 3)
    assert questions == ["", "", ""]
    assert ended.prompt_tokens < 1_900
    # What was left is not mixed into what comes next.
    assert model.chat(GREEDY, lambda _: False).completion_tokens == 12


@pytest.mark.long
def test_a_model_whose_process_was_killed_has_another_one(model) -> None:
    asked = {**GREEDY, "max_tokens": 500}

    def kill(_: str) -> bool:
        for one in llamas():
            os.kill(one, signal.SIGKILL)
        return False

    with pytest.raises(ModelEnded):
        model.chat(asked, kill)
    assert model.chat(GREEDY, lambda _: False).completion_tokens == 12


@pytest.mark.long
def test_a_model_that_stands_still_is_ended_and_has_another_one() -> None:
    before = set(llamas())
    made = LanguageModel(SystemEntropy(), ALL, silence_s=10.0)
    (process,) = set(llamas()) - before

    def stop(text: str) -> bool:
        if text:
            os.kill(process, signal.SIGSTOP)
        return False

    with pytest.raises(ModelSilent):
        made.chat({**GREEDY, "max_tokens": 500}, stop)
    assert process not in llamas()
    assert made.chat(GREEDY, lambda _: False).completion_tokens == 12


def llamas() -> list[int]:
    """The processes that compute for this one."""
    children = {
        int(child)
        for task in Path("/proc/self/task").glob("*/children")
        for child in task.read_text().split()
    }
    return [one for one in children if b"models.llama" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_the_process_that_computes_gives_way_and_ends_with_its_model() -> None:
    before = set(llamas())
    made = LanguageModel(SystemEntropy())
    (process,) = set(llamas()) - before
    for task in Path(f"/proc/{process}/task").iterdir():
        assert os.getpriority(os.PRIO_PROCESS, int(task.name)) == cpu_share.LOWEST
    if cpu_share.SESSION.exists():
        assert os.getsid(process) == process
        assert Path(f"/proc/{process}/autogroup").read_text().endswith(f"nice {cpu_share.LOWEST}\n")
    del made
    assert process not in llamas()


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
