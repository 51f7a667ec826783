"""`qanat view` beside a network: unmodified tools, and nothing of theirs in plain on chain."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.types import TxParams

from tests.support.networks import RpcFailure, RunningNetwork, load_artifact
from tests.support.node_clients import run_client
from tests.support.view_command import RunningView

KEY = "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"
OWNER = Account.from_key(KEY).address
ENVELOPE = "0xa264626f6479a4"
SECRET = b"what a plain tool hides from everybody"


@pytest.fixture(scope="module")
def network(process_network: RunningNetwork) -> RunningNetwork:
    """One launcher is enough: `qanat view` sees a gateway's URL."""
    return process_network


@pytest.fixture(scope="module")
def view(network: RunningNetwork) -> Iterator[RunningView]:
    running = RunningView(network)
    yield running
    assert running.close() == 0
    assert running.lines[-1] == "stopped"


def sent_to(network: RunningNetwork, address: str, since: int) -> list[dict[str, Any]]:
    """Every transaction to an address since a block, as everybody sees it."""
    blocks = (
        network.rpc("eth_getBlockByNumber", hex(number), True)
        for number in range(since, network.block_number() + 1)
    )
    return [
        one for block in blocks for one in block["transactions"] if one["to"] == address.lower()
    ]


def test_web3_py_without_any_middleware(network: RunningNetwork, view: RunningView) -> None:
    """The node signs for it, through the ends of more epochs than a key lasts."""
    began = network.block_number()
    web3 = Web3(HTTPProvider(view.url))
    assert OWNER in web3.eth.accounts
    web3.eth.default_account = OWNER

    def done(hash_: Any) -> Any:
        return web3.eth.wait_for_transaction_receipt(hash_, timeout=60, poll_latency=0.02)

    artifact = load_artifact("Vault")
    factory = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    vault = web3.eth.contract(
        address=done(factory.constructor().transact())["contractAddress"], abi=artifact.abi
    )
    assert done(vault.functions.store(SECRET).transact())["status"] == 1
    network.cli("epoch", "advance", "7")
    assert vault.functions.reveal().call() == SECRET
    assert done(vault.functions.store(SECRET[::-1]).transact())["status"] == 1
    assert vault.functions.reveal().call() == SECRET[::-1]
    assert vault.functions.whoAmI().call() == OWNER
    with pytest.raises(ContractLogicError, match="the reason is plain"):
        vault.functions.failWithReason().call()
    with pytest.raises(ContractCustomError):
        vault.functions.failWithCustomError().call({"from": web3.eth.accounts[1]})

    # The same call without `qanat view`: its owner is nobody, and the input is an envelope.
    bare = Web3(HTTPProvider(network.url)).eth.contract(vault.address, abi=artifact.abi)
    with pytest.raises(ContractCustomError):
        bare.functions.reveal().call({"from": OWNER})
    inputs = [one["input"] for one in sent_to(network, vault.address, began)]
    assert len(inputs) == 2
    assert all(one.startswith(ENVELOPE) and SECRET.hex() not in one for one in inputs)


def test_who_holds_the_debug_key_looks_into_contracts(
    network: RunningNetwork, view: RunningView
) -> None:
    """Slots, traces of calls, overrides, simulations; the gateway shows nobody any of it."""
    web3 = Web3(HTTPProvider(view.url))
    artifact = load_artifact("Vault")
    vault = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)

    def mine(call: Any) -> Any:
        receipt = web3.eth.wait_for_transaction_receipt(call.transact({"from": OWNER}), timeout=60)
        assert receipt["status"] == 1
        return receipt

    vault = web3.eth.contract(mine(vault.constructor())["contractAddress"], abi=artifact.abi)
    mine(vault.functions.store(SECRET))
    place = int.from_bytes(Web3.keccak(bytes(32)), "big")
    words = b"".join(web3.eth.get_storage_at(vault.address, place + n) for n in range(2))
    assert words.rstrip(b"\0") == SECRET
    asked = {"from": OWNER, "to": vault.address, "data": vault.encode_abi("reveal")}
    reader = "0x7f" + place.to_bytes(32, "big").hex() + "545f5260205ff3"
    pretended = web3.eth.call(asked, "latest", {vault.address: {"code": reader}})  # type: ignore[typeddict-item]
    assert pretended == SECRET[:32]
    access = web3.eth.create_access_list(asked)  # type: ignore[arg-type]
    assert len(access["accessList"][0]["storageKeys"]) == 3

    def ask(method: str, *params: Any) -> Any:
        return web3.manager.request_blocking(method, list(params))  # type: ignore[arg-type]

    questions: tuple[tuple[Any, ...], ...] = (
        ("debug_traceCall", asked, "latest", {"tracer": "callTracer"}),
        ("eth_simulateV1", {"blockStateCalls": [{"calls": [asked]}]}, "latest"),
        ("trace_call", asked, ["trace"], "latest"),
    )
    for method, *params in questions:
        assert SECRET.hex() in Web3.to_json(ask(method, *params))
        with pytest.raises(RpcFailure, match="keep secrets"):
            network.rpc(method, *params)
    assert int(network.rpc("eth_getStorageAt", vault.address, hex(place), "latest"), 16) == 0


@pytest.mark.node
def test_viem_and_ethers_without_any_library(
    network: RunningNetwork, view: RunningView, node_clients: Path
) -> None:
    began, artifact = network.block_number(), load_artifact("Vault")
    seen = run_client(node_clients, "view.mjs", str(view.url), KEY, str(artifact.path))
    assert (seen["status"], seen["sameHash"], seen["inputInPlain"]) == ("success", True, True)
    assert (seen["whoAmI"], seen["reason"]) == (True, "the reason is plain")
    assert seen["ethers"] == {"status": 1, "revealed": True, "custom": "NotOwner"}
    on_chain = sent_to(network, seen["vault"], began)
    assert [one["input"].startswith(ENVELOPE) for one in on_chain] == [True, True]
    assert on_chain[0]["hash"] == seen["chainHash"]


@pytest.mark.node
def test_cast_signs_calls_and_reads_its_transaction(
    network: RunningNetwork, view: RunningView, node_clients: Path
) -> None:
    began = network.block_number()
    (binary,) = node_clients.glob("node_modules/@foundry-rs/cast-*/bin/cast")

    def cast(*arguments: str) -> str:
        done = subprocess.run(
            [str(binary), arguments[0], "--rpc-url", str(view.url), *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"NO_COLOR": "1"},
        )
        return done.stdout.strip() or done.stderr

    code = load_artifact("Vault").bytecode
    vault = json.loads(cast("send", "--private-key", KEY, "--json", "--create", code))[
        "contractAddress"
    ]
    secret = "0x" + SECRET.hex()
    signed = json.loads(cast("send", "--private-key", KEY, "--json", vault, "store(bytes)", secret))
    assert signed["status"] == "0x1"
    unlocked = json.loads(
        cast("send", "--unlocked", "--from", OWNER, "--json", vault, "store(bytes)", secret)
    )
    assert unlocked["status"] == "0x1"
    assert cast("call", "--from", OWNER, vault, "reveal()(bytes)") == secret
    assert "the reason is plain" in cast("call", vault, "failWithReason()")
    assert secret[2:] in cast("tx", signed["transactionHash"], "input")
    assert int(cast("storage", vault, "0"), 16) == 2 * len(SECRET) + 1
    # What nobody sees at the gateway: by the debug key in the network's data directory.
    hash_, tracer = signed["transactionHash"], '{"tracer":"callTracer"}'
    assert secret[2:] in json.loads(cast("rpc", "debug_traceTransaction", hash_, tracer))["input"]
    on_chain = sent_to(network, vault, began)
    assert all(one["input"].startswith(ENVELOPE) for one in on_chain)
    with pytest.raises(RpcFailure, match="keep secrets"):
        network.rpc("debug_traceTransaction", on_chain[0]["hash"], json.loads(tracer))
    told = [line for line in view.lines if vault.lower() in line]
    assert any("eth_sendRawTransaction" in one and "signed anew" in one for one in told)
    assert SECRET.hex() not in "".join(told)


class Forge:
    """Forge in a project of its own, against one endpoint."""

    def __init__(self, packages: Path, folder: Path, url: str | None) -> None:
        (self._binary,) = packages.glob("node_modules/@foundry-rs/forge-*/bin/forge")
        self._project, self._folder = packages / "foundry", folder
        self._options = ["--rpc-url", str(url), "--broadcast", "--json", "--private-key", KEY]
        for option in ("--out", "--cache-path"):
            self._options += [option, str(folder / option[2:])]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._binary), *arguments, *self._options],
            cwd=self._project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"FOUNDRY_BROADCAST": str(self._folder), "NO_COLOR": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def broadcast_many(self) -> str:
        """Run the script of one creation and 59 calls; returns where the box is."""
        self.run("script", "script/Many.s.sol:Many")
        (record,) = self._folder.glob("Many.s.sol/*/run-latest.json")
        receipts = json.loads(record.read_text())["receipts"]
        assert len(receipts) == 60
        assert {one["status"] for one in receipts} == {"0x1"}
        (made,) = (one["contractAddress"] for one in receipts if one["contractAddress"])
        return Web3.to_checksum_address(made)


def read_number(url: str | None, box: str, function: str, sender: str) -> int:
    call: TxParams = {"to": box, "from": sender, "data": Web3.keccak(text=function)[:4]}
    return int(Web3(HTTPProvider(url)).eth.call(call).hex(), 16)


@pytest.mark.long
@pytest.mark.node
def test_forge_broadcasts_sixty_transactions_of_one_account(
    network: RunningNetwork, view: RunningView, node_clients: Path, tmp_path: Path
) -> None:
    began, forge = network.block_number(), Forge(node_clients, tmp_path, view.url)
    box = forge.broadcast_many()
    assert read_number(view.url, box, "writes()", OWNER) == 59
    assert read_number(view.url, box, "reveal()", OWNER) == 0xFEEDFACECAFEBEEF0000 + 59
    inputs = [one["input"] for one in sent_to(network, box, began)]
    assert len(inputs) == 59
    assert not any("feedfacecafebeef" in one for one in inputs)

    created = json.loads(forge.run("create", "script/Many.s.sol:Box"))
    assert network.rpc("eth_getCode", created["deployedTo"], "latest") != "0x"


@pytest.mark.node
def test_forge_broadcasts_in_plain_to_the_gateway(
    network: RunningNetwork, node_clients: Path, tmp_path: Path
) -> None:
    began, forge = network.block_number(), Forge(node_clients, tmp_path, network.url)
    box = forge.broadcast_many()
    assert read_number(network.url, box, "writes()", OWNER) == 59
    inputs = [one["input"] for one in sent_to(network, box, began)]
    assert len(inputs) == 59
    assert all("feedfacecafebeef" in one for one in inputs)

    created = json.loads(forge.run("create", "script/Many.s.sol:Box"))
    assert network.rpc("eth_getCode", created["deployedTo"], "latest") != "0x"
