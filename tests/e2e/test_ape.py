"""A project of Ape, unmodified, whose own tests run against the default network, profile `dev`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import ROOT, ProcessNetwork, load_artifact

PROJECT = ROOT / "tests" / "e2e" / "ape"
CONFIG = """
name: notebook
networks:
  custom:
    - {{name: qanat, chain_id: {chain_id}, ecosystem: ethereum, default_provider: node}}
request_headers: {{x-qanat-profile: dev}}
node:
  ethereum:
    qanat: {{uri: "{url}"}}
"""


@pytest.fixture(scope="module")
def ape() -> Path:
    """Ape's program, in its own environment, which is made where it is not there."""
    made = subprocess.run(
        [ROOT / "scripts" / "ape.sh"], capture_output=True, text=True, check=False, timeout=600
    )
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip()) / "bin" / "ape"


@pytest.mark.long
def test_tests_of_an_ape_project_pass(
    ape: Path, process_network: ProcessNetwork, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    chain_id = int(process_network.rpc("eth_chainId"), 16)
    (project / "ape-config.yaml").write_text(
        CONFIG.format(chain_id=chain_id, url=process_network.url)
    )
    artifact = load_artifact("Notebook")
    contract = {"contractName": "Notebook", "abi": artifact.abi}
    (project / "contracts").mkdir()
    (project / "contracts" / "Notebook.json").write_text(
        json.dumps({**contract, "deploymentBytecode": {"bytecode": artifact.bytecode}})
    )
    ran = subprocess.run(
        [ape, "test", "--network", "ethereum:qanat:node", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
