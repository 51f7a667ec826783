"""The story is told whole, its page opens by itself, and no row is in what leaves."""

import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from apps.data_market.demo.digits import NAMES, JobFiles, digits_files
from apps.data_market.demo.page import LOCAL_NOTE, page_of_story
from apps.data_market.demo.report import render_report
from apps.data_market.demo.story import tell_story
from apps.data_market.errors import BadJob
from apps.data_market.train.recipe import DP_LOGREG
from shared.crypto.entropy import SeededEntropy

POT = 10**18
CANARY = "7.1357246813"
EVIL = "<img src=x onerror=alert(1)>"


def entropy():
    return SeededEntropy(b"data market: a story of its tests")


@pytest.fixture(scope="module")
def story():
    """Of each contributor one cell is a number that stands nowhere else."""
    files = digits_files()
    with_canaries = {
        name: raw.replace(b"\n0,", f"\n{CANARY},".encode(), 1)
        for name, raw in files.contributors.items()
    }
    assert all(CANARY.encode() in raw for raw in with_canaries.values())
    with_canaries[EVIL] = with_canaries.pop("lea")
    return tell_story(
        JobFiles(files.label, files.validation, with_canaries), DP_LOGREG, 1.0, POT, entropy()
    )


@pytest.fixture(scope="module")
def page(story):
    return render_report(page_of_story(story))


def test_the_careless_are_paid_less(story) -> None:
    paid = dict(story.outcome.paid_wei)
    assert sum(paid.values()) == POT
    half, quarter = paid.pop("ben"), paid.pop("cem")
    assert half < quarter < min(paid.values())


def test_budgets_compose_and_the_last_job_is_refused(story) -> None:
    assert [one.budget.eps for one in story.trainings] == [0.5, 1.0, 2.0]
    for ledger in story.ledgers.values():
        assert set(ledger.spent) == {"job at eps 0.5", "job at eps 1", "job at eps 2"}
        assert 2.0 < ledger.eps < 3.5
    assert story.refused is not None


def test_models_are_good_and_show_nothing(story) -> None:
    accuracies = [one.accuracy for one in story.trainings]
    assert accuracies[1] >= 0.87
    assert all(one.attack.auc <= 0.6 for one in story.trainings)


def test_no_row_is_in_the_page_or_a_model(story, page) -> None:
    for text in (page, *(one.model.encode().decode() for one in story.trainings)):
        assert CANARY not in text
        assert CANARY[:6] not in text


class Tags(HTMLParser):
    VOID = frozenset({"meta", "rect", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_for_nothing(page) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    names = {name for name, _ in tags.seen}
    assert names.isdisjoint({"script", "img", "link", "iframe", "object", "a", "form"})
    attributes = {key for _, attrs in tags.seen for key in attrs}
    assert attributes.isdisjoint({"src", "href", "onerror", "onload"})
    for heading in (
        *("Pay by contributor", "Accuracy against epsilon", "Attack on each model"),
        *("Privacy budget left", "What each party sees"),
    ):
        assert heading in tags.text
    assert LOCAL_NOTE in tags.text
    assert all(name in tags.text for name in NAMES if name != "lea")
    assert EVIL in tags.text


def test_the_page_opens_in_a_browser(page, tmp_path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    file = tmp_path / "report.html"
    file.write_text(page)
    program = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    program += [f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    shown = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert "<h2>Privacy budget left</h2>" in shown.stdout
    assert shown.stdout.count('class="dot"') == 3


@pytest.mark.parametrize("eps", [0.0, 0.5, 5.0, float("nan")])
def test_a_story_has_a_budget_of_its_own(eps) -> None:
    with pytest.raises(BadJob):
        tell_story(digits_files(), DP_LOGREG, eps, POT, entropy())
