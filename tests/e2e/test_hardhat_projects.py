"""Hardhat, its plugins and OpenZeppelin's, unmodified, in projects as their users have them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.networks import (
    ROOT,
    SECOND_KEY,
    ProcessNetwork,
    install_node_packages,
    missing_node,
)

PORT_BASE = 26545
CLIENTS = ROOT / "tests" / "e2e" / "clients"
NAMED = (
    "--client-version",
    "HardhatNetwork/2.29.1/qanat",
    "--profile",
    "dev",
    "--block-time-step",
    "1",
)

SENDER = "0x90f79bf6eb2c4f870365e785982e1f101e93b906"

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def hardhat_like(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    """The default network under a name that Hardhat's plugins know, by profile `dev`."""
    network = ProcessNetwork(tmp_path_factory.mktemp("hardhat") / "data", PORT_BASE)
    try:
        network.up(*NAMED)
        yield network
    finally:
        network.down()
        network.close()


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a project, so that what its tools write stays out of the checkout."""
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    source = CLIENTS / request.param
    install_node_packages(source)
    made = tmp_path / source.name
    ignored = shutil.ignore_patterns("node_modules", "artifacts", "cache", ".openzeppelin")
    shutil.copytree(source, made, ignore=ignored)
    (made / "node_modules").symlink_to(source / "node_modules")
    return made


def run_node(network: ProcessNetwork, folder: Path, *command: str) -> str:
    environment = os.environ | {
        "QANAT_URL": network.url,
        "QANAT_KEY": SECOND_KEY,
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        "CI": "true",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_two_blocks_have_one_timestamp(hardhat_like: ProcessNetwork) -> None:
    for nonce in range(5):
        hardhat_like.rpc("eth_sendTransaction", {"from": SENDER, "to": SENDER, "nonce": hex(nonce)})
    newest = hardhat_like.block_number()
    blocks = [hardhat_like.rpc("eth_getBlockByNumber", hex(at), False) for at in range(newest + 1)]
    times = [int(block["timestamp"], 16) for block in blocks]
    assert len(blocks) > 5
    assert len(set(times)) == len(times)


def test_network_helpers_run_unmodified(hardhat_like: ProcessNetwork, node_clients: Path) -> None:
    command = ("node", "--test", "--test-reporter=tap", "network_helpers.test.cjs")
    assert "# pass 9" in run_node(hardhat_like, node_clients, *command)


@pytest.mark.parametrize("project", ["hardhat2"], indirect=True)
def test_a_hardhat_2_project_of_sapphire(hardhat_like: ProcessNetwork, project: Path) -> None:
    told = run_node(hardhat_like, project, "npx", "hardhat", "test")
    assert "19 passing" in told
    assert "failing" not in told


@pytest.mark.parametrize("project", ["hardhat3"], indirect=True)
def test_a_hardhat_3_project(hardhat_like: ProcessNetwork, project: Path) -> None:
    told = run_node(hardhat_like, project, "npx", "hardhat", "test", "mocha")
    assert "6 passing" in told
    assert "failing" not in told
