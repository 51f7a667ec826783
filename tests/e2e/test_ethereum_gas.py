"""A new network of profile `dev` charges gas as Ethereum does; an old chain keeps its own rule."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3

from tests.e2e.test_python_clients import connect as connect_sapphire
from tests.support.networks import (
    FIRST_KEY,
    REPLAY_AT,
    SECOND_KEY,
    ProcessNetwork,
    load_artifact,
    port_base,
    run_cli,
)
from tests.support.node_clients import run_client

PORT_BASE = port_base(27545)
SEED = "a run with Ethereum's gas"
RECEIVER = "0x000000000000000000000000000000000000dEaD"
TRANSFER_GAS = 21_000


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    started = ProcessNetwork(tmp_path_factory.mktemp("gas") / "data", PORT_BASE)
    try:
        started.up("--profile", "dev", "--seed", SEED)
        yield started
    finally:
        started.down()
        started.close()


def transfer(network: ProcessNetwork, key: str) -> Any:
    """Sign a transfer with 21,000 gas, as a wallet does, and send it; the receipt."""
    web3, account = Web3(HTTPProvider(network.url)), Account.from_key(key)
    signed = account.sign_transaction(
        {
            "to": RECEIVER,
            "value": 1,
            "gas": TRANSFER_GAS,
            "gasPrice": 100 * 10**9,
            "nonce": web3.eth.get_transaction_count(account.address),
            "chainId": web3.eth.chain_id,
        }
    )
    return web3.eth.wait_for_transaction_receipt(
        web3.eth.send_raw_transaction(signed.raw_transaction)
    )


def test_a_wallet_sends_with_21_000_gas(network: ProcessNetwork) -> None:
    receipt = transfer(network, FIRST_KEY)
    assert (receipt["status"], receipt["gasUsed"]) == (1, TRANSFER_GAS)
    assert network.get("/status").json()["ethereum_gas"] is True
    assert network.get("/v1/profile").json()["has_ethereum_gas"] is True
    assert "ethereum_gas: true" in network.cli("status")


@pytest.mark.node
def test_libraries_estimate_21_000_and_send_with_it(
    network: ProcessNetwork, node_clients: Path
) -> None:
    seen = run_client(node_clients, "transfers.mjs", network.url, SECOND_KEY)
    assert seen == {
        "ethers": {"estimate": TRANSFER_GAS, "status": 1, "used": TRANSFER_GAS},
        "viem": {"estimate": TRANSFER_GAS, "status": 1, "used": TRANSFER_GAS},
    }


def test_what_an_envelope_holds_is_charged_for_and_not_the_envelope(
    network: ProcessNetwork,
) -> None:
    plain = connect_sapphire(network, encrypted=False)
    sealed = connect_sapphire(network, encrypted=True)
    words: Any = {"to": RECEIVER, "value": 1, "data": "0x" + "01" * 8, "gasPrice": 10**11}
    used = []
    for web3 in (plain, sealed):
        estimate = web3.eth.estimate_gas(words)
        sent = web3.eth.send_transaction(words | {"gas": TRANSFER_GAS + 8 * 16})
        receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
        assert receipt["status"] == 1
        used += [estimate, receipt["gasUsed"]]
    assert used == [TRANSFER_GAS + 8 * 16] * 4
    assert bytes(sealed.eth.get_transaction(sent)["input"])[:6] == bytes.fromhex("a264626f6479")


def test_a_contract_is_made_and_called_with_what_is_estimated(network: ProcessNetwork) -> None:
    web3, built = connect_sapphire(network, encrypted=True), load_artifact("Vault")
    factory = web3.eth.contract(abi=built.abi, bytecode=built.bytecode)
    made = web3.eth.wait_for_transaction_receipt(factory.constructor().transact())
    vault = web3.eth.contract(address=made["contractAddress"], abi=built.abi)
    stored = web3.eth.wait_for_transaction_receipt(vault.functions.store(b"kept").transact())
    assert (made["status"], stored["status"]) == (1, 1)
    assert vault.functions.reveal().call() == b"kept"


@pytest.mark.long
def test_a_recording_of_it_replays(network: ProcessNetwork, tmp_path: Path) -> None:
    transfer(network, FIRST_KEY)
    file = tmp_path / "run.jsonl"
    network.cli("record", str(file))
    newest = network.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    assert json.loads(file.read_text().splitlines()[0])["ethereum_gas"] is True
    assert newest in run_cli("replay", str(file), "--seed", SEED, *REPLAY_AT)


@pytest.mark.long
def test_a_chain_keeps_the_rule_that_it_was_made_with(tmp_path: Path) -> None:
    network = ProcessNetwork(tmp_path / "data", PORT_BASE + 100)
    try:
        network.up("--profile", "strict")
        network.down()
        network.up("--profile", "dev")
        assert network.get("/status").json()["ethereum_gas"] is False
        receipt = transfer(network, FIRST_KEY)
        assert receipt["status"] == 0
        assert "out of gas" in receipt["error"]["message"]
        hash_ = Web3.to_hex(receipt["transactionHash"])
        for hint in (
            receipt["error"]["hint"],
            network.rpc("oasis_getTransactionOutcome", hash_)["error"]["hint"],
        ):
            assert "ethereum_gas = true" in hint
            assert "--profile dev" in hint
        assert "ethereum_gas = true" in network.cli("tx", hash_)
    finally:
        network.down()
        network.close()
