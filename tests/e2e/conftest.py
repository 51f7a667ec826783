"""The networks of the e2e tests: started once for all tests, as a user starts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.networks import (
    ROOT,
    ComposeNetwork,
    ProcessNetwork,
    RunningNetwork,
    install_node_packages,
    missing_docker,
    missing_node,
)

PROCESS_PORT_BASE = 18545
collect_ignore = ["ape"]
"""The project of Ape has tests of its own, which Ape runs."""


@pytest.fixture(scope="session")
def process_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    network = ProcessNetwork(tmp_path_factory.mktemp("network") / "data", PROCESS_PORT_BASE)
    network.up()
    yield network
    network.down()
    network.close()


@pytest.fixture(scope="session")
def compose_network() -> Iterator[ComposeNetwork]:
    reason = missing_docker()
    if reason is not None:
        pytest.skip(reason)
    network = ComposeNetwork()
    network.down()
    network.compose("build", timeout=900)
    network.up()
    yield network
    network.down()
    network.close()


@pytest.fixture(params=["processes", "compose"], scope="session")
def network(request: pytest.FixtureRequest) -> RunningNetwork:
    """Give the same tests both launchers."""
    name = "process_network" if request.param == "processes" else "compose_network"
    running: RunningNetwork = request.getfixturevalue(name)
    return running


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """Folder of the Node clients, installed from their lock file."""
    reason = missing_node()
    if reason is not None:
        pytest.skip(reason)
    folder = ROOT / "tests" / "e2e" / "clients"
    install_node_packages(folder)
    return folder
