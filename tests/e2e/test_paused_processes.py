"""One process that takes messages and never answers stops nobody else: each in turn, under load."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.test_python_clients import connect, deploy, send
from tests.e2e.test_recovery import Traffic
from tests.support.networks import SECOND_KEY, ProcessNetwork, wait_for

PATIENCE_S = 60
"""A paused worker costs its round's timeout, more than once where it was to propose [s]."""
KEY_PATIENCE_S = 15
"""
Of a contract's creation while a key manager is paused [s].

A second for the node that does not answer, within the timeout of the round; the rest is for a slow
machine.
"""
NODES = [f"compute-{number}" for number in range(4)]
KEY_MANAGERS = ["keymanager-0", "keymanager-1"]


@contextmanager
def paused(network: ProcessNetwork, name: str, part: str) -> Iterator[None]:
    """Stop a process without ending it; it goes on afterwards, and is the same one."""
    pid = network.process(name, part)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.long
@pytest.mark.parametrize("part", ["host", "enclave"])
@pytest.mark.parametrize("name", KEY_MANAGERS)
def test_contract_is_made_and_written_while_a_key_manager_is_paused(
    process_network: ProcessNetwork, name: str, part: str
) -> None:
    network = process_network
    network.until_ready()
    web3 = connect(network, encrypted=True, key=SECOND_KEY)
    with Traffic(network) as traffic, paused(network, name, part):
        began = time.monotonic()
        # A new contract has a key that no node has fetched yet.
        vault = deploy(web3, "Vault")
        assert time.monotonic() - began < KEY_PATIENCE_S
        assert send(web3, vault.functions.store(b"in between"))["status"] == 1
        mined = traffic.mined
        wait_for(lambda: traffic.mined >= mined + 5, PATIENCE_S, "traffic goes on")
    assert vault.functions.reveal().call() == b"in between"
    network.until_ready()


@pytest.mark.long
@pytest.mark.parametrize("part", ["host", "enclave"])
@pytest.mark.parametrize("name", NODES)
def test_chain_goes_on_while_a_compute_node_is_paused(
    process_network: ProcessNetwork, name: str, part: str
) -> None:
    network = process_network
    network.until_ready()
    with Traffic(network) as traffic:
        wait_for(lambda: traffic.mined >= 1, PATIENCE_S, "traffic flows")
        with paused(network, name, part):
            mined = traffic.mined
            wait_for(lambda: traffic.mined >= mined + 2, PATIENCE_S, "the chain goes on")
    network.until_ready()


@pytest.mark.parametrize("name", ["consensus-0", "gateway"])
def test_service_that_was_paused_goes_on_where_it_was(
    process_network: ProcessNetwork, name: str
) -> None:
    network = process_network
    network.until_ready()
    with Traffic(network) as traffic:
        wait_for(lambda: traffic.mined >= 1, PATIENCE_S, "traffic flows")
        with paused(network, name, "host"):
            time.sleep(1.5)
        mined = traffic.mined
        wait_for(lambda: traffic.mined >= mined + 5, PATIENCE_S, "the chain goes on")
    network.until_ready()


@pytest.mark.long
def test_key_manager_that_was_paused_over_an_epoch_gets_what_it_missed(
    process_network: ProcessNetwork,
) -> None:
    network = process_network
    network.until_ready()
    web3 = connect(network, encrypted=True, key=SECOND_KEY)
    with paused(network, "keymanager-1", "enclave"):
        network.cli("epoch", "advance", "1")
        vault = deploy(web3, "Vault")
        epoch = network.rpc("oasis_callDataPublicKey")["epoch"]
    port = network.process("keymanager-1")["ports"][0]

    def has_secret() -> bool:
        url = f"http://127.0.0.1:{port}/v1/keymanager/fetch_status"
        status = httpx.post(url, timeout=30).json()
        return bool(status["is_ready"] and status["epoch"] >= epoch)

    wait_for(has_secret, PATIENCE_S, "it has the secret of this epoch")
    # Now the other one is silent: what it alone held must be here.
    with paused(network, "keymanager-0", "host"):
        assert send(web3, vault.functions.store(b"with the other"))["status"] == 1
        assert deploy(web3, "Vault").functions.reveal().call() == b""
    network.until_ready()
    network.until_level()
