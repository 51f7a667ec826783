"""Dumps of every version that was ever written load, and their networks go on."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from qanat.paratime.client import ParaTimeClient
from tests.e2e.kept_dumps import (
    ALICE,
    BOB,
    NETWORK,
    NOTE,
    SECRET,
    SENT,
    GatewayOf,
    KeptDump,
    ask_chain,
    gateway_of,
    list_kept,
)
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.merkle_patricia import verify
from tests.support.networks import (
    ProcessNetwork,
    RpcFailure,
    RunningNetwork,
    load_artifact,
    port_base,
    run_cli,
    running,
    wait_for,
)

PORT_BASE = port_base(24545)
KEPT = list_kept()
BEFORE_PROOFS = "format-1-data-2"
"""Written before public chains kept Ethereum's tries."""


@pytest.fixture(scope="module", params=KEPT, ids=[one.name for one in KEPT])
def kept(request: pytest.FixtureRequest) -> KeptDump:
    one: KeptDump = request.param
    return one


@pytest.fixture(scope="module")
def loaded(kept: KeptDump, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    data = tmp_path_factory.mktemp("kept") / "data"
    run_cli("load", str(kept.file), "--data", str(data))
    network = ProcessNetwork(data, PORT_BASE, data / "network.toml")
    with running(network):
        yield network


@pytest.fixture(scope="module")
def sapphire(loaded: ProcessNetwork) -> Iterator[GatewayOf]:
    gateway = gateway_of(loaded, "sapphire")
    yield gateway
    gateway.close()


def contract(gateway: RunningNetwork, name: str, address: str, *, encrypted: bool) -> Any:
    web3 = connect(gateway, encrypted=encrypted)
    return web3, web3.eth.contract(address=address, abi=load_artifact(name).abi)


def small_network(folder: Path) -> Path:
    """The network of the kept dumps, with its first ParaTime alone."""
    head, _, rest = NETWORK.read_text().partition('[[paratime]]\nname = "emerald"')
    file = folder / "small.toml"
    file.write_text(head + rest[rest.index("[accounts]") :])
    return file


def has_keys(gateway: RunningNetwork) -> bool:
    try:
        return gateway.rpc("oasis_callDataPublicKey") is not None
    except RpcFailure:
        return False


def assert_told_again(told: Any, answer: Any) -> None:
    """Compare what was told with an answer of now, which may have more fields."""
    if isinstance(told, dict):
        assert told.keys() <= answer.keys()
        for key, value in told.items():
            assert_told_again(value, answer[key])
    elif isinstance(told, list):
        assert len(told) == len(answer)
        for one, other in zip(told, answer, strict=True):
            assert_told_again(one, other)
    else:
        assert answer == told


@pytest.mark.long
@pytest.mark.parametrize("paratime", ["sapphire", "emerald"])
def test_history_is_told_as_it_was(kept: KeptDump, loaded: ProcessNetwork, paratime: str) -> None:
    told = {key: one for key, one in kept.told[paratime].items() if key not in ("vault", "token")}
    gateway = gateway_of(loaded, paratime)
    assert_told_again(told, ask_chain(gateway, told))
    gateway.close()


def test_what_was_sealed_opens_and_new_secrets_are_taken(
    kept: KeptDump, sapphire: GatewayOf
) -> None:
    web3, vault = contract(sapphire, "Vault", kept.told["sapphire"]["vault"], encrypted=True)
    assert vault.functions.reveal().call() == SECRET
    assert send(web3, vault.functions.store(b"of today"))["status"] == 1
    assert vault.functions.reveal().call() == b"of today"


def test_public_state_is_there_and_goes_on(kept: KeptDump, loaded: ProcessNetwork) -> None:
    told = kept.told["emerald"]
    gateway = gateway_of(loaded, "emerald")
    web3, token = contract(gateway, "Token", told["token"], encrypted=False)
    _, other = told["balances"]
    assert token.functions.balanceOf(web3.to_checksum_address(other)).call() == SENT
    assert send(web3, token.functions.transfer(web3.eth.default_account, 1))["status"] == 1
    gateway.close()


def test_a_public_chain_that_is_older_than_proofs_begins_to_prove(
    kept: KeptDump, loaded: ProcessNetwork
) -> None:
    told, gateway = kept.told["emerald"], gateway_of(loaded, "emerald")
    keys = [hex(slot) for slot in range(4)]
    if kept.name == BEFORE_PROOFS:
        with pytest.raises(RpcFailure, match="qanat_keepProofs"):
            gateway.rpc("eth_getProof", told["token"], keys, "latest")
    number = gateway.rpc("qanat_keepProofs")
    root = gateway.rpc("eth_getBlockByNumber", number, False)["stateRoot"]
    for account in (told["token"], told["vault"], *told["balances"]):
        proof = gateway.rpc("eth_getProof", account, keys, number)
        slots = verify(proof, root)
        assert proof["balance"] == gateway.rpc("eth_getBalance", account, number)
        assert slots == {
            key: int(gateway.rpc("eth_getStorageAt", account, key, number), 16) for key in keys
        }
    gateway.close()


def test_a_program_in_python_has_its_state(kept: KeptDump, loaded: ProcessNetwork) -> None:
    gateway, number = gateway_of(loaded, "notes"), kept.told["notes"]["note"]
    with ParaTimeClient(gateway.url, BOB) as bob, ParaTimeClient(gateway.url, ALICE) as alice:
        assert bob.read("notes.Read", number)["text"] == NOTE
        assert alice.send("notes.Write", "another") == number + 1
    gateway.close()


def test_what_a_public_chain_dumps_a_confidential_one_takes(
    kept: KeptDump, loaded: ProcessNetwork, sapphire: GatewayOf
) -> None:
    gateway, told = gateway_of(loaded, "emerald"), kept.told["emerald"]
    call = {
        "to": told["vault"],
        "data": connect(gateway, encrypted=False)
        .eth.contract(abi=load_artifact("Vault").abi)
        .encode_abi("owner"),
    }
    # Its own contract stands at that address, with the same owner: another one shows the load.
    moved = "0x" + "ab" * 20
    dump = json.loads(gzip.decompress(bytes.fromhex(gateway.rpc("anvil_dumpState")[2:])))
    accounts = {moved: dump["accounts"][told["vault"].lower()]}
    packed = "0x" + json.dumps({"accounts": accounts}).encode().hex()
    assert sapphire.rpc("anvil_loadState", packed)
    assert sapphire.rpc("eth_call", call | {"to": moved}, "latest") == gateway.rpc(
        "eth_call", call, "latest"
    )
    gateway.close()


def test_a_network_begins_with_what_another_one_dumped(
    kept: KeptDump, loaded: ProcessNetwork, tmp_path: Path
) -> None:
    gateway, told = gateway_of(loaded, "emerald"), kept.told["emerald"]
    state = tmp_path / "state.json.gz"
    state.write_bytes(bytes.fromhex(gateway.rpc("anvil_dumpState")[2:]))
    gateway.close()
    network = ProcessNetwork(tmp_path / "data", port_base(25545), small_network(tmp_path))
    try:
        network.up("--genesis", str(state))
        # A public chain's contracts stand in a confidential one, with what they kept.
        _, vault = contract(network, "Vault", told["vault"], encrypted=True)
        assert vault.functions.reveal().call() == SECRET
        _, token = contract(network, "Token", told["token"], encrypted=False)
        _, other = told["balances"]
        assert token.functions.balanceOf(Web3.to_checksum_address(other)).call() == SENT
    finally:
        network.down()
        network.close()


def test_key_managers_give_keys_to_the_code_of_now_alone(loaded: ProcessNetwork) -> None:
    summary = json.loads((loaded.data / "public" / "network.json").read_text())
    allowed = json.loads(loaded.cli("policy", "show", "--json"))
    assert {one["mrenclave"] for one in allowed} == {
        summary["enclaves"][name] for name in ("sapphire", "notes")
    }
    assert not (loaded.data / "succession.cbor").exists()


def test_the_network_goes_back_to_a_snapshot_and_to_its_start(sapphire: GatewayOf) -> None:
    """The start of what code of now did: the code that made the dump runs no more."""
    started, taken = sapphire.block_number(), sapphire.rpc("evm_snapshot")
    sapphire.rpc("evm_mine")
    assert sapphire.rpc("evm_revert", taken)
    assert sapphire.block_number() == started
    sapphire.rpc("hardhat_reset")
    assert sapphire.block_number() < started
    # The public gateway may have been ready, and the start remembered, before there were keys.
    wait_for(lambda: has_keys(sapphire), 60, "there are keys")
    web3 = connect(sapphire, encrypted=True)
    vault = deploy(web3, "Vault")
    assert send(web3, vault.functions.store(b"once more"))["status"] == 1
    assert vault.functions.reveal().call() == b"once more"
