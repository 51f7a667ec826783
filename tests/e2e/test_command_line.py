"""The commands that scripts outside this repository use."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.networks import ROOT, ProcessNetwork, RunningNetwork

PARTS = {
    ("consensus-0", "consensus", "host"),
    ("gateway", "gateway", "host"),
    *((f"keymanager-{i}", "keymanager", part) for i in (0, 1) for part in ("host", "enclave")),
    *((f"compute-{i}", "compute", part) for i in range(4) for part in ("host", "enclave")),
}


def test_ps_lists_every_process(network: RunningNetwork) -> None:
    processes = network.processes()
    assert {(p["name"], p["service"], p["part"]) for p in processes} == PARTS
    for process in processes:
        assert Path(f"/proc/{process['pid']}").exists()
        assert process["state"] == "running"
        assert (process["container"] is None) == (network.kind == "processes")
        assert process["data_dir"]
        has_paratime = process["service"] in ("compute", "gateway")
        assert process["paratime"] == ("sapphire" if has_paratime else None)
    gateway = next(p for p in processes if p["service"] == "gateway")
    assert network.http_port in gateway["ports"]


def test_roots_names_each_compute_node(network: RunningNetwork) -> None:
    answers = json.loads(network.cli("roots", "--json"))
    assert [one["name"] for one in answers] == [f"compute-{i}" for i in range(4)]
    assert all(one["round"] > 0 and len(one["root"]) == 66 for one in answers)


def test_status_says_ready(network: RunningNetwork) -> None:
    network.until_ready()
    assert json.loads(network.cli("status", "--json"))["ready"] is True


def test_up_twice_says_so(process_network: ProcessNetwork) -> None:
    assert "up already" in process_network.up()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qanat", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        done = run("up", "--data", str(tmp_path / "data"), "--port-base", str(port))
    assert done.returncode == 1
    assert f"{port} (for gateway)" in done.stderr


def test_nothing_runs_is_said(tmp_path: Path) -> None:
    done = run("roots", "--data", str(tmp_path / "data"), "--port-base", "19999")
    assert (done.returncode, "qanat up" in done.stderr) in {(1, True), (0, False)}


def test_every_command_has_help() -> None:
    for command in ("up", "down", "status", "ps", "roots", "logs", "provision", "run", "compose"):
        assert "--help" in run(command, "--help").stdout
    assert "advance" in run("epoch", "--help").stdout


def test_unknown_flag_is_refused() -> None:
    assert run("up", "--frobnicate").returncode == 2


def test_network_file_that_is_wrong_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        (ROOT / "networks/default.toml").read_text().replace("workers = 3", "workers = 5", 1)
    )
    done = run("up", "--network", str(wrong), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "committee.workers must be 1 to the number of its nodes (4)" in " ".join(
        done.stderr.split()
    )


def test_network_without_consent_to_the_mock_does_not_start(tmp_path: Path) -> None:
    text = (ROOT / "networks/default.toml").read_text()
    strict = tmp_path / "strict.toml"
    strict.write_text(text.replace("unsafe_mock_tee = true", "unsafe_mock_tee = false"))
    done = run("up", "--network", str(strict), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "QANAT_UNSAFE_MOCK_TEE=1" in done.stderr
