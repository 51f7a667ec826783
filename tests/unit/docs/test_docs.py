"""Docs are true: what they name exists, and what is generated is up to date."""

import re
from pathlib import Path

import pytest

from tests.support import conformance_page, methods_page
from tests.support.metrics_page import MODULES, PAGE, ROOT, SERVICES, render

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = ROOT / "docs" / "adr"
TOP_FOLDERS = (
    *("services", "shared", "runtimes", "qanat", "crates", "examples"),
    *("apps", "networks", "docs", "tests", "scripts"),
)


def paths_named_in(page: Path) -> set[str]:
    """Paths in back quotes that begin with one of the project's folders."""
    found = set()
    for quoted in re.findall(r"`([\w./{},*-]+)`", page.read_text()):
        if quoted.split("/")[0] in TOP_FOLDERS and "/" in quoted:
            found.update(alternatives(quoted))
    return found


def alternatives(path: str) -> list[str]:
    """Every path that one with braces stands for, as the shell expands it."""
    found = re.search(r"\{([^{}]*)\}", path)
    if found is None:
        return [path]
    before, after = path[: found.start()], path[found.end() :]
    return [
        expanded
        for choice in found.group(1).split(",")
        for expanded in alternatives(before + choice + after)
    ]


def test_braces_stand_for_each_of_their_paths() -> None:
    assert alternatives("a/{b,c}/{d,e}.py") == ["a/b/d.py", "a/b/e.py", "a/c/d.py", "a/c/e.py"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page: Path) -> None:
    missing = {path for path in paths_named_in(page) if not any(ROOT.glob(path.rstrip("/")))}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [one for one in targets if not (page.parent / one).exists()] == []


def test_decisions_that_code_cites_are_written_down() -> None:
    written = {path.name[:4] for path in DECISIONS.glob("[0-9]*.md")}
    cited: dict[str, str] = {}
    for folder in ("services", "shared", "qanat"):
        for path in (ROOT / folder).rglob("*.py"):
            for number in re.findall(r"ADR (\d{4})", path.read_text()):
                cited[number] = str(path.relative_to(ROOT))
    assert {n: where for n, where in cited.items() if n not in written} == {}


def test_every_decision_has_one_number_and_a_line_in_the_index() -> None:
    written = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    numbers = [name[:4] for name in written]
    assert numbers == [f"{number:04}" for number in range(1, len(written) + 1)]
    index = (DECISIONS / "README.md").read_text()
    assert re.findall(r"^\| \[\d{4}\]\(([\w-]+\.md)\)", index, re.MULTILINE) == written


def test_every_service_has_a_page() -> None:
    assert all((ROOT / "docs" / "services" / f"{name}.md").exists() for name in SERVICES)


def test_conformance_page_is_up_to_date_and_without_failures() -> None:
    page = conformance_page.PAGE.read_text()
    assert page == conformance_page.render(), "run `python -m tests.support.conformance_page`"
    rows = conformance_page.load("state-tests-score.json")["rows"]
    assert sum(row["cases"] for row in rows) > 100_000
    assert [row for row in rows if row["failures"]] == []


def test_deviations_of_the_evm_are_shown_by_tests() -> None:
    for one in conformance_page.load("evm-deviations.json")["deviations"]:
        path, name = one["test"].split(": ")
        assert f"fn {name}()" in (ROOT / path).read_text()


def test_methods_page_is_up_to_date() -> None:
    made = methods_page.render()
    assert methods_page.PAGE.read_text() == made, "run `python -m tests.support.methods_page`"


def test_metrics_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "run `python -m tests.support.metrics_page`"


def test_metrics_are_named_by_service_thing_and_unit() -> None:
    names = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert names
    assert all(name.startswith(tuple(f"qanat_{s}_" for s in MODULES)) for name in names)


CLAIMS = {
    "hostile_host": "tests/hostile_host",
    "tee": "tests/unit/tee",
    "keys": "tests/unit/keymanager",
    "rules": "tests/unit/shared/rules",
    "worker": "tests/unit/worker",
    "world": "tests/integration/world",
}
"""Short names of folders in the claims of `docs/services/enclave.md`."""


def test_every_claim_of_the_enclaves_page_is_a_test() -> None:
    page = (ROOT / "docs/services/enclave.md").read_text()
    claims = re.findall(r"`(\w+)/(\w+\.py)::(\w+)`", page)
    assert len(claims) > 40
    missing = [
        f"{folder}/{file}::{name}"
        for folder, file, name in claims
        if f"def {name}(" not in (ROOT / CLAIMS[folder] / file).read_text()
    ]
    assert missing == []


def test_every_test_of_the_hostile_host_is_a_claim() -> None:
    page = (ROOT / "docs/services/enclave.md").read_text()
    controls = {
        "test_headers_and_state_survive_an_honest_restart",
        "test_the_same_enclave_is_one_where_the_signers_list_it",
        "test_a_policy_that_may_not_be_followed_leaves_the_one_before_in_force",
        "test_what_the_first_sender_wrote_is_not_told_to_others",
        "test_a_batch_of_the_largest_frame_is_answered",
        "test_a_second_chain_of_the_same_name_is_another_chain",
    }
    names = [
        name
        for path in (ROOT / "tests/hostile_host").glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    ]
    assert [name for name in names if name not in page and name not in controls] == []
