"""`qanat tx`: all of a transaction for who made the network, and nothing inside it for others."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from web3.exceptions import Web3RPCError

from tests.e2e.test_python_clients import GAS_PRICE, connect, deploy, send
from tests.support.networks import ROOT, RunningNetwork, load_artifact

VAULT = str(load_artifact("Vault").path)


def look(network: RunningNetwork, hash_: str, *options: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(network.cli("tx", hash_, "--json", *options))
    return shown


def run_stranger(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qanat", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def secret() -> bytes:
    return os.urandom(64)


@pytest.fixture(scope="module")
def stored(network: RunningNetwork, secret: bytes) -> str:
    """Hash of an encrypted transaction with a secret in it."""
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    receipt = send(web3, vault.functions.store(secret))
    assert receipt["status"] == 1
    return str(receipt["transactionHash"].to_0x_hex())


def test_the_owner_sees_all_of_an_encrypted_transaction(
    network: RunningNetwork, stored: str, secret: bytes
) -> None:
    shown = look(network, stored, "--abi", VAULT)
    assert (shown["status"], shown["encrypted"]) == ("success", True)
    assert int(shown["envelope"]["epoch"], 16) > 0
    assert shown["call"] == {
        "function": "store(bytes)",
        "arguments": {"value": "0x" + secret.hex()},
    }
    assert shown["seen_by"] == "the debug key"
    assert shown["trace"]["input"] == shown["input"]
    assert int(shown["trace"]["gasUsed"], 16) == shown["gas_used"]
    agreed = shown["votes"]["agreed"]
    assert len(agreed) == 3
    assert all(name.startswith("compute-") for name in agreed)
    by_signature = look(network, stored, "--signature", "store(bytes)")
    assert list(by_signature["call"]["arguments"].values()) == ["0x" + secret.hex()]


def test_a_stranger_is_refused_and_sees_what_everybody_sees(
    network: RunningNetwork, stored: str, secret: bytes, tmp_path: Path
) -> None:
    made = run_stranger("provision", "--data", str(tmp_path / "stranger"))
    assert made.returncode == 0, made.stderr
    seen = run_stranger(
        "tx", stored, "--gateway", network.url, "--data", str(tmp_path / "stranger"), "--json"
    )
    assert seen.returncode == 1
    assert "not signed by this network's debug key" in " ".join(seen.stderr.split())
    assert secret.hex() not in seen.stdout + seen.stderr
    shown = json.loads(seen.stdout)
    assert (shown["seen_by"], shown["trace"], shown["input"]) == (None, None, None)
    assert look(network, stored, "--public")["input"] is None


def test_plain_transactions_are_marked_and_shown_as_well(network: RunningNetwork) -> None:
    web3 = connect(network, encrypted=False)
    hash_ = web3.eth.send_transaction(
        {"from": web3.eth.default_account, "to": "0x" + "77" * 20, "value": 1, "gasPrice": 10**11}
    ).to_0x_hex()
    web3.eth.wait_for_transaction_receipt(hash_)
    shown = look(network, hash_)
    assert (shown["encrypted"], shown["envelope"], shown["input"]) == (False, None, "0x")
    assert shown["trace"]["type"] == "CALL"
    printed = network.cli("tx", hash_)
    assert "PLAIN" in printed
    assert "agreed" in printed


@pytest.mark.long
def test_what_comes_in_plain_to_a_listed_contract_fails_and_says_where_from(
    network: RunningNetwork,
) -> None:
    plain, sealed = connect(network, encrypted=False), connect(network, encrypted=True)
    vault = deploy(sealed, "Vault")
    exposed = plain.eth.contract(address=vault.address, abi=vault.abi)
    sent_before = send(plain, exposed.functions.store(b"seen by all"))
    network.rpc("qanat_requireEncryption", [vault.address])
    try:
        store = exposed.functions.store(b"seen by the gateway")
        with pytest.raises(Web3RPCError) as call:
            store.call()
        with pytest.raises(Web3RPCError) as transaction:
            store.transact({**GAS_PRICE, "gas": 200_000})
        receipt = send(sealed, vault.functions.store(b"seen by nobody"))
    finally:
        network.rpc("qanat_requireEncryption", "none")
    for method, refused in (("eth_call", call), ("eth_sendRawTransaction", transaction)):
        message = str(refused.value)
        assert f"{method} to {vault.address.lower()} came in plain" in message
        assert "from peer " in message
        assert "User-Agent 'web3.py/" in message
    assert receipt["status"] == 1
    for one, was_encrypted in ((sent_before, False), (receipt, True)):
        shown = look(network, one["transactionHash"].to_0x_hex())
        assert shown["encrypted"] is was_encrypted
