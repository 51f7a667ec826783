"""The guard: whatever a model says, no answer carries a longer passage than an owner allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.knowledge.guard import FAR, PIECE, Guard, Guarded, Shown
from apps.knowledge.letters import letters
from apps.knowledge.limits import LEAST_RUN

TEXT = (
    "The press stands behind the mill, and its stone was cut in the year of the long frost. "
    "Whoever turns it by night leaves a cup of the first oil at the door of the eldest widow. "
    "Nobody has counted the jars in the lower cellar since the old bailiff went blind. "
    "Three keys open it: one hangs in the chapel, one lies under the beehives, one is lost. "
    "On feast days the youngest child carries the lamp and may ask a single question."
)
MAX_RUN, BUDGET = 60, 150


def longest_common_run(first, second):
    best, lengths = 0, [0] * (len(second) + 1)
    for one in first:
        lengths = [0] + [lengths[at] + 1 if one == other else 0 for at, other in enumerate(second)]
        best = max(best, *lengths)
    return best


def a_guard(text=TEXT, max_run=MAX_RUN, budget=BUDGET, shown=Shown()):  # noqa: B008
    return Guard([Guarded(letters(text), max_run, budget)], [shown])


def test_verbatim_text_stops_at_the_bound_whatever_its_pieces():
    for size in (1, 3, 1000):
        guard = a_guard()
        pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
        out = "".join(guard.pass_on(one) for one in pieces)
        assert TEXT.startswith(out)
        assert len(letters(out)) == MAX_RUN
        assert guard.has_stopped


@pytest.mark.parametrize(
    "disguise",
    [
        str.upper,
        lambda text: " ".join(text),
        lambda text: "*".join(text),
        lambda text: "\u200b".join(text),
        lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
        lambda text: text.replace("e", "e\u0301").replace("a", "\u00e4"),
        lambda text: text.replace("fi", "\ufb01"),
    ],
)
def test_other_letters_of_the_same_text_are_the_same_text(disguise):
    out = a_guard().pass_on(disguise(TEXT))
    assert longest_common_run(letters(out), letters(TEXT)) <= MAX_RUN


@pytest.mark.parametrize("between", ["x", "zz", " and so on ", " [cut] "])
@pytest.mark.parametrize("every", [9, 14, 20])
def test_letters_put_in_between_hide_nothing(between, every):
    plain = letters(TEXT)
    pieces = [plain[at : at + every] for at in range(0, len(plain), every)]
    guard = a_guard()
    guard.pass_on(between.join(pieces))
    assert guard.has_stopped
    assert sum(end - start for start, end in guard.shown[0].spans) <= MAX_RUN + FAR


def test_pieces_in_another_order_are_a_passage():
    plain = letters(TEXT)
    pieces = [plain[at : at + 12] for at in range(0, 120, 12)]
    guard = a_guard()
    guard.pass_on(" x ".join(reversed(pieces)))
    assert guard.has_stopped


def test_all_answers_together_show_no_more_than_the_budget():
    plain, shown, seen = letters(TEXT), Shown(), set()
    for at in range(0, len(plain), 40):
        guard = a_guard(shown=shown)
        out = guard.pass_on(plain[at : at + 40])
        (shown,) = guard.shown
        if len(out) >= LEAST_RUN:
            seen |= set(range(at, at + len(out)))
    assert len(seen) <= BUDGET
    assert shown.count <= BUDGET
    # What was shown already may be shown again.
    assert a_guard(shown=shown).pass_on(plain[:40]) == plain[:40]


def test_short_runs_of_many_answers_add_up():
    plain, shown = letters(TEXT), Shown()
    stops = 0
    for at in range(0, len(plain), LEAST_RUN - 2):
        guard = a_guard(shown=shown)
        guard.pass_on(plain[at : at + LEAST_RUN - 2])
        (shown,), stops = guard.shown, stops + guard.has_stopped
    assert stops
    assert shown.count <= BUDGET


def test_what_is_said_in_other_words_passes():
    said = (
        "A cup of oil goes to the oldest widow whenever somebody works the press after dark. "
        "There are three keys to the cellar, but one of them cannot be found any more."
    )
    guard = a_guard()
    assert guard.pass_on(said) == said


@given(st.data())
def test_no_answer_has_a_longer_run_than_is_allowed(data):
    alphabet = st.sampled_from("abc ,é")
    text = data.draw(st.text(alphabet, min_size=1, max_size=120))
    # Cut out of the text, joined by anything: what an attacker would have a model say.
    cut = st.tuples(st.integers(0, len(text)), st.integers(0, 40)).map(
        lambda one: text[one[0] : one[0] + one[1]]
    )
    answer = "".join(data.draw(st.lists(st.one_of(cut, st.text(alphabet, max_size=3)), max_size=8)))
    max_run = data.draw(st.integers(PIECE, 40))
    out = a_guard(text, max_run, 1_000).pass_on(answer)
    assert answer.startswith(out)
    assert longest_common_run(letters(out), letters(text)) <= max_run


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 20)), max_size=12))
def test_spans_are_a_set_of_places(spans):
    shown, places = Shown(), set()
    for start, size in spans:
        shown = shown.with_span(start, start + size)
        places |= set(range(start, start + size))
    assert {at for start, end in shown.spans for at in range(start, end)} == places
    assert list(shown.spans) == sorted(shown.spans)
    assert sum(shown.passages) == len(places)
