"""A new ParaTime runs as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from qanat.network import load_network
from qanat.paratime.harness import LocalChain
from qanat.paratime.signing import Account
from qanat.paratime.template import BadName, create_paratime

ROOT = Path(__file__).parents[4]


def test_the_template_runs_and_its_network_is_one(tmp_path: Path) -> None:
    files = create_paratime("order_book", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "examples/order_book/__init__.py",
        "examples/order_book/README.md",
        "networks/order_book.toml",
        "tests/unit/examples/test_order_book.py",
    ]
    chain = LocalChain("examples.order_book", root=tmp_path)
    alice = Account(b"a" * 32)
    chain.send(alice, "order_book.Keep", 42)
    assert chain.read(alice, "order_book.Recall") == 42
    (paratime,) = load_network(files[2]).paratime
    assert paratime.runtime == "python:examples.order_book"


def test_the_template_is_written_as_the_rest_is(tmp_path: Path) -> None:
    create_paratime("order_book", tmp_path)
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml")]
    checked = subprocess.run(
        [*ruff, "--no-cache", "examples"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", ["", "core", "accounts", "../up", "Big", "a b", "x" * 40])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadName):
        create_paratime(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    create_paratime("order_book", tmp_path)
    with pytest.raises(BadName, match="is there already"):
        create_paratime("order_book", tmp_path)
