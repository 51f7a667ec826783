"""The committed artefacts are what the Solidity and Vyper sources compile to."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.networks import ROOT
from tests.support.node_clients import install_node_packages, missing_node

TESTS = Path("tests/contracts")
"""Holds both compilers, and sources in both languages."""
CONTRACTS = (
    TESTS,
    Path("apps/data_market/contracts"),
    Path("apps/inference/contracts"),
    Path("apps/knowledge/contracts"),
    Path("examples/rofl_oracle"),
)
NOT_SOURCES = ("node_modules", "artifacts", "__pycache__")

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]  # npm and the compiler on a busy machine


@pytest.mark.long
def test_artifacts_come_out_byte_for_byte(tmp_path: Path) -> None:
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    made = compiled(tmp_path)
    for folder in CONTRACTS:
        assert artifacts(made / folder) == artifacts(ROOT / folder)


def compiled(scratch: Path) -> Path:
    """
    Where the sources of now lie compiled.

    The same sources, by the same compilers, are compiled once on a machine: what came out is kept
    under the hash of all that went in.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = cache / "qanat" / f"contracts-{hash_of_sources()}"
    if not kept.exists():
        compile_all(scratch)
        whole = kept.with_suffix(f".{os.getpid()}")
        for folder in CONTRACTS:
            shutil.copytree(scratch / folder / "artifacts", whole / folder / "artifacts")
        whole.rename(kept)
    return kept


def compile_all(scratch: Path) -> None:
    # In a copy: the checkout stays as it is, also when the test fails.
    ignored = shutil.ignore_patterns(*NOT_SOURCES)
    for folder in CONTRACTS:
        shutil.copytree(ROOT / folder, scratch / folder, ignore=ignored)
    compilers = scratch / TESTS
    install_node_packages(compilers)
    for folder in CONTRACTS:
        program = ["npm", "run", "--silent", "compile", "--", str(scratch / folder)]
        subprocess.run(program, cwd=compilers, check=True)
    vyper = subprocess.run(
        [ROOT / "scripts" / "vyper.sh"], capture_output=True, text=True, check=True, timeout=600
    )
    python = Path(vyper.stdout.strip()) / "bin" / "python"
    subprocess.run([python, compilers / "compile_vyper.py"], check=True)


def hash_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def sources() -> Iterator[Path]:
    """All that decides over what comes out: sources, programs, and locks of compilers."""
    yield ROOT / "requirements" / "vyper.txt"
    yield Path(__file__)
    for folder in CONTRACTS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not set(path.relative_to(ROOT).parts) & set(NOT_SOURCES):
                yield path


def artifacts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "artifacts").iterdir()}
