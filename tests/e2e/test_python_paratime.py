"""A ParaTime in Python beside two EVMs: sealed notes on a running network."""

import time
from collections.abc import Iterator

import httpx
import pytest

from qanat.paratime.client import ParaTimeClient
from qanat.paratime.signing import Account
from shared.errors import RuntimeRejected
from tests.support.networks import ROOT, ProcessNetwork, port_base, running, wait_for

PORT_BASE = port_base(22545)
CANARY = "a canary that nobody but its readers sees"
ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    root = tmp_path_factory.mktemp("notes")
    network = ProcessNetwork(root / "data", PORT_BASE, ROOT / "networks" / "paratimes.toml")
    with running(network):
        yield network


@pytest.fixture(scope="module")
def url(network: ProcessNetwork) -> str:
    (process,) = [p for p in network.processes() if p["name"] == "gateway-notes"]
    return f"http://127.0.0.1:{process['ports'][0]}"


def test_notes_are_read_by_their_readers_alone(url: str) -> None:
    with ParaTimeClient(url, ALICE) as alice, ParaTimeClient(url, BOB) as bob:
        number = alice.send("notes.Write", CANARY)
        assert alice.read("notes.Read", number)["text"] == CANARY
        with pytest.raises(RuntimeRejected, match="not for you"):
            bob.read("notes.Read", number)
        alice.send("notes.Share", {"note": number, "reader": BOB.address})
        assert bob.read("notes.Read", number)["text"] == CANARY
        assert bob.query("notes.Total") == number + 1


def test_events_of_others_are_followed(url: str) -> None:
    with ParaTimeClient(url, ALICE) as alice, httpx.Client(base_url=url, timeout=20) as http:
        newest = http.get("/v1/rounds/latest").json()["round"]
        number = alice.send("notes.Write", "x")
        with http.stream("GET", "/v1/events", params={"from_round": newest}) as stream:
            line = next(one for one in stream.iter_lines() if one.startswith("data: "))
        assert f'"note": {number}' in line


def test_nodes_agree_and_nobody_is_slashed(network: ProcessNetwork, url: str) -> None:
    with ParaTimeClient(url, ALICE) as alice, httpx.Client(base_url=url, timeout=20) as http:
        for index in range(20):
            alice.send("notes.Write", f"note {index}")
        newest = http.get("/v1/rounds/latest").json()["round"]
        kinds = [http.get(f"/v1/rounds/{n}").json()["type"] for n in range(newest - 15, newest)]
    assert set(kinds) <= {"normal", "epoch_transition"}
    assert "slashed" not in network.log_text()


def test_no_file_and_no_log_of_the_network_holds_the_text(network: ProcessNetwork) -> None:
    found = [
        str(path)
        for path in network.data.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    assert found == []


@pytest.mark.long
def test_notes_survive_a_restart_of_everything(network: ProcessNetwork, url: str) -> None:
    network.down()
    network.up()
    with ParaTimeClient(url, ALICE) as alice:

        def reads() -> bool:
            return alice.read("notes.Read", 0)["text"] == CANARY

        wait_for(reads, 60, "the first note to be read")


def test_a_call_does_not_wait_for_the_idle_beat(url: str) -> None:
    with ParaTimeClient(url, ALICE) as alice:
        took = []
        for _ in range(15):
            began = time.monotonic()
            alice.send("notes.Write", "x")
            took.append(time.monotonic() - began)
    median_ms = 1000 * sorted(took)[len(took) // 2]
    assert median_ms < 800, f"median of 15: {median_ms:.0f} ms"
