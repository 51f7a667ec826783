"""A network with a small window of states: what a client sees of blocks beyond it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_evm_snapshots import ACCOUNT, RECEIVER, balance, send
from tests.support.networks import (
    ROOT,
    ProcessNetwork,
    RpcFailure,
    port_base,
    run_cli,
    running,
    wait_for,
)

PORT_BASE = port_base(16545)
KEPT_HEIGHTS, KEPT_ROUNDS = 256, 40
COMPUTE_NODES = 4


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    folder = tmp_path_factory.mktemp("pruned")
    text = (ROOT / "networks" / "default.toml").read_text()
    for field, addition in (
        ('nodes = ["consensus-0"]', f"keep_heights = {KEPT_HEIGHTS}"),
        ("evm_chain_id = 0x5afd", f"keep_rounds = {KEPT_ROUNDS}"),
    ):
        text = text.replace(field, f"{field}\n{addition}", 1)
    file = folder / "pruned.toml"
    file.write_text(text)
    network = ProcessNetwork(folder / "data", PORT_BASE, file)
    with running(network):
        yield network


def balance_at(network: ProcessNetwork, block: int) -> int:
    return int(network.rpc("eth_getBalance", RECEIVER, hex(block)), 16)


def is_pruned(network: ProcessNetwork, block: int) -> bool:
    """Say whether every node refuses: they are asked in turn, and each prunes in its own time."""
    for _ in range(2 * COMPUTE_NODES):
        try:
            balance_at(network, block)
        except RpcFailure:
            continue
        return False
    return True


def mine_heights(network: ProcessNetwork, count: int) -> None:
    for _ in range(count):
        network.rpc("evm_mine")


@pytest.mark.long
def test_old_states_are_refused_and_all_else_goes_on(pruned: ProcessNetwork) -> None:
    send(pruned, 1)
    first = pruned.block_number()
    assert balance_at(pruned, first) == 1
    mine_heights(pruned, KEPT_HEIGHTS + 3 * KEPT_ROUNDS)
    snapshot, at = pruned.rpc("evm_snapshot"), pruned.block_number()
    wait_for(lambda: is_pruned(pruned, first), 60, "the state of an early block is pruned")
    for method, *parameters in (
        ("eth_getBalance", RECEIVER),
        ("eth_call", {"to": RECEIVER}),
        ("eth_getStorageAt", RECEIVER, "0x0"),
        ("eth_getTransactionCount", ACCOUNT.address),
        ("eth_getCode", RECEIVER),
    ):
        with pytest.raises(RpcFailure, match=rf"missing trie node: the state of round {first} is"):
            pruned.rpc(method, *parameters, hex(first))
    # History is no state: blocks, receipts and logs stay.
    assert pruned.rpc("eth_getBlockByNumber", hex(first), False)["number"] == hex(first)
    assert balance_at(pruned, at - KEPT_ROUNDS) == balance(pruned) == 1
    # A snapshot keeps its state, however far behind.
    send(pruned, 10)
    mine_heights(pruned, KEPT_HEIGHTS + 3 * KEPT_ROUNDS)
    wait_for(lambda: is_pruned(pruned, at - KEPT_ROUNDS), 60, "what is before the snapshot")
    assert balance_at(pruned, at) == 1
    assert pruned.rpc("evm_revert", snapshot) is True
    assert balance(pruned) == 1
    send(pruned, 5)
    assert balance(pruned) == 6


@pytest.mark.long
def test_a_dump_of_it_goes_on_elsewhere(pruned: ProcessNetwork, tmp_path: Path) -> None:
    before = balance(pruned)
    pruned.down()
    pruned.cli("dump", str(tmp_path / "network.dump"))
    run_cli("load", str(tmp_path / "network.dump"), "--data", str(tmp_path / "data"))
    loaded = ProcessNetwork(tmp_path / "data", PORT_BASE, tmp_path / "data" / "network.toml")
    try:
        loaded.up()
        assert balance(loaded) == before
        with pytest.raises(RpcFailure, match="missing trie node"):
            balance_at(loaded, 2)
        send(loaded, 7)
        assert balance(loaded) == before + 7
    finally:
        loaded.down()
        loaded.close()
