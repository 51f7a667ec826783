"""Hardhat with its plugins and OpenZeppelin's, and Ponder, unmodified, in whole projects."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.e2e.test_python_clients import connect, deploy, send
from tests.e2e.test_wallets import use_metamask
from tests.support.networks import (
    ROOT,
    SECOND_KEY,
    ProcessNetwork,
    port_base,
    wait_for,
)
from tests.support.node_clients import install_node_packages, missing_node

PORT_BASE = port_base(26545)
PONDER_PORT = PORT_BASE + 95
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
    ignored = shutil.ignore_patterns(
        "node_modules", "artifacts", "cache", ".openzeppelin", ".ponder"
    )
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


@pytest.mark.long
def test_no_two_blocks_have_one_timestamp(hardhat_like: ProcessNetwork) -> None:
    for nonce in range(5):
        hardhat_like.rpc("eth_sendTransaction", {"from": SENDER, "to": SENDER, "nonce": hex(nonce)})
    newest = hardhat_like.block_number()
    blocks = [hardhat_like.rpc("eth_getBlockByNumber", hex(at), False) for at in range(newest + 1)]
    times = [int(block["timestamp"], 16) for block in blocks]
    assert len(blocks) > 5
    assert len(set(times)) == len(times)


@pytest.mark.long
def test_network_helpers_run_unmodified(hardhat_like: ProcessNetwork, node_clients: Path) -> None:
    command = ("node", "--test", "--test-reporter=tap", "network_helpers.test.cjs")
    assert "# pass 9" in run_node(hardhat_like, node_clients, *command)


@pytest.mark.long
@pytest.mark.parametrize("project", ["hardhat2"], indirect=True)
def test_a_hardhat_2_project_of_sapphire(hardhat_like: ProcessNetwork, project: Path) -> None:
    told = run_node(hardhat_like, project, "npx", "hardhat", "test")
    assert "19 passing" in told
    assert "failing" not in told


@pytest.mark.long
@pytest.mark.parametrize("project", ["hardhat3"], indirect=True)
def test_a_hardhat_3_project(hardhat_like: ProcessNetwork, project: Path) -> None:
    told = run_node(hardhat_like, project, "npx", "hardhat", "test", "mocha")
    assert "10 passing" in told
    assert "failing" not in told


class Indexer:
    """Ponder, as it runs beside a network; it keeps balances of a token."""

    def __init__(self, network: ProcessNetwork, folder: Path, token: str, start: int) -> None:
        self._url = f"http://127.0.0.1:{PONDER_PORT}/balances"
        self._log = folder / "ponder.log"
        environment = os.environ | {
            "QANAT_URL": network.url,
            "QANAT_WS": network.ws_url,
            "TOKEN": token,
            "START": str(start),
            "DATABASE_SCHEMA": "e2e",
            "PONDER_TELEMETRY_DISABLED": "1",
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                ["npx", "ponder", "start", "--port", str(PONDER_PORT)],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(10)

    def until(self, wanted: dict[str, int]) -> None:
        def is_there() -> bool:
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            answer = httpx.get(self._url, timeout=5)
            if answer.is_error:
                return False
            found = {name: int(held) for name, held in answer.json().items()}
            return wanted.items() <= found.items()

        wait_for(is_there, 60, f"Ponder has {wanted}: {self._log.read_text()[-2000:]}")


@pytest.mark.long
@pytest.mark.parametrize("project", ["ponder"], indirect=True)
def test_ponder_follows_a_rewind(hardhat_like: ProcessNetwork, project: Path) -> None:
    web3 = connect(hardhat_like, encrypted=False)
    token = deploy(web3, "Token", 1_000_000)
    ben, cem = ("0x" + digit * 40 for digit in "bc")

    def pay(whom: str, amount: int) -> None:
        send(web3, token.functions.transfer(web3.to_checksum_address(whom), amount))

    pay(ben, 5)
    start = hardhat_like.block_number() - 1
    with Indexer(hardhat_like, project, token.address, start) as ponder:
        ponder.until({ben: 5})
        snapshot = hardhat_like.rpc("evm_snapshot")
        pay(ben, 7)
        pay(cem, 1)
        ponder.until({ben: 12, cem: 1})
        assert hardhat_like.rpc("evm_revert", snapshot) is True
        pay(cem, 100)
        ponder.until({ben: 5, cem: 100})


@pytest.mark.long
def test_metamask_pays_by_base_fee(hardhat_like: ProcessNetwork, metamask: Path) -> None:
    seen = use_metamask(metamask, hardhat_like.url)
    assert (seen["is1559"], seen["created"]["type"]) == (True, "0x2")
    assert seen["paid"]["gas"] < 30_000
