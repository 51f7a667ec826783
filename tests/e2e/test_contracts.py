"""The committed artefacts are what the Solidity sources compile to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import ARTIFACTS, ROOT, install_node_packages, missing_node

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]  # npm and the compiler on a busy machine


def test_artifacts_come_out_byte_for_byte(tmp_path: Path) -> None:
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    # In a copy: the checkout stays as it is, also when the test fails.
    copy = tmp_path / "contracts"
    ignored = shutil.ignore_patterns("node_modules", "artifacts")
    shutil.copytree(ROOT / "tests" / "contracts", copy, ignore=ignored)
    install_node_packages(copy)
    subprocess.run(["npm", "run", "--silent", "compile"], cwd=copy, check=True)
    made = {path.name: path.read_bytes() for path in (copy / "artifacts").iterdir()}
    assert made == {path.name: path.read_bytes() for path in ARTIFACTS.iterdir()}
