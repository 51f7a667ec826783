"""Unmodified JavaScript clients and `cast` against a running network."""

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import SECOND_KEY, RunningNetwork, load_artifact
from tests.support.node_clients import run_client

pytestmark = pytest.mark.node


def ask(
    folder: Path, script: str, network: RunningNetwork, argument: str | None = None
) -> dict[str, Any]:
    artifact = argument or str(load_artifact("Vault").path)
    seen: dict[str, Any] = run_client(folder, script, network.url, SECOND_KEY, artifact)
    return seen


def test_ethers_encrypts_and_reads_back(network: RunningNetwork, node_clients: Path) -> None:
    seen = ask(node_clients, "ethers.mjs", network)
    assert seen["chainId"] == 0x5AFD
    assert seen["status"] == 1
    assert seen["events"] == ["SecretStored"]
    assert (seen["matches"], seen["mismatches"], seen["writes"]) == (True, False, 1)
    assert seen["whoAmI"] == "0x0000000000000000000000000000000000000000"
    assert seen["reason"]["reason"] == "the reason is plain"
    assert seen["custom"]["revert"] == "NotOwner"
    assert seen["input"].startswith("0xa264626f6479a4")
    assert seen["deployInput"].startswith("0xa264626f64")
    assert not seen["secretInInput"]


def test_viem_encrypts_and_reads_back(network: RunningNetwork, node_clients: Path) -> None:
    seen = ask(node_clients, "viem.mjs", network)
    assert seen["chainId"] == 0x5AFD
    assert seen["status"] == "success"
    assert seen["events"] == ["SecretStored"]
    assert (seen["matches"], seen["writes"]) == (True, 1)
    assert seen["reason"]["reason"] == "the reason is plain"
    assert seen["custom"]["error"] == "NotOwner"
    assert not seen["secretInInput"]


@pytest.mark.long
def test_oceans_datatoken_keeps_its_file_object(
    network: RunningNetwork, node_clients: Path
) -> None:
    file_object = json.dumps([{"url": f"https://example.org/{secrets.token_hex(16)}"}])
    seen = ask(node_clients, "ocean.mjs", network, file_object)
    assert seen["ordered"] == file_object
    assert seen["withoutOrder"] == "no consumer order"
    assert seen["forged"] == "Provider signature"
    assert seen["inputs"] == 7
    assert not seen["fileObjectInInputs"]


def cast(folder: Path, *arguments: str) -> str:
    (binary,) = folder.glob("node_modules/@foundry-rs/cast-*/bin/cast")
    done = subprocess.run(
        [str(binary), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_cast_sends_and_calls_in_plain(network: RunningNetwork, node_clients: Path) -> None:
    at = ("--rpc-url", network.url)
    keyed = (*at, "--private-key", SECOND_KEY, "--json")
    assert cast(node_clients, "chain-id", *at) == "23293"
    token = load_artifact("Token")
    supply = "0" * 58 + "0f4240"
    # With EIP-1559 fees: needs a fee history that is not empty.
    deployed = json.loads(cast(node_clients, "send", *keyed, "--create", token.bytecode + supply))
    address = deployed["contractAddress"]
    receiver = "0x000000000000000000000000000000000000bEEF"
    sent = json.loads(
        cast(
            node_clients,
            "send",
            *keyed,
            "--legacy",
            address,
            "transfer(address,uint256)",
            receiver,
            "77",
        )
    )
    assert sent["status"] == "0x1"
    balance = cast(node_clients, "call", *at, address, "balanceOf(address)(uint256)", receiver)
    assert balance == "77"
