"""A node that misbehaves is punished to the token, and the chain goes on with the truth."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, wait_for
from tests.support.nodes import compute_status, escrows, slashed

LIAR = "compute-3"
INCORRECT_RESULTS = 50_000_000_000
EQUIVOCATION = 40_000_000_000


@pytest.fixture(scope="module")
def byzantine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    data = tmp_path_factory.mktemp("byzantine") / "data"
    network = ProcessNetwork(data, 20545, ROOT / "networks" / "byzantine.toml")
    network.up()
    yield network
    network.down()
    network.close()


def refused(network: ProcessNetwork, *arguments: str) -> str:
    """Run a command that must fail; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "qanat", *arguments, *network.cli_options()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return " ".join(done.stderr.split())


def changes_since(before: dict[str, int], network: ProcessNetwork) -> dict[str, int]:
    return slashed(before, escrows(network))


def assert_penalty_is_shared(changes: dict[str, int]) -> None:
    """The liar pays the penalty exactly; who voted for the truth gets it in equal shares."""
    assert changes[LIAR] == INCORRECT_RESULTS
    truthful = {name: change for name, change in changes.items() if name != LIAR}
    assert set(truthful.values()) == {-(INCORRECT_RESULTS // len(truthful))}
    assert set(truthful) <= {f"compute-{i}" for i in range(3)}


def assert_one_reporter_is_paid(changes: dict[str, int]) -> None:
    """Whose node proved the offence gets what it cost, and nobody else anything."""
    assert changes.pop("compute-2") == EQUIVOCATION
    assert list(changes.values()) == [-EQUIVOCATION]
    assert set(changes) < {f"compute-{i}" for i in range(4)}


def until_worker(network: ProcessNetwork, name: str) -> None:
    """Move epochs on until a node is elected as a worker."""
    for _ in range(30):
        if compute_status(network, name).is_worker:
            return
        network.cli("epoch", "advance")
    raise AssertionError(f"{name} was never elected")


def lie_until_slashed(network: ProcessNetwork, before: dict[str, int]) -> None:
    """
    Have the liar lie in one round, and in another one where that one was its own.

    A scheduler whose own result is outvoted fails its round, and nobody is punished (as upstream).
    """
    for _ in range(8):
        network.cli("node", "lie", LIAR, "--rounds", "1")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            if changes_since(before, network):
                return
            time.sleep(0.1)
    raise AssertionError("the liar was never slashed")


def test_honest_enclave_cannot_be_told_to_lie(byzantine: ProcessNetwork) -> None:
    said = refused(byzantine, "node", "lie", "compute-0")
    assert "signs true roots only" in said
    assert "can_lie" in said


def test_fault_needs_the_token_of_the_data_directory(byzantine: ProcessNetwork) -> None:
    token: Path = byzantine.data / "dev-token"
    right = token.read_text()
    token.write_text("00" * 32)
    try:
        assert "token" in refused(byzantine, "node", "lie", LIAR)
    finally:
        token.write_text(right)


def test_liar_loses_the_penalty_and_the_truth_is_final(byzantine: ProcessNetwork) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    vault = deploy(web3, "Vault")
    until_worker(byzantine, LIAR)
    before = escrows(byzantine)
    lie_until_slashed(byzantine, before)
    changes = changes_since(before, byzantine)
    assert_penalty_is_shared(changes)
    # Honest again: it follows, works, and loses nothing more.
    assert send(web3, vault.functions.store(b"true"))["status"] == 1
    assert send(web3, vault.functions.store(b"after"))["status"] == 1
    assert vault.functions.reveal().call() == b"after"
    byzantine.until_level()
    assert changes_since(before, byzantine) == changes


def test_scheduler_that_signs_two_proposals_loses_the_penalty(byzantine: ProcessNetwork) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    until_worker(byzantine, "compute-2")
    before = escrows(byzantine)
    byzantine.cli("node", "equivocate", "compute-2", "--rounds", "1")
    wait_for(lambda: changes_since(before, byzantine) != {}, 30, "somebody is slashed")
    assert_one_reporter_is_paid(changes_since(before, byzantine))
    vault = deploy(web3, "Vault")
    assert send(web3, vault.functions.store(b"goes on"))["status"] == 1
    byzantine.until_level()
    assert_one_reporter_is_paid(changes_since(before, byzantine))
