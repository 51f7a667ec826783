"""
What is measured: each measure takes a session and gives its figures by row name.

Everything is signed before a clock starts. Accepted transactions without a receipt are counted,
never waited for without end.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from eth_account.signers.local import LocalAccount

from tests.bench import machine, workload
from tests.bench.client import Lost, RawClient, RpcError, request
from tests.bench.rows import PARTS, SERVICES
from tests.bench.session import FUNDING_WEI, Session
from tests.bench.spending import Spending
from tests.support.networks import ROOT

Figures = dict[str, float]
Measure = Callable[[Session, float], Awaitable[Figures]]
"""Takes the session and the scale of the load."""

WARM = 10
"""Transfers before those that count."""
CLOSED_ACCOUNTS = 20
IN_FLIGHT = 32
BATCH = 50
BURST = 60
CALLERS = 16
HASHES = 20_000
SLOTS = 220
"""Fresh slots that fill about 5 million gas."""
EVENTS = 2_000
LONG_CHAIN = 10_000
"""Transactions after which snapshots are taken once more."""
MINED_AT_ONCE = 1_000
"""Blocks of one request."""
IDLE_S = 20
"""How long idleness is watched [s]: from one of Qanat's rounds to the next, where nobody asks."""
JUST_ASKED_S = 6
"""The same right after a request, which keeps Qanat's rounds coming for 10 s [s]."""
QUIET_S = 12
"""After so long without a request Qanat makes fewer rounds [s]."""


def ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


# -- transactions ------------------------------------------------------------------------------


async def latency(session: Session, scale: float, *, encrypted: bool) -> Figures:
    """One ERC-20 transfer after the other, from sending to the receipt."""
    counted = max(int(100 * scale), 20)
    (raws,) = await session.transfers([session.owner], WARM + counted, encrypted=encrypted)
    client = await session.client()
    times = []
    spending = Spending(session.contestant.parts())
    for raw in raws:
        began = time.perf_counter()
        receipt = await client.receipt(await client.rpc("eth_sendRawTransaction", raw), 0.0)
        times.append(ms_since(began))
        if receipt["status"] != "0x1":
            raise RpcError(f"a transfer failed: {receipt}")
    kind = "encrypted" if encrypted else "plain"
    found = spending.figures(f"{kind} p50", len(raws))
    client.close()
    cuts = statistics.quantiles(times[WARM:], n=100)
    quantiles = (("p50", 50), ("p95", 95), ("p99", 99))
    return found | {f"{kind} {name}": cuts[at - 1] for name, at in quantiles}


async def closed_loop(session: Session, scale: float, *, encrypted: bool) -> Figures:
    """Twenty accounts, each sending its next transfer when the last one has its receipt."""
    kind = "encrypted" if encrypted else "plain"
    each = max(int(40 * scale), 10)
    return await _race(session, f"closed {kind}", CLOSED_ACCOUNTS, each, encrypted=encrypted)


async def in_flight(session: Session, scale: float, *, encrypted: bool) -> Figures:
    """Thirty-two transfers under way at any time, from twenty accounts."""
    kind = "encrypted" if encrypted else "plain"
    each = max(int(60 * scale), 10)
    return await _race(session, f"in flight {kind}", IN_FLIGHT, each, encrypted=encrypted)


async def _race(
    session: Session, name: str, senders: int, each: int, *, encrypted: bool
) -> Figures:
    """Transfers per second of fresh accounts, and how many were lost."""
    accounts = await session.funded_accounts(CLOSED_ACCOUNTS)
    return await _race_of(session, accounts, name, senders, each, encrypted=encrypted)


class Waiting:
    """Transfers of several accounts that are yet to be sent."""

    def __init__(self, signed: list[list[str]], at_once: int) -> None:
        """Take them by account, each of which has no more than `at_once` under way."""
        self._left, self._at_once = [raws[::-1] for raws in signed], at_once
        self._under_way = [0] * len(signed)

    def take(self) -> tuple[int, str] | None:
        """
        Give the next transfer of an account, and which that is; None where no account may send.

        Of the account that has the fewest under way, and of these the one that has most left, so
        that all accounts go on until the end.
        """
        accounts = [
            account
            for account, left in enumerate(self._left)
            if left and self._under_way[account] < self._at_once
        ]
        if not accounts:
            return None
        account = min(accounts, key=lambda one: (self._under_way[one], -len(self._left[one])))
        self._under_way[account] += 1
        return account, self._left[account].pop()

    def end(self, account: int) -> None:
        """Take note that a transfer is under way no more."""
        self._under_way[account] -= 1


async def _race_of(
    session: Session,
    accounts: list[LocalAccount],
    name: str,
    senders: int,
    each: int,
    *,
    encrypted: bool,
) -> Figures:
    """
    Transfers per second, and how many were lost.

    More senders than accounts share accounts: each sends the account's next transaction at once,
    which may so overtake the one before.
    """
    signed = await session.transfers(accounts, each, encrypted=encrypted)
    waiting = Waiting(signed, at_once=-(-senders // len(accounts)))
    clients = await session.clients(senders)
    counts = {"mined": 0, "lost": 0}

    async def send_all(client: RawClient) -> None:
        while (taken := waiting.take()) is not None:
            account, raw = taken
            try:
                await client.receipt(await client.rpc("eth_sendRawTransaction", raw))
                counts["mined"] += 1
            except Lost:
                counts["lost"] += 1
            finally:
                waiting.end(account)

    spending = Spending(session.contestant.parts())
    began = time.perf_counter()
    await asyncio.gather(*map(send_all, clients))
    elapsed = time.perf_counter() - began
    found = spending.figures(name, len(accounts) * each)
    for client in clients:
        client.close()
    return found | {name: counts["mined"] / elapsed, "lost": counts["lost"]}


async def batches(session: Session, scale: float) -> Figures:
    """JSON-RPC batches of fifty transfers, each batch from an account of its own."""
    accounts = await session.funded_accounts(max(int(6 * scale), 2))
    signed = await session.transfers(accounts, BATCH, encrypted=False)
    client = await session.client()
    lost, sent_count = 0, len(signed) * BATCH
    spending = Spending(session.contestant.parts())
    began = time.perf_counter()
    for raws in signed:
        sent = await _batch(client, "eth_sendRawTransaction", raws)
        lost += await _receipts_of(client, sent)
    elapsed = time.perf_counter() - began
    found = spending.figures("batches", sent_count)
    client.close()
    return found | {"batches": (sent_count - lost) / elapsed, "lost": lost}


async def burst(session: Session, scale: float) -> Figures:
    """Sixty transfers of one account, none waiting for the receipt of another."""
    (raws,) = await session.transfers([session.owner], BURST, encrypted=False)
    clients = await session.clients(BURST)
    began = time.perf_counter()
    # In the order of their nonces, on a connection each: no answer is waited for in between.
    sending = [
        asyncio.create_task(client.rpc("eth_sendRawTransaction", raw))
        for client, raw in zip(clients, raws, strict=True)
    ]
    sent = await asyncio.gather(*sending)
    lost = await _receipts_of(clients[0], sent)
    elapsed = ms_since(began)
    for client in clients:
        client.close()
    return {"burst": elapsed, "lost": lost}


async def _batch(client: RawClient, method: str, arguments: list[str]) -> list[Any]:
    calls = [
        {"jsonrpc": "2.0", "id": position, "method": method, "params": [argument]}
        for position, argument in enumerate(arguments)
    ]
    answers = json.loads(await client.send(json.dumps(calls).encode()))
    if not isinstance(answers, list) or any("error" in answer for answer in answers):
        raise RpcError(f"{method} in a batch: {answers}")
    return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]


async def _receipts_of(client: RawClient, hashes: list[str]) -> int:
    """Wait for the receipts of transactions; how many never came."""
    lost = 0
    for tx_hash in reversed(hashes):
        try:
            await client.receipt(tx_hash)
        except Lost:
            lost += 1
    return lost


async def storage(session: Session, scale: float) -> Figures:
    """One transaction that fills 5 million gas with fresh storage slots."""
    data = workload.work_data("store(uint256)", SLOTS)
    client = await session.client()
    times = []
    spending = Spending(session.contestant.parts())
    for _ in range(max(int(10 * scale), 4)):
        raw = session.sign(session.owner, session.work, data, 6_000_000)
        began = time.perf_counter()
        receipt = await client.receipt(await client.rpc("eth_sendRawTransaction", raw), 0.0)
        times.append(ms_since(began))
        if receipt["status"] != "0x1":
            raise RpcError(f"filling storage failed: {receipt}")
    found = spending.figures("storage", len(times))
    client.close()
    return found | {"storage": statistics.median(times[1:])}


# -- questions ---------------------------------------------------------------------------------


async def calls(session: Session, scale: float, *, encrypted: bool) -> Figures:
    """`eth_call` of `balanceOf`, sixteen at a time."""
    data = workload.balance_data(session.owner.address)
    if encrypted:
        data = workload.encrypt(data, await session.call_key())
    body = request("eth_call", {"to": session.token, "data": "0x" + data.hex()}, "latest")
    name = f"calls {'encrypted' if encrypted else 'plain'}"
    return await _ask_many(session, name, body, max(int(400 * scale), 20))


async def block_numbers(session: Session, scale: float) -> Figures:
    """`eth_blockNumber`, sixteen at a time."""
    body = request("eth_blockNumber")
    return await _ask_many(session, "block numbers", body, max(int(1_000 * scale), 20))


async def _ask_many(session: Session, name: str, body: bytes, each: int) -> Figures:
    """Questions answered in a second, and what one costs."""
    clients = await session.clients(CALLERS)

    async def ask(client: RawClient) -> None:
        for _ in range(each):
            answer = json.loads(await client.send(body))
            if "error" in answer:
                raise RpcError(str(answer["error"]))

    spending = Spending(session.contestant.parts())
    began = time.perf_counter()
    await asyncio.gather(*map(ask, clients))
    elapsed = time.perf_counter() - began
    found = spending.figures(name, each * CALLERS)
    for client in clients:
        client.close()
    return found | {name: each * CALLERS / elapsed}


async def hashing(session: Session, scale: float) -> Figures:
    """A call that hashes twenty thousand times."""
    data = "0x" + workload.work_data("hash(uint256)", HASHES).hex()
    call = {"to": session.work, "data": data, "gas": hex(14_000_000)}
    return {"hashing": await _median_ms(session, request("eth_call", call, "latest"), scale)}


async def logs(session: Session, scale: float) -> Figures:
    """`eth_getLogs` that finds two thousand events."""
    data = workload.work_data("note(uint256)", 100)
    first = await session.execute(session.owner, session.work, data, 3_000_000)
    for _ in range(EVENTS // 100 - 1):
        await session.execute(session.owner, session.work, data, 3_000_000)
    asked = {"fromBlock": first["blockNumber"], "toBlock": "latest", "address": session.work}
    client = await session.client()
    found = await client.rpc("eth_getLogs", asked)
    client.close()
    if len(found) != EVENTS:
        raise RpcError(f"{len(found)} events instead of {EVENTS}")
    return {"logs": await _median_ms(session, request("eth_getLogs", asked), scale)}


async def _median_ms(session: Session, body: bytes, scale: float) -> float:
    client = await session.client()
    times = []
    for _ in range(max(int(15 * scale), 5)):
        began = time.perf_counter()
        answer = await client.send(body)
        times.append(ms_since(began))
        if answer.startswith(b'{"error"') or b'"error":' in answer[:200]:
            raise RpcError(answer[:300].decode())
    client.close()
    return statistics.median(times)


async def snapshots(session: Session, scale: float) -> Figures:
    """`evm_snapshot`, a transfer, `evm_revert`: the two alone are timed."""
    client = await session.client()
    taken, reverted = [], []
    for _ in range(max(int(6 * scale), 3)):
        nonce = session.nonce(session.owner)
        began = time.perf_counter()
        snapshot = await client.rpc("evm_snapshot")
        taken.append(ms_since(began))
        data = workload.transfer_data(session.owner.address, 1)
        await session.execute(session.owner, session.token, data, 120_000)
        began = time.perf_counter()
        if await client.rpc("evm_revert", snapshot) is not True:
            raise RpcError("evm_revert was refused")
        reverted.append(ms_since(began))
        session.resume_nonce(session.owner, nonce)
    client.close()
    return {"snapshot": statistics.median(taken), "revert": statistics.median(reverted)}


async def snapshots_of_a_long_chain(session: Session, scale: float) -> Figures:
    """The same after 10,000 transactions, and a revert that undoes all of them."""
    client = await session.client()
    nonce = session.nonce(session.owner)
    first = await client.rpc("evm_snapshot")
    # A gateway ends connections that say nothing for long.
    client.close()
    accounts = await session.funded_accounts(CLOSED_ACCOUNTS, 5 * FUNDING_WEI)
    each = max(int(LONG_CHAIN * scale), CLOSED_ACCOUNTS) // CLOSED_ACCOUNTS
    sent = await _race_of(session, accounts, "long", IN_FLIGHT, each, encrypted=False)
    found = await snapshots(session, scale)
    client = await session.client()
    began = time.perf_counter()
    if await client.rpc("evm_revert", first) is not True:
        raise RpcError("evm_revert was refused")
    whole_ms = ms_since(began)
    session.resume_nonce(session.owner, nonce)
    client.close()
    long = {f"long {name}": value for name, value in found.items()}
    return long | {"long whole revert": whole_ms, "lost": sent["lost"]}


# -- what it costs to have it there ------------------------------------------------------------


async def footprint(session: Session, scale: float) -> Figures:
    """Resident memory after all of the above, and processor time while nobody asks."""
    client = await session.client()
    await client.rpc("eth_blockNumber")
    client.close()
    await asyncio.sleep(2)
    parts = session.contestant.parts()
    pids = [pid for listed in parts.values() for pid in listed]
    just_asked = await asyncio.to_thread(machine.idle_cpu_percent, pids, JUST_ASKED_S)
    await asyncio.sleep(QUIET_S - JUST_ASKED_S - 2)
    idle = await asyncio.to_thread(machine.idle_cpu_percent, pids, IDLE_S)
    found = {"memory": machine.resident_mib(pids), "idle": idle, "idle just asked": just_asked}
    for part in PARTS:
        if part in parts:
            found[f"memory {part}"] = machine.resident_mib(parts[part]) / len(parts[part])
    return found


async def weight(session: Session, scale: float) -> Figures:
    """What each service takes to import where nothing is shared, and what it stands on."""
    found = {}
    for name in SERVICES:
        code = f"import services.{name}.__main__"
        spent = [await asyncio.to_thread(machine.cpu_ms_of, code) for _ in range(3)]
        found[f"import {name}"] = statistics.median(spent)
    return found | {"packages": machine.packages_mib(ROOT / "requirements" / "run.txt")}


async def mine(session: Session, count: int) -> None:
    """Make empty blocks."""
    client = await session.client()
    for left in range(count, 0, -MINED_AT_ONCE):
        await client.rpc("hardhat_mine", hex(min(left, MINED_AT_ONCE)))
    client.close()
