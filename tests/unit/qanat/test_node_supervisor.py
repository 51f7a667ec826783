"""Supervision of one node, with small programs in place of services."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from qanat.launcher import node as supervision
from qanat.launcher.control import LauncherControl, NoSuchNode, reachable, serve_control
from qanat.launcher.environment import RunOptions, enclave_seed, host_environment
from qanat.launcher.node import BadStart, NodeSupervisor
from qanat.layout import DataLayout
from qanat.network import load_network, plan_nodes
from shared.api.control import launcher_control
from shared.kit.link import Link
from tests.support.turns import turns, until_seen

NETWORK = load_network(Path(__file__).resolve().parents[3] / "networks" / "default.toml")
FOREVER = "import signal; signal.pause()"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each start of the node runs; the last one again and again."""
    listed = [FOREVER]

    async def start_host(plan, environment, files, log_path, forks):
        program = listed.pop(0) if len(listed) > 1 else listed[0]
        return await asyncio.create_subprocess_exec(sys.executable, "-c", program)

    monkeypatch.setattr(supervision, "_start_host", start_host)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    return listed


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    return DataLayout(tmp_path)


@pytest.fixture
def node(programs: list[str], layout: DataLayout) -> NodeSupervisor:
    plans = plan_nodes(NETWORK)
    return NodeSupervisor(NETWORK, plans, plans[0], layout, RunOptions(), lambda: None)


def state_of(node: NodeSupervisor) -> tuple[str, int, bool]:
    (record,) = node.records()
    return record.state, record.restarts, record.pid is not None


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]


async def test_bad_start_ends_the_supervision(node, programs):
    programs[:] = ["raise SystemExit(2)"]
    with pytest.raises(BadStart, match=r"consensus-0 cannot start; see .*host\.log"):
        await node.run()


async def test_the_same_status_later_restarts_the_node(node, programs, monkeypatch):
    monkeypatch.setattr(supervision, "STEADY_S", 0.0)
    programs[:] = ["raise SystemExit(2)", FOREVER]
    task = asyncio.create_task(node.run())
    await until_seen(lambda: state_of(node) == ("running", 1, True))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_stopped_node_stays_down_until_it_is_started(node):
    task = asyncio.create_task(node.run())
    await until_seen(lambda: state_of(node) == ("running", 0, True))
    await node.stop()
    assert state_of(node) == ("stopped", 0, False)
    await turns()
    assert state_of(node) == ("stopped", 0, False)
    node.start()
    await until_seen(lambda: state_of(node) == ("running", 0, True))
    task.cancel()
    await asyncio.wait([task])


async def test_paused_node_can_be_resumed_and_stopped(node):
    task = asyncio.create_task(node.run())
    await until_seen(lambda: state_of(node)[0] == "running")
    (record,) = node.records()
    node.pause()
    await until_seen(lambda: process_state(record.pid) == "T")
    assert state_of(node)[0] == "paused"
    node.resume()
    await until_seen(lambda: process_state(record.pid) == "S")
    assert state_of(node)[0] == "running"
    node.pause()
    async with asyncio.timeout(2):
        await node.stop()
    task.cancel()
    await asyncio.wait([task])


async def test_killed_node_is_restarted(node):
    task = asyncio.create_task(node.run())
    await until_seen(lambda: state_of(node)[0] == "running")
    (record,) = node.records()
    os.kill(record.pid, signal.SIGKILL)
    await until_seen(lambda: state_of(node) == ("running", 1, True))
    task.cancel()
    await asyncio.wait([task])


async def test_launcher_takes_commands_from_its_owner(node, layout, socket_enabled, tmp_path):
    deep = DataLayout(tmp_path / ("d" * 100))
    deep.root.mkdir()
    task = asyncio.create_task(node.run())
    await until_seen(lambda: state_of(node)[0] == "running")
    for where in (layout, deep):
        async with await serve_control(where, LauncherControl({"consensus-0": node})):
            assert where.control_socket.stat().st_mode & 0o777 == 0o600
            with reachable(where.control_socket) as path:
                link = Link("the launcher", path)
                control = launcher_control(link)
                await control.stop("consensus-0")
                assert state_of(node)[0] == "stopped"
                await control.start("consensus-0")
                await until_seen(lambda: state_of(node)[0] == "running")
                with pytest.raises(NoSuchNode, match="there are consensus-0"):
                    await control.pause("consensus-1")
                link.close()
    task.cancel()
    await asyncio.wait([task])


def test_seed_of_an_enclave_in_a_replayed_network_is_not_its_hosts(layout: DataLayout) -> None:
    plans = plan_nodes(NETWORK)
    plan = next(plan for plan in plans if plan.has_enclave)
    options = RunOptions(seed=b"a seed for a network that replays")
    hosts = host_environment(NETWORK, plans, plan, layout, options)["QANAT_SEED"]
    enclaves = enclave_seed(options)
    assert enclaves is not None
    assert enclaves != hosts
    assert enclaves == enclave_seed(options)
    assert enclave_seed(RunOptions()) is None
