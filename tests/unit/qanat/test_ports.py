import os
import socket
import subprocess
import sys

from qanat.launcher.ports import TakenPort, describe_taken, taken_ports
from qanat.network import NodePlan


def plan(port: int) -> NodePlan:
    return NodePlan("gateway", "gateway", "127.0.0.1", 0, port)


def test_free_port_is_not_taken(socket_enabled: None) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert taken_ports([plan(port)], "127.0.0.1") == []


def test_who_takes_a_port_is_named(socket_enabled: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        (taken,) = taken_ports([plan(port)], "127.0.0.1")
    assert (taken.node, taken.port, taken.pid) == ("gateway", port, os.getpid())
    assert f"{port} (for gateway) by process {os.getpid()}, " in describe_taken([taken])


def test_left_over_process_is_told_how_to_end(socket_enabled: None) -> None:
    # Not a service, but a process whose command line reads like one.
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "-m services.consensus"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        port = int(process.stdout.readline())
        (taken,) = taken_ports([plan(port)], "127.0.0.1")
        process.stdin.close()
    assert taken.pid == process.pid
    assert f"kill {process.pid}" in describe_taken([taken])


def test_port_of_another_user_is_said_without_the_process() -> None:
    assert describe_taken([TakenPort("gateway", 8545, None)]) == "8545 (for gateway)"


def test_port_beyond_the_last_one_is_taken(socket_enabled: None) -> None:
    (taken,) = taken_ports([plan(70_000)], "127.0.0.1")
    assert taken.port == 70_000


def test_ports_of_one_process_are_said_together() -> None:
    taken = [TakenPort("consensus-0", 8600, 7, "python -m services.consensus")]
    taken += [TakenPort("consensus-0", 8601, 7, "python -m services.consensus")]
    taken += [TakenPort("gateway", 8545, 8, "geth")]
    assert describe_taken(taken) == (
        "8600 (for consensus-0), 8601 (for consensus-0) by process 7, "
        "python -m services.consensus, of another network: `qanat down` there, or `kill 7`; "
        "8545 (for gateway) by process 8, geth"
    )
