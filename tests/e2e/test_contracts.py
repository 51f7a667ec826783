"""The committed artefacts are what the Solidity sources compile to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import ROOT, install_node_packages, missing_node

CONTRACTS = (Path("tests/contracts"), Path("apps/data_market/contracts"))

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]  # npm and the compiler on a busy machine


def test_artifacts_come_out_byte_for_byte(tmp_path: Path) -> None:
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    # In a copy: the checkout stays as it is, also when the test fails.
    ignored = shutil.ignore_patterns("node_modules", "artifacts")
    for folder in CONTRACTS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    compiler = tmp_path / CONTRACTS[0]
    install_node_packages(compiler)
    for folder in CONTRACTS:
        program = ["npm", "run", "--silent", "compile", "--", str(tmp_path / folder)]
        subprocess.run(program, cwd=compiler, check=True)
        made = {
            path.name: path.read_bytes() for path in (tmp_path / folder / "artifacts").iterdir()
        }
        kept = {path.name: path.read_bytes() for path in (ROOT / folder / "artifacts").iterdir()}
        assert made == kept
