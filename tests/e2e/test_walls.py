"""Host processes of a running network stand behind a wall, and say so."""

from pathlib import Path

import httpx
import pytest

from qanat.launcher.wall import is_available
from tests.support.networks import ProcessNetwork

LANDLOCK = pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock")


@LANDLOCK
def test_every_host_says_that_its_wall_stands(process_network: ProcessNetwork) -> None:
    network = process_network
    network.until_ready()
    walls = {}
    for process in network.processes():
        if process["part"] == "host" and process["service"] != "gateway":
            port = process["ports"][-1]
            health = httpx.get(f"http://127.0.0.1:{port}/health", timeout=30).json()
            walls[process["name"]] = health["host_wall"]
    assert len(walls) == 7
    assert all(wall.startswith("landlock ") for wall in walls.values()), walls


@LANDLOCK
def test_every_host_has_given_up_gaining_privileges(process_network: ProcessNetwork) -> None:
    process_network.until_ready()
    for process in process_network.processes():
        status = Path(f"/proc/{process['pid']}/status").read_text()
        assert "NoNewPrivs:\t1" in status, process["name"]
