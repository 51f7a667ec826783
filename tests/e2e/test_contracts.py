"""The committed artefacts are what the Solidity and Vyper sources compile to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import ROOT, install_node_packages, missing_node

TESTS = Path("tests/contracts")
"""Holds both compilers, and sources in both languages."""
CONTRACTS = (
    TESTS,
    Path("apps/data_market/contracts"),
    Path("apps/inference/contracts"),
    Path("examples/rofl_oracle"),
)

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]  # npm and the compiler on a busy machine


def test_artifacts_come_out_byte_for_byte(tmp_path: Path) -> None:
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    # In a copy: the checkout stays as it is, also when the test fails.
    ignored = shutil.ignore_patterns("node_modules", "artifacts")
    for folder in CONTRACTS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    compilers = tmp_path / TESTS
    install_node_packages(compilers)
    for folder in CONTRACTS:
        program = ["npm", "run", "--silent", "compile", "--", str(tmp_path / folder)]
        subprocess.run(program, cwd=compilers, check=True)
    vyper = subprocess.run(
        [ROOT / "scripts" / "vyper.sh"], capture_output=True, text=True, check=True, timeout=600
    )
    python = Path(vyper.stdout.strip()) / "bin" / "python"
    subprocess.run([python, compilers / "compile_vyper.py"], check=True)
    for folder in CONTRACTS:
        assert artifacts(tmp_path / folder) == artifacts(ROOT / folder)


def artifacts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "artifacts").iterdir()}
