"""
The networks of the e2e tests, as a user starts them: each once for all tests of a process.

Two processes share the tests. A file stays whole, since its tests may share a network; whatever
runs in containers stays with one process, since ports and volumes of containers are those of the
user's own network.
"""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support.networks import (
    ROOT,
    ComposeNetwork,
    ProcessNetwork,
    RunningNetwork,
    missing_docker,
    port_base,
    running,
)
from tests.support.node_clients import install_node_packages, missing_node

CONTAINERS = "containers"
LONGEST = (
    CONTAINERS,
    "test_private_ai",
    "test_paratimes",
    "test_contracts",
    "test_launcher",
    "test_data_market",
    "test_projects",
)
"""These begin first, so that no process ends long before the other one."""
PROCESS_PORT_BASE = port_base(18545)
collect_ignore = ["ape"]
"""The project of Ape has tests of its own, which Ape runs."""


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process a whole group of tests at a time, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return _group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest groups first, where processes share the tests."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    order = {group: number for number, group in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_group_of(item.nodeid), len(order)))


def _group_of(nodeid: str) -> str:
    file, _, test = nodeid.partition("::")
    name = Path(file).stem
    in_containers = name.startswith("test_compose") or "compose" in re.findall(r"\w+", test)
    return CONTAINERS if in_containers else name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how a network stands when a test of it fails: it is gone when somebody reads that."""
    report = yield
    if report.failed and call.when == "call" and isinstance(item, pytest.Function):
        for one in {id(one): one for one in item.funcargs.values()}.values():
            if isinstance(one, RunningNetwork):
                report.sections.append((f"network ({one.kind})", one.account_of_itself()))
    return report


@pytest.fixture(scope="session")
def process_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    network = ProcessNetwork(tmp_path_factory.mktemp("network") / "data", PROCESS_PORT_BASE)
    with running(network):
        yield network


@pytest.fixture(scope="session")
def compose_network() -> Iterator[ComposeNetwork]:
    reason = missing_docker()
    if reason is not None:
        pytest.skip(reason)
    network = ComposeNetwork()
    network.down()
    network.compose("build", timeout=900)
    with running(network):
        yield network


@pytest.fixture(
    params=["processes", pytest.param("compose", marks=pytest.mark.docker)], scope="session"
)
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


@pytest.fixture(scope="session")
def metamask(node_clients: Path) -> Path:
    """Folder of MetaMask's controllers, which the other clients do not pay for."""
    folder = node_clients / "metamask"
    install_node_packages(folder)
    return folder
