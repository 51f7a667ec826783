"""What breaks comes back: nodes killed in the middle of a round, whole networks restarted."""

import threading
from typing import Self

import pytest
from eth_account import Account

from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ProcessNetwork, RunningNetwork, wait_for


class Traffic:
    """Sends a transaction after the other until stopped; keeps the receipts."""

    def __init__(self, network: RunningNetwork) -> None:
        self._network = network
        self._stop = threading.Event()
        self.mined = 0
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        web3 = connect(self._network, encrypted=False)
        to = Account.create().address
        try:
            while not self._stop.is_set():
                tx = {"to": to, "value": 1, "gas": 30_000, "gasPrice": 100 * 10**9}
                receipt = web3.eth.wait_for_transaction_receipt(
                    web3.eth.send_transaction(tx), timeout=60, poll_latency=0.01
                )
                assert receipt["status"] == 1
                self.mined += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            self.failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure


def test_roots_are_equal_on_every_node(network: RunningNetwork) -> None:
    with Traffic(network) as traffic:
        wait_for(lambda: traffic.mined >= 20, 60, "twenty transactions")
    network.until_level()
    assert len(network.roots()) == 4


@pytest.mark.long
@pytest.mark.parametrize("part", ["host", "enclave"])
@pytest.mark.parametrize("name", ["compute-0", "compute-1"])
def test_compute_node_killed_mid_round_catches_up(
    network: RunningNetwork, name: str, part: str
) -> None:
    network.until_ready()
    before = network.process(name, part)["pid"]
    with Traffic(network) as traffic:
        wait_for(lambda: traffic.mined >= 3, 60, "traffic flows")
        network.kill(name, part)
        at_kill = traffic.mined
        wait_for(lambda: traffic.mined >= at_kill + 10, 60, "the chain goes on without the node")
    network.until_restarted(name, before, part)
    network.until_ready()
    network.until_level()


@pytest.mark.parametrize("name", ["keymanager-0", "consensus-0"])
def test_network_survives_the_death_of_a_service(network: RunningNetwork, name: str) -> None:
    network.until_ready()
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    before = network.process(name)["pid"]
    network.kill(name)
    network.until_restarted(name, before)
    network.until_ready()
    assert send(web3, vault.functions.store(b"after the fall"))["status"] == 1
    assert vault.functions.reveal().call() == b"after the fall"


def test_gateway_killed_loses_no_block(network: RunningNetwork) -> None:
    network.until_ready()
    web3 = connect(network, encrypted=False)
    vault = deploy(web3, "Vault")
    receipt = send(web3, vault.functions.store(b"x"))
    before = network.process("gateway")["pid"]
    network.kill("gateway")
    network.until_restarted("gateway", before)
    network.until_ready()
    again = web3.eth.get_transaction_receipt(receipt["transactionHash"])
    assert again["blockHash"] == receipt["blockHash"]
    for number in range(max(1, receipt["blockNumber"] - 20), web3.eth.block_number + 1):
        assert web3.eth.get_block(number)["number"] == number


def test_second_start_resumes_the_chain(process_network: ProcessNetwork) -> None:
    network = process_network
    network.until_ready()
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    stored = send(web3, vault.functions.store(b"before the restart"))
    network.down()
    assert "no network runs" in network.cli("down")
    network.up()
    assert network.block_number() >= stored["blockNumber"]
    assert vault.functions.reveal().call() == b"before the restart"
    receipt = send(web3, vault.functions.store(b"after the restart"))
    assert receipt["blockNumber"] > stored["blockNumber"]
    network.until_level()
    assert web3.eth.get_transaction_receipt(stored["transactionHash"])["status"] == 1


def test_epoch_advances_and_old_keys_still_open(network: RunningNetwork) -> None:
    network.until_ready()
    web3 = connect(network, encrypted=True)
    vault = deploy(web3, "Vault")
    first = network.rpc("oasis_callDataPublicKey")
    assert f"epoch {first['epoch'] + 2}" in network.cli("epoch", "advance", "2")
    second = network.rpc("oasis_callDataPublicKey")
    assert second["epoch"] == first["epoch"] + 2
    assert second["key"] != first["key"]
    assert send(web3, vault.functions.store(b"new epoch"))["status"] == 1
    assert vault.functions.reveal().call() == b"new epoch"
