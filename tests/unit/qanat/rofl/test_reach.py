"""Where instances find the gateway and are found: other addresses in containers than outside."""

from dataclasses import replace
from pathlib import Path

import pytest

from qanat.network import load_network, plan_nodes
from qanat.observe import Running
from qanat.rofl.reach import NotPublished, app_url, gateway_inside

NETWORK = load_network(Path(__file__).parents[4] / "networks" / "ai.toml")
HERE = "http://127.0.0.1:9545"


def running(launcher_pid: int | None, app_port: int = 8700) -> Running:
    assert NETWORK.worker is not None
    network = replace(NETWORK, worker=replace(NETWORK.worker, app_port=app_port))
    return Running(network, plan_nodes(network), (), launcher_pid)


def test_processes_are_met_where_they_say() -> None:
    network = running(launcher_pid=7, app_port=0)
    assert gateway_inside(network, HERE) == HERE
    assert app_url(network, "worker-1", 8703) == "http://127.0.0.1:8703"


def test_containers_are_met_by_the_ports_that_they_publish() -> None:
    network = running(launcher_pid=None)
    assert gateway_inside(network, HERE) == "http://gateway:8545"
    assert app_url(network, "worker-0", 8703) == "http://127.0.0.1:8703"
    assert app_url(network, "worker-1", 8703) == "http://127.0.0.1:8719"


def test_containers_without_such_ports_are_refused_by_what_to_do() -> None:
    with pytest.raises(NotPublished, match="set `app_port`"):
        app_url(running(launcher_pid=None, app_port=0), "worker-0", 41234)
