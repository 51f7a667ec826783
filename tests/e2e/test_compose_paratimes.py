"""Three ParaTimes by containers, and what `qanat node` does to a container."""

import json
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.networks import ROOT, ComposeNetwork, RpcFailure, compose_network, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
"""The image may have to be built first."""

NETWORK = ROOT / "networks" / "paratimes.toml"
PORTS = {"8545", "8555", "8645"}
NOTES = "0x80" + "00" * 30 + "02"
SEALED = "0x" + "78" * 20
SETTINGS = {
    "QANAT_PROFILE": "dev",
    "QANAT_CLIENT_VERSION": "HardhatNetwork/2.29.1/qanat",
    "QANAT_REQUIRE_ENCRYPTION": SEALED,
    "QANAT_BLOCK_TIME_STEP": "1",
}


@pytest.fixture(scope="module")
def paratimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeNetwork]:
    folder = tmp_path_factory.mktemp("compose")
    with compose_network(NETWORK, folder, SETTINGS) as network:
        yield network


def readme_examples() -> dict[str, list[str]]:
    """Give the README's request to each of the three ParaTimes, by port."""
    text = (ROOT / "README.md").read_text()
    block = text.partition("docker compose -f paratimes.yml up")[2].partition("```sh\n")[2]
    commands = block.partition("```")[0].replace("\\\n", " ")
    found = {}
    for command in re.findall(r"^curl .*$", commands, re.MULTILINE):
        port = re.search(r"localhost:(\d+)", command)
        assert port is not None
        found[port[1]] = shlex.split(command)
    return found


def ask(command: list[str]) -> Any:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def is_level(network: ComposeNetwork) -> bool:
    """Say whether the nodes of each ParaTime have the same round and root."""
    roots = defaultdict(set)
    for one in json.loads(network.cli("roots", "--json")):
        roots[one["paratime"]].add((one["round"], one["root"]))
    return all(len(found) == 1 and (None, None) not in found for found in roots.values())


def test_three_paratimes_answer_in_containers(paratimes: ComposeNetwork) -> None:
    examples = readme_examples()
    assert set(examples) == PORTS
    assert len(ask(examples["8545"])["result"]["key"]) == 2 + 64
    assert int(ask(examples["8645"])["result"], 16) == 0xA514
    notes = ask(examples["8555"])
    assert notes["runtime_id"] == NOTES
    assert notes["confidential"] is True


def test_gateways_are_set_by_variables_of_the_shell(paratimes: ComposeNetwork) -> None:
    """As `qanat up` is by its options."""
    assert paratimes.rpc("web3_clientVersion") == SETTINGS["QANAT_CLIENT_VERSION"]
    assert len(paratimes.rpc("eth_accounts")) == 10
    assert "baseFeePerGas" in paratimes.rpc("eth_getBlockByNumber", "latest", False)
    # The ParaTimes began by this profile, and charge Ethereum's gas.
    assert paratimes.get("/status").json()["ethereum_gas"] is True
    with pytest.raises(RpcFailure, match="came in plain, and this network requires encryption"):
        paratimes.rpc("eth_call", {"to": SEALED, "data": "0x01020304"}, "latest")
    summary = paratimes.compose("exec", "gateway", "cat", "/network/public/network.json")
    assert json.loads(summary)["block_time_step_s"] == 1


def test_container_is_paused_stopped_and_cut_off_by_its_nodes_name(
    paratimes: ComposeNetwork,
) -> None:
    paratimes.cli("node", "pause", "compute-3")
    beyond = paratimes.block_number() + 1
    wait_for(lambda: paratimes.block_number() >= beyond, 60, "the chain goes on without it")
    paratimes.cli("node", "resume", "compute-3")
    paratimes.cli("node", "stop", "compute-3")
    assert "compute-3" not in [one["name"] for one in paratimes.processes()]
    paratimes.cli("node", "start", "compute-3")
    paratimes.cli("node", "cut", "compute-2")
    paratimes.cli("node", "heal", "compute-2")
    wait_for(lambda: is_level(paratimes), 60, "both are as far as the others")
    with pytest.raises(AssertionError, match="no container runs a node 'compute-9'"):
        paratimes.cli("node", "pause", "compute-9")
