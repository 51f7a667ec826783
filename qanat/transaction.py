"""
All that can be found out of one transaction: what everybody sees, and what the enclave shows us.

What the gateway says is shown as it says it; what an enclave shows was sealed to us.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from qanat.abi import Abi, read_output
from qanat.network import NodePlan
from qanat.observe import Running
from qanat.view.envelopes import NotSealedToUs
from qanat.view.gateway import Gateway, GatewayRefused
from qanat.view.viewing import as_owner, fetch_view, read_trace
from shared.api.compute import compute_client
from shared.crypto.signing import Signer
from shared.errors import QanatError, Rejected
from shared.kit.plain_http import NOBODY

TRACE_STYLE = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
VOTES_TIMEOUT_S = 5.0
Json = dict[str, Any]


class UnknownTransaction(Rejected, module="cli", code=2):
    """The gateway knows no transaction of this hash."""


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks, and with what."""

    debug_key: Signer | None
    """None where only what everybody sees is asked for."""
    abi: Abi | None
    running: Running | None
    """The network, for its votes; None where only a gateway is known."""
    runtime_id: str
    """Of the ParaTime, hex; empty with `running`."""


async def look_at(gateway: Gateway, hash_: str, look: Look) -> Json:
    """
    Find out all of a transaction.

    Raises
    ------
    UnknownTransaction
        See the class.
    GatewayRefused, GatewaySilent
        The gateway does not answer what every gateway answers.
    """
    sent, receipt, outcome = await gateway.ask_all(
        [
            ("eth_getTransactionByHash", [hash_]),
            ("eth_getTransactionReceipt", [hash_]),
            ("oasis_getTransactionOutcome", [hash_]),
        ],
        {},
    )
    if sent is None:
        raise UnknownTransaction(f"{gateway.url} knows no transaction {hash_}")
    report: Json = _public(sent)
    if receipt is None or outcome is None:
        return report | {"status": "pending"}
    report |= _mined(receipt, outcome)
    report["votes"] = await _find_votes(look, int(receipt["blockNumber"], 16))
    report |= await _inside(gateway, hash_, outcome, look)
    return report | _read(report, look.abi)


def _public(sent: Json) -> Json:
    return {
        "hash": sent["hash"],
        "from": sent["from"],
        "to": sent["to"],
        "nonce": int(sent["nonce"], 16),
        "value_wei": str(int(sent["value"], 16)),
        "gas_limit": int(sent["gas"], 16),
        "input_as_sent": sent["input"],
    }


def _mined(receipt: Json, outcome: Json) -> Json:
    return {
        "status": "success" if receipt["status"] == "0x1" else "failed",
        "block": int(receipt["blockNumber"], 16),
        "block_hash": receipt["blockHash"],
        "position": int(receipt["transactionIndex"], 16),
        "contract": receipt["contractAddress"],
        "gas_used": int(receipt["gasUsed"], 16),
        "gas_price_wei": str(int(receipt["effectiveGasPrice"], 16)),
        "encrypted": outcome["encrypted"],
        "envelope": outcome["envelope"],
        "error": outcome["error"],
        "logs": receipt["logs"],
        "output_as_recorded": outcome["output"],
    }


async def _inside(gateway: Gateway, hash_: str, outcome: Json, look: Look) -> Json:
    """What an enclave shows: on a public ParaTime to everybody, else to the debug key."""
    try:
        trace = await gateway.ask("debug_traceTransaction", [hash_, TRACE_STYLE], {})
        return _seen("everybody: the ParaTime is public", trace)
    except GatewayRefused as refused:
        reason = refused.message
    if look.debug_key is not None:
        try:
            view = await fetch_view(gateway, bytes.fromhex(hash_[2:]), as_owner(look.debug_key))
            return _seen("the debug key", read_trace(view))
        except (GatewayRefused, NotSealedToUs) as refused:
            reason = refused.message
    if outcome["encrypted"]:
        return {"seen_by": None, "refused": reason, "input": None, "output": None, "trace": None}
    return {
        "seen_by": None,
        "refused": reason,
        "input": None,
        "output": outcome["output"],
        "trace": None,
    }


def _seen(by: str, trace: Json) -> Json:
    return {
        "seen_by": by,
        "refused": None,
        "input": trace.get("input"),
        "output": trace.get("output"),
        "trace": trace,
    }


def _read(report: Json, abi: Abi | None) -> Json:
    """Read calldata, result and reason by the ABI."""
    plain = report["input"] or (None if report["encrypted"] else report["input_as_sent"])
    called = None
    read: Json = {"input": plain, "call": None, "result": None, "reason": None}
    known = abi or Abi()
    if plain is not None and report["to"] is not None:
        called = known.read_call(bytes.fromhex(plain[2:]))
    if called is not None:
        function, arguments = called
        read["call"] = {"function": function.signature, "arguments": arguments}
    output = bytes.fromhex((report["output"] or "0x")[2:])
    if report["status"] != "success":
        reverted = known.read_error(output)
        if reverted is not None:
            read["reason"] = {"error": reverted[0].signature, "arguments": reverted[1]}
    elif called is not None:
        read["result"] = read_output(called[0], output)
    return read


# -- votes -------------------------------------------------------------------------------------


async def _find_votes(look: Look, round_: int) -> Json | None:
    """Who executed the round, and who disagreed; None where consensus does not say."""
    running = look.running
    if running is None:
        return None
    (consensus,) = running.plans_of("consensus")
    url = f"http://{consensus.address}/v1/runtimes/{look.runtime_id}/rounds/{round_}"
    async with httpx.AsyncClient(timeout=VOTES_TIMEOUT_S, trust_env=False, verify=NOBODY) as client:
        try:
            found = (await client.get(url)).raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None
    votes = found.get("votes")
    if votes is None:
        return {"epoch": found.get("epoch"), "agreed": None, "differed": None, "discrepancy": None}
    names = await _names(running, look.runtime_id)
    return {
        "epoch": found.get("epoch"),
        "agreed": [names.get(one, one) for one in votes.get("good_nodes", ())],
        "differed": [names.get(one, one) for one in votes.get("bad_nodes", ())],
        "discrepancy": votes.get("had_discrepancy", False),
    }


async def _names(running: Running, runtime_id: str) -> dict[str, str]:
    """Give the names of compute nodes by id; of those that answer."""
    from qanat.node_client import NodeClient

    async def ask(plan: NodePlan) -> tuple[str, str] | None:
        try:
            async with NodeClient(plan, runtime_id=runtime_id) as client:
                status = await compute_client(client).fetch_status()
        except QanatError:
            return None
        return "0x" + status.node_id.hex(), plan.name

    return dict(filter(None, await asyncio.gather(*map(ask, running.plans_of("compute")))))
