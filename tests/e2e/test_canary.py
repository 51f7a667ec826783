"""
The canary: a secret that a client encrypts is nowhere to be found outside an enclave.

The owner of the network looks at it meanwhile, and what he is shown is nowhere else either. The
positive control sends another secret to the same contract in plain: the same search finds it.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from qanat.provision.debug_key import read_debug_key
from qanat.view.answers import Answers
from qanat.view.chain import find_chain
from qanat.view.gateway import Gateway
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from shared.crypto.hashes import keccak256
from shared.crypto.signing import Signer
from shared.errors import RuntimeRejected
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.eavesdropper import eavesdrop, missing_eavesdropper
from tests.support.networks import ComposeNetwork, ProcessNetwork, RunningNetwork
from tests.support.search import files_with, holds_any, memory_holds, needles_of

NOT_ROOT = missing_eavesdropper()
pytestmark = pytest.mark.skipif(NOT_ROOT is not None, reason=NOT_ROOT or "")


class Search:
    """Everything outside the enclaves, searched for one secret."""

    def __init__(self, network: RunningNetwork, secret: bytes) -> None:
        self._network, self._needles = network, needles_of(secret)

    def places(self, packets: bytes) -> set[str]:
        found = set()
        if holds_any(packets, self._needles):
            found.add("packets")
        if self._on_disk():
            found.add("disk")
        if holds_any(self._network.log_text().encode(), self._needles):
            found.add("logs")
        for process in self._network.processes():
            if process["part"] == "host" and memory_holds(process["pid"], self._needles):
                found.add(f"memory of {process['service']}")
        return found

    def _on_disk(self) -> bool:
        if isinstance(self._network, ProcessNetwork):
            return bool(files_with(self._network.data, self._needles))
        assert isinstance(self._network, ComposeNetwork)
        return any(files_with(root, self._needles) for root in self._network.volumes())


def store(web3: Web3, vault: Any, secret: bytes) -> str:
    """Store a secret; the hash of the transaction."""
    receipt = send(web3, vault.functions.store(secret))
    assert receipt["status"] == 1
    assert vault.functions.matches(secret).call() is True
    time.sleep(1.5)  # a round later everything that will be written has been
    return str(receipt["transactionHash"].to_0x_hex())


def debug_key_of(network: RunningNetwork) -> Signer:
    if isinstance(network, ProcessNetwork):
        return read_debug_key((network.data / "debug-key").read_bytes())
    assert isinstance(network, ComposeNetwork)
    found = (path for root in network.volumes() for path in Path(root).rglob("debug-key"))
    return read_debug_key(next(found).read_bytes())


def look_inside(network: RunningNetwork, vault: Any, secret: bytes) -> list[str]:
    """What the owner is shown, who asks with the secret: traces, a slot, a revert; as JSON."""
    storing = {
        "from": vault.functions.owner().call(),
        "to": vault.address,
        "data": vault.encode_abi("store", args=[secret]),
    }
    first_word = "0x" + keccak256(bytes(32)).hex()
    telltale = "0x7f" + first_word[2:] + "545f5260205ffd"  # reverts with a word of the secret
    questions: tuple[tuple[str, list[Any]], ...] = (
        ("debug_traceCall", [storing, "latest", {"tracer": "callTracer"}]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [storing]}]}, "latest"]),
        ("eth_getStorageAt", [vault.address, first_word, "latest"]),
        ("eth_call", [storing, "latest", {vault.address: {"code": telltale}}]),
    )

    async def ask() -> list[str]:
        async with Gateway(network.url) as gateway:
            chain = await find_chain(gateway)
            key = debug_key_of(network)
            answers = Answers(gateway, chain, Keyring(()), LeakLog(), debug_key=key)
            shown = []
            for method, params in questions:
                try:
                    shown.append(json.dumps(await answers.answer(method, params, {})))
                except RuntimeRejected as error:
                    shown.append((error.data or b"").hex())
            return shown

    return asyncio.run(ask())


@pytest.mark.long
def test_encrypted_secret_is_nowhere_and_plain_one_is_found(network: RunningNetwork) -> None:
    canary, control = os.urandom(64), os.urandom(64)
    encrypted, plain = connect(network, encrypted=True), connect(network, encrypted=False)
    vault = deploy(encrypted, "Vault")
    with eavesdrop() as ear:
        stored = store(encrypted, vault, canary)
        assert canary.hex() in network.cli("tx", stored, "--json")
        traced, simulated, slot, revert = look_inside(network, vault, canary)
        assert canary.hex() in traced
        assert all(canary[:32].hex() in one for one in (traced, slot, revert))
        assert '"status": "0x1"' in simulated
    assert Search(network, canary).places(ear.heard()) == set()

    in_the_open = plain.eth.contract(address=vault.address, abi=vault.abi)
    with eavesdrop() as ear:
        store(plain, in_the_open, control)
    found = Search(network, control).places(ear.heard())
    assert {"packets", "disk"} <= found
    # Storage stays encrypted even then: what is found is the transaction itself.
    assert vault.functions.matches(control).call() is True
