"""
The canary: a secret that a client encrypts is nowhere to be found outside an enclave.

The owner of the network looks at it meanwhile, and what he is shown is nowhere else either. The
positive control sends another secret to the same contract in plain: the same search finds it.
"""

import os
import time
from typing import Any

import pytest
from web3 import Web3

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


def test_encrypted_secret_is_nowhere_and_plain_one_is_found(network: RunningNetwork) -> None:
    canary, control = os.urandom(64), os.urandom(64)
    encrypted, plain = connect(network, encrypted=True), connect(network, encrypted=False)
    vault = deploy(encrypted, "Vault")
    with eavesdrop() as ear:
        stored = store(encrypted, vault, canary)
        assert canary.hex() in network.cli("tx", stored, "--json")
    assert Search(network, canary).places(ear.heard()) == set()

    in_the_open = plain.eth.contract(address=vault.address, abi=vault.abi)
    with eavesdrop() as ear:
        store(plain, in_the_open, control)
    found = Search(network, control).places(ear.heard())
    assert {"packets", "disk"} <= found
    # Storage stays encrypted even then: what is found is the transaction itself.
    assert vault.functions.matches(control).call() is True
