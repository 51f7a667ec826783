"""Several ParaTimes on one consensus: what happens to one leaves the others as they were."""

import contextlib
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from eth_account import Account
from web3 import Web3

from qanat.paratime.client import ParaTimeClient
from qanat.paratime.signing import Account as Author
from shared.errors import RuntimeRejected
from tests.support.merkle_patricia import verify
from tests.support.networks import (
    FIRST_KEY,
    ROOT,
    SECOND_KEY,
    ProcessNetwork,
    RpcFailure,
    RunningNetwork,
    port_base,
    running,
    wait_for,
)
from tests.support.node_clients import run_client
from tests.support.nodes import compute_status, escrows, slashed

SAPPHIRE, EMERALD, NOTES = "sapphire", "emerald", "notes"
IDS = {SAPPHIRE: "80" + "00" * 31, EMERALD: "80" + "00" * 30 + "01"}
LIAR = "compute-2"
INCORRECT_RESULTS = 50_000_000_000
OBSERVED_S = 6.0
STALL_S = 1.0
"""
Median latency of who waits for another ParaTime [s]: a round's own timeout is 2 s.

Anything less is the machine's, whose cores all of them share.
"""


class GatewayOf(RunningNetwork):
    """The JSON-RPC of one ParaTime of a network."""

    kind = "processes"


@pytest.fixture(scope="module")
def paratimes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    """networks/paratimes.toml, with an enclave that can lie in the public ParaTime."""
    root = tmp_path_factory.mktemp("paratimes")
    file = root / "paratimes.toml"
    liar = f'[[node]]\nname = "{LIAR}"\ncan_lie = ["{EMERALD}"]\n\n[accounts]'
    text = (ROOT / "networks" / "paratimes.toml").read_text()
    file.write_text(text.replace("[accounts]", liar))
    network = ProcessNetwork(root / "data", port_base(21545), file)
    with running(network):
        yield network


@pytest.fixture(scope="module")
def gateways(paratimes: ProcessNetwork) -> Iterator[dict[str, GatewayOf]]:
    ports = {p["paratime"]: p["ports"][0] for p in paratimes.processes() if "gateway" in p["name"]}
    opened = {name: GatewayOf(ports[name]) for name in (SAPPHIRE, EMERALD)}
    yield opened
    for gateway in opened.values():
        gateway.close()


def send_to(gateway: GatewayOf, key: str = FIRST_KEY) -> float:
    """Transfer a token and wait for the receipt; how long that took [s]."""
    web3 = Web3(Web3.HTTPProvider(gateway.url))
    account = Account.from_key(key)
    tx = {
        "to": Account.create().address,
        "value": 1,
        "gas": 30_000,
        "gasPrice": 100 * 10**9,
        "chainId": web3.eth.chain_id,
        "nonce": web3.eth.get_transaction_count(account.address),
    }
    began = time.monotonic()
    tx_hash = web3.eth.send_raw_transaction(account.sign_transaction(tx).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(tx_hash, timeout=60, poll_latency=0.01)
    assert receipt["status"] == 1
    return time.monotonic() - began


def rounds_in(gateway: GatewayOf, seconds: float) -> int:
    """How many rounds a ParaTime makes in a while."""
    first = gateway.block_number()
    time.sleep(seconds)
    return gateway.block_number() - first


def latency_s(gateway: GatewayOf) -> float:
    """Median time from a transaction to its receipt [s]."""
    return statistics.median(send_to(gateway) for _ in range(7))


@pytest.mark.long
def test_each_paratime_answers_for_itself(gateways: dict[str, GatewayOf]) -> None:
    assert gateways[SAPPHIRE].rpc("eth_chainId") == "0x5afd"
    assert gateways[EMERALD].rpc("eth_chainId") == "0xa514"
    assert gateways[SAPPHIRE].rpc("oasis_callDataPublicKey")["key"]
    with pytest.raises(RpcFailure):
        gateways[EMERALD].rpc("oasis_callDataPublicKey")
    before = {name: gateway.block_number() for name, gateway in gateways.items()}
    account = Account.from_key(FIRST_KEY).address
    send_to(gateways[EMERALD])
    assert int(gateways[EMERALD].rpc("eth_getTransactionCount", account, "latest"), 16) == 1
    assert int(gateways[SAPPHIRE].rpc("eth_getTransactionCount", account, "latest"), 16) == 0
    send_to(gateways[SAPPHIRE])
    assert all(gateway.block_number() > before[name] for name, gateway in gateways.items())


def test_public_paratime_shows_what_a_transaction_did_and_a_confidential_one_does_not(
    gateways: dict[str, GatewayOf],
) -> None:
    web3 = Web3(Web3.HTTPProvider(gateways[EMERALD].url))
    send_to(gateways[EMERALD])
    account = Account.from_key(FIRST_KEY).address
    nonce = web3.eth.get_transaction_count(account) - 1
    tx_hash = gateways[EMERALD].rpc("ots_getTransactionBySenderAndNonce", account, nonce)
    (frame,) = web3.tracing.trace_transaction(tx_hash)
    assert frame["action"]["from"].lower() == account.lower()
    # Each node replays it alike; they are asked in turn.
    traces = [
        gateways[EMERALD].rpc("debug_traceTransaction", tx_hash, {"tracer": "callTracer"})
        for _ in range(4)
    ]
    receipt = web3.eth.get_transaction_receipt(tx_hash)
    assert {int(trace["gasUsed"], 16) for trace in traces} == {receipt["gasUsed"]}
    send_to(gateways[SAPPHIRE])
    block = gateways[SAPPHIRE].rpc("eth_blockNumber")
    for method, *params in (
        ("debug_traceCall", {"to": account}, "latest"),
        ("trace_call", {"to": account}, ["trace"]),
        ("eth_createAccessList", {"to": account}),
        ("eth_simulateV1", {"blockStateCalls": [{"calls": [{"to": account}]}]}, block),
    ):
        with pytest.raises(RpcFailure, match="keep secrets"):
            gateways[SAPPHIRE].rpc(method, *params)


@pytest.mark.node
def test_ethers_and_viem_read_traces_and_simulations(
    gateways: dict[str, GatewayOf], node_clients: Path
) -> None:
    seen = run_client(node_clients, "traces.mjs", gateways[EMERALD].url, SECOND_KEY)
    zero, eight, nine = (f"0x{number:064x}" for number in (0, 8, 9))
    assert seen["gasUsed"][0] == seen["gasUsed"][1]
    assert (seen["input"], seen["last"]) == (eight, "STOP")
    assert seen["after"] == {zero: eight}
    assert seen["simulated"] == [[["success", "0x"]], [["success", nine]]]
    assert seen["numbers"][1] == seen["numbers"][0] + 1
    assert [one["storageKeys"] for one in seen["accessed"]] == [[zero]]
    assert seen["read"] == eight
    assert list(verify(seen["proof"], seen["stateRoot"]).values()) == [8]


def test_paratime_in_python_answers_beside_them(paratimes: ProcessNetwork) -> None:
    url = f"http://127.0.0.1:{paratimes.process('gateway-notes')['ports'][0]}"
    with ParaTimeClient(url, Author()) as author, ParaTimeClient(url, Author()) as stranger:
        number = author.send("notes.Write", "among the three")
        assert author.read("notes.Read", number)["text"] == "among the three"
        with pytest.raises(RuntimeRejected):
            stranger.read("notes.Read", number)


def test_ps_and_roots_name_the_paratime(paratimes: ProcessNetwork) -> None:
    listed = {(p["name"], p["part"], p["paratime"]) for p in paratimes.processes()}
    assert ("compute-0", "host", f"{SAPPHIRE},{EMERALD}") in listed
    assert ("compute-1", "host", f"{SAPPHIRE},{EMERALD},{NOTES}") in listed
    assert {("compute-0", "enclave", name) for name in (SAPPHIRE, EMERALD)} <= listed
    assert ("gateway-emerald", "host", EMERALD) in listed
    assert ("keymanager-0", "enclave", None) in listed
    roots = json.loads(paratimes.cli("roots", "--json"))
    assert {(one["name"], one["paratime"]) for one in roots} >= {
        ("compute-0", SAPPHIRE),
        ("compute-0", EMERALD),
        ("compute-3", SAPPHIRE),
    }


@contextmanager
def halted(network: ProcessNetwork, paratime: str) -> Iterator[None]:
    """Stop the clock of every enclave of a ParaTime."""
    pids = [
        p["pid"]
        for p in network.processes()
        if p["part"] == "enclave" and p["paratime"] == paratime
    ]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_halted_paratime_leaves_the_others_rounds(
    paratimes: ProcessNetwork, gateways: dict[str, GatewayOf]
) -> None:
    rounds, latency = rounds_in(gateways[SAPPHIRE], OBSERVED_S), latency_s(gateways[SAPPHIRE])
    with halted(paratimes, EMERALD):
        time.sleep(1)  # a round that was under way ends
        stood = gateways[EMERALD].block_number()
        rounds_now = rounds_in(gateways[SAPPHIRE], OBSERVED_S)
        latency_now = latency_s(gateways[SAPPHIRE])
        assert gateways[EMERALD].block_number() == stood
    print(
        f"rounds in {OBSERVED_S:g} s: {rounds} before, {rounds_now} while the other one is halted"
    )
    print(f"latency: {1000 * latency:.0f} ms before, {1000 * latency_now:.0f} ms")
    assert rounds_now >= rounds - 2
    assert latency_now < STALL_S
    wait_for(lambda: gateways[EMERALD].block_number() > stood, 60, "the halted ParaTime goes on")
    send_to(gateways[EMERALD])


class Flood:
    """Sends transactions to a gateway as fast as it takes them, until stopped."""

    def __init__(self, gateway: GatewayOf) -> None:
        self._gateway = gateway
        self._web3 = Web3(Web3.HTTPProvider(gateway.url))
        self._pool = ThreadPoolExecutor(16)
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        account = Account.from_key(SECOND_KEY)
        nonce = self._web3.eth.get_transaction_count(account.address)
        tx = {"to": account.address, "value": 1, "gas": 30_000, "gasPrice": 100 * 10**9}
        tx["chainId"] = self._web3.eth.chain_id
        while not self._stop.is_set():
            raws = [
                account.sign_transaction(tx | {"nonce": nonce + i}).raw_transaction.to_0x_hex()
                for i in range(64)
            ]
            list(self._pool.map(self._send, raws))
            nonce, self.sent = nonce + len(raws), self.sent + len(raws)

    def _send(self, raw: str) -> None:
        with contextlib.suppress(RpcFailure):  # a full pool refuses; that is a flood, too
            self._gateway.rpc("eth_sendRawTransaction", raw)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()


@pytest.mark.long
def test_flooded_paratime_leaves_the_others_rounds(
    paratimes: ProcessNetwork, gateways: dict[str, GatewayOf]
) -> None:
    rounds, latency = rounds_in(gateways[SAPPHIRE], OBSERVED_S), latency_s(gateways[SAPPHIRE])
    with Flood(gateways[EMERALD]) as flood:
        wait_for(lambda: flood.sent >= 20, 60, "the flood begins")
        rounds_now = rounds_in(gateways[SAPPHIRE], OBSERVED_S)
        latency_now = latency_s(gateways[SAPPHIRE])
    print(f"rounds in {OBSERVED_S:g} s: {rounds} before, {rounds_now} while the other is flooded")
    print(
        f"latency: {1000 * latency:.0f} ms before, {1000 * latency_now:.0f} ms; {flood.sent} sent"
    )
    assert flood.sent >= 128
    assert rounds_now >= rounds - 2
    assert latency_now < STALL_S


@pytest.mark.long
def test_lying_worker_of_one_paratime_is_slashed_and_the_others_notice_nothing(
    paratimes: ProcessNetwork, gateways: dict[str, GatewayOf]
) -> None:
    for _ in range(30):
        if compute_status(paratimes, LIAR, IDS[EMERALD]).is_worker:
            break
        paratimes.cli("epoch", "advance")
    before = escrows(paratimes)
    first = gateways[SAPPHIRE].block_number()
    for _ in range(8):
        # Of two rounds in a row the liar schedules one, which fails, and nobody is punished.
        paratimes.cli("node", "lie", LIAR, "--paratime", EMERALD, "--rounds", "2")
        send_to(gateways[SAPPHIRE])
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline and not slashed(before, escrows(paratimes)):
            time.sleep(0.1)
        if slashed(before, escrows(paratimes)):
            break
    changes = slashed(before, escrows(paratimes))
    assert changes[LIAR] == INCORRECT_RESULTS
    assert all(change < 0 for name, change in changes.items() if name != LIAR)
    send_to(gateways[EMERALD])
    send_to(gateways[SAPPHIRE])
    assert gateways[SAPPHIRE].block_number() > first
    log = (paratimes.data / "logs" / "consensus-0.host.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if "discrepancy_detected" in line]
    assert {line["runtime"] for line in lines} == {IDS[EMERALD]}
    assert "round_overruled" not in sapphire_log(paratimes.data)


def sapphire_log(data: Path) -> str:
    """What the hosts logged about the confidential ParaTime."""
    lines = "".join(path.read_text() for path in data.glob("logs/compute-*.host.log")).splitlines()
    return "\n".join(line for line in lines if f'"runtime": "{IDS[SAPPHIRE][-8:]}"' in line)
