"""A network with a seed makes the same blocks again, and `qanat replay` proves it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from web3 import Web3
from web3.types import Wei

from tests.e2e.test_python_clients import GAS_PRICE, SECRET, connect, deploy, send
from tests.support.networks import REPLAY_AT, ProcessNetwork, port_base, run_cli

PORT_BASE = port_base(22545)
SEED = "a seed that everybody may know"
REPLAY = ("replay", "--seed", SEED, *REPLAY_AT)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[ProcessNetwork]:
    running = ProcessNetwork(tmp_path / "data", PORT_BASE)
    running.up("--seed", SEED)
    yield running
    running.down()
    running.close()


def play(network: ProcessNetwork) -> None:
    """Plain and encrypted transactions, one that fails, time, mined blocks, and a new epoch."""
    plain = connect(network, encrypted=False)
    vault = deploy(connect(network, encrypted=True), "Vault")
    send(connect(network, encrypted=True), vault.functions.store(SECRET))
    pay(plain)
    network.rpc("evm_increaseTime", 3_600)
    pay(plain)
    network.rpc("evm_setNextBlockTimestamp", newest(network)["timestamp"] + 100)
    pay(plain)
    network.cli("epoch", "advance")
    send(connect(network, encrypted=True), vault.functions.store(SECRET))
    network.rpc("hardhat_mine", "0x2", "0x3c")
    pay(plain)


def pay(web3: Web3) -> None:
    paid = web3.eth.send_transaction({"to": "0x" + "11" * 20, "value": Wei(1), **GAS_PRICE})
    assert web3.eth.wait_for_transaction_receipt(paid, poll_latency=0.02)["status"] == 1


def newest(network: ProcessNetwork) -> dict[str, int]:
    block = network.rpc("eth_getBlockByNumber", "latest", False)
    return {"timestamp": int(block["timestamp"], 16)}


def test_recorded_run_comes_out_the_same_and_a_changed_one_does_not(
    network: ProcessNetwork, tmp_path: Path
) -> None:
    play(network)
    file = tmp_path / "run.jsonl"
    network.cli("record", str(file))
    newest_hash = network.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    assert newest_hash in run_cli(*REPLAY, str(file))

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    paid = [line for line in lines[1:] if line["transactions"]]
    paid[-1]["transactions"], paid[-2]["transactions"] = (
        paid[-2]["transactions"],
        paid[-1]["transactions"],
    )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(AssertionError, match=rf"round {paid[-2]['round']}\b"):
        run_cli(*REPLAY, str(file))


@pytest.mark.long
def test_a_run_that_began_with_accounts_of_a_file_is_replayed_with_them(tmp_path: Path) -> None:
    file, run = tmp_path / "genesis.json", tmp_path / "run.jsonl"
    file.write_text(json.dumps({"alloc": {"0x" + "00" * 19 + "aa": {"balance": "0x64"}}}))
    network = ProcessNetwork(tmp_path / "data", PORT_BASE)
    try:
        network.up("--seed", SEED, "--genesis", str(file))
        pay(connect(network, encrypted=False))
        network.cli("record", str(run))
    finally:
        network.down()
        network.close()
    with pytest.raises(AssertionError, match="state_root"):
        run_cli(*REPLAY, str(run))
    assert "are the same" in run_cli(*REPLAY, str(run), "--genesis", str(file))
