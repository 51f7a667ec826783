"""
Measure one fresh network by processes and print a table beside the budgets.

The load generator runs on the same machine and costs CPU of its own; the numbers include it.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from rich.console import Console
from rich.table import Table

from tests.bench import machine, workload
from tests.bench.client import RawClient, request
from tests.bench.workload import CallKey
from tests.support.networks import FIRST_KEY, ProcessNetwork

GAS = 120_000
ENCRYPTED_GAS = 130_000
IN_FLIGHT = 32
IDLE_S = 20


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    must: str
    aim: str
    meets: bool


def row(what: str, value: float, unit: str, must: float, aim: float, *, more: bool = False) -> Row:
    meets = value >= must if more else value <= must
    sign = ">" if more else "<"
    return Row(what, f"{value:,.1f} {unit}", f"{sign} {must:,g}", f"{sign} {aim:,g}", meets)


class Bench:
    """The measurements, on one network."""

    def __init__(self, network: ProcessNetwork, scale: float) -> None:
        self._network, self._scale = network, scale
        self._owner = Account.from_key(FIRST_KEY)
        self._nonce = 0
        self._token = ""

    async def client(self) -> RawClient:
        return await RawClient(self._network.http_port).connect()

    async def prepare(self) -> None:
        client = await self.client()
        raw = workload.sign(self._owner, 0, None, workload.deploy_data(), 2_000_000)
        receipt = await client.receipt(await client.rpc("eth_sendRawTransaction", raw))
        self._token, self._nonce = receipt["contractAddress"], 1
        client.close()

    async def call_key(self, client: RawClient) -> CallKey:
        answer = await client.rpc("oasis_callDataPublicKey")
        return CallKey(bytes.fromhex(answer["key"][2:]), answer["epoch"])

    async def latency_ms(self, *, encrypted: bool) -> list[float]:
        """Time from sending to the receipt, one transaction after the other [ms]."""
        client = await self.client()
        key = await self.call_key(client)
        receiver = Account.create().address
        raws = []
        for _ in range(int(150 * self._scale)):
            data = workload.transfer_data(receiver, 1)
            data = workload.encrypt(data, key) if encrypted else data
            gas = ENCRYPTED_GAS if encrypted else GAS
            raws.append(workload.sign(self._owner, self._nonce, self._token, data, gas))
            self._nonce += 1
        times = []
        for raw in raws:
            began = time.perf_counter()
            receipt = await client.receipt(await client.rpc("eth_sendRawTransaction", raw))
            times.append(1000 * (time.perf_counter() - began))
            assert receipt["status"] == "0x1", receipt
        client.close()
        return times[len(times) // 10 :]

    async def throughput(self, *, encrypted: bool) -> float:
        """ERC-20 transfers per second with `IN_FLIGHT` waiting senders."""
        client = await self.client()
        key = await self.call_key(client)
        senders = workload.fresh_accounts(IN_FLIGHT)
        await self._fund(client, [sender.address for sender in senders])
        each = int(60 * self._scale)
        batches = []
        for sender in senders:
            raws = []
            for nonce in range(each):
                data = workload.transfer_data(self._owner.address, 1)
                data = workload.encrypt(data, key) if encrypted else data
                gas = ENCRYPTED_GAS if encrypted else GAS
                raws.append(
                    request(
                        "eth_sendRawTransaction",
                        workload.sign(sender, nonce, self._token, data, gas),
                    )
                )
            batches.append(raws)
        clients = [await self.client() for _ in senders]

        async def run(own: RawClient, raws: list[bytes]) -> None:
            for raw in raws:
                answer = json.loads(await own.send(raw))
                assert "result" in answer, answer
                receipt = await own.receipt_soon(answer["result"], 0.01)
                assert receipt["status"] == "0x1", receipt

        began = time.perf_counter()
        await asyncio.gather(*map(run, clients, batches))
        elapsed = time.perf_counter() - began
        for own in [*clients, client]:
            own.close()
        return each * IN_FLIGHT / elapsed

    async def _fund(self, client: RawClient, addresses: list[str]) -> None:
        last = ""
        for address in addresses:
            raw = workload.sign(self._owner, self._nonce, address, b"", 30_000, 10**18)
            await client.receipt(await client.rpc("eth_sendRawTransaction", raw))
            data = workload.transfer_data(address, 10**6)
            raw = workload.sign(self._owner, self._nonce + 1, self._token, data, GAS)
            last = await client.rpc("eth_sendRawTransaction", raw)
            await client.receipt(last)
            self._nonce += 2

    async def calls(self, *, encrypted: bool) -> float:
        """`eth_call` per second over eight connections."""
        clients = [await self.client() for _ in range(8)]
        key = await self.call_key(clients[0])
        data = workload.balance_data(self._owner.address)
        data = workload.encrypt(data, key) if encrypted else data
        body = request("eth_call", {"to": self._token, "data": "0x" + data.hex()}, "latest")
        each = int(300 * self._scale)

        async def run(client: RawClient) -> None:
            for _ in range(each):
                answer = await client.send(body)
                assert b'"result":"0x' in answer.replace(b" ", b""), answer

        began = time.perf_counter()
        await asyncio.gather(*map(run, clients))
        elapsed = time.perf_counter() - began
        for client in clients:
            client.close()
        return each * len(clients) / elapsed


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


def measure(network: ProcessNetwork, scale: float, progress: Callable[[str], None]) -> list[Row]:
    progress("start-up")
    began = time.perf_counter()
    network.up()
    rows = [row("`qanat up` to ready, fresh", time.perf_counter() - began, "s", 4, 2)]
    bench = Bench(network, scale)

    asyncio.run(bench.prepare())
    for name, encrypted, must, aim in (("plain", False, 12, 5), ("encrypted", True, 15, 6)):
        progress(f"latency, {name}")
        times = asyncio.run(bench.latency_ms(encrypted=encrypted))
        what = f"ERC-20 send to receipt, {name}, p50"
        rows.append(row(what, percentile(times, 50), "ms", must, aim))
        rows.append(Row("  the same, p90", f"{percentile(times, 90):.1f} ms", "", "", True))
    for name, encrypted, must, aim in (("plain", False, 530, 1000), ("encrypted", True, 330, 670)):
        progress(f"throughput, {name}")
        rate = asyncio.run(bench.throughput(encrypted=encrypted))
        what = f"ERC-20 transfers, {IN_FLIGHT} in flight, {name}"
        rows.append(row(what, rate, "/s", must, aim, more=True))
    for name, encrypted, must, aim in (
        ("plain", False, 1500, 4000),
        ("encrypted", True, 1000, 2500),
    ):
        progress(f"calls, {name}")
        rate = asyncio.run(bench.calls(encrypted=encrypted))
        rows.append(row(f"eth_call, {name}", rate, "/s", must, aim, more=True))
    progress("idle")
    time.sleep(3)
    pids = [process["pid"] for process in network.processes()]
    rows.append(row("resident, all nodes (PSS)", machine.resident_mib(pids), "MiB", 700, 400))
    rows.append(
        row("idle CPU, all nodes", machine.idle_cpu_percent(pids, IDLE_S), "% of a core", 5, 2)
    )
    network.down()
    progress("start-up, resumed")
    began = time.perf_counter()
    network.up()
    rows.append(row("`qanat up` to ready, resumed", time.perf_counter() - began, "s", 4, 2))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the load [factor]")
    parser.add_argument("--port-base", type=int, default=28545)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="qanat-bench-") as folder:
        network = ProcessNetwork(Path(folder) / "data", arguments.port_base)
        try:
            with console.status("measuring") as status:
                rows = measure(network, arguments.scale, status.update)
        finally:
            network.down()
    table = Table("what", "measured", "must", "aim", "", title=machine.describe(), box=None)
    for one in rows:
        mark = "" if not one.must else "ok" if one.meets else "MISSES"
        table.add_row(one.what, one.value, one.must, one.aim, mark)
    console.print(table)


if __name__ == "__main__":
    main()
