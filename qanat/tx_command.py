"""`qanat tx HASH`: all of a transaction, for who may see it."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    data_layout,
    err,
    find_network,
    out,
)

if TYPE_CHECKING:
    from qanat.observe import Running

HASH = re.compile(r"0x[0-9a-fA-F]{64}")
MAX_DEPTH = 12
"""Calls of the tree that are shown below each other; `--json` has all."""


def tx(
    transaction: Annotated[str, typer.Argument(metavar="HASH", help="Hash of the transaction.")],
    abi: Annotated[
        Path | None, typer.Option("--abi", help="ABI, or a compiler's artifact, of the contract.")
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option("--signature", help="Of its function, such as 'get(uint256)(bytes)'."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Show only what everybody sees.")
    ] = False,
    gateway: Annotated[
        str | None, typer.Option(help="URL of the gateway; by default the running network's.")
    ] = None,
    debug_key: Annotated[
        Path | None,
        typer.Option(help="File of the network's debug key; with --gateway that of --data."),
    ] = None,
    paratime: Annotated[
        str | None, typer.Option("--paratime", help="Which one; the first EVM by default.")
    ] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show a transaction: its envelope, votes and gas, and inside it, by your debug key."""
    import asyncio

    from qanat.abi import load_abi, read_signature
    from qanat.debug_keys import choose_debug_key
    from qanat.transaction import Look, look_at
    from qanat.view.gateway import Gateway

    if not HASH.fullmatch(transaction):
        raise typer.BadParameter("a hash is 0x and 64 hex digits")
    if abi is not None and signature is not None:
        raise typer.BadParameter("--abi and --signature exclude each other")
    layout = data_layout(network, data)
    running = None if gateway else find_network(network, data, port_base)
    url, runtime_id = (gateway, "") if running is None else _gateway_of(running, paratime)
    known = None
    if abi is not None:
        known = load_abi(abi)
    elif signature is not None:
        known = read_signature(signature)
    key = None if public else choose_debug_key(layout, running, debug_key)
    look = Look(key, known, running, runtime_id)

    async def main() -> dict[str, Any]:
        async with Gateway(url or "") as client:
            return await look_at(client, transaction.lower(), look)

    report = asyncio.run(main())
    if as_json:
        print(json.dumps(report))
    else:
        for line in _lines(report):
            out.print(line, soft_wrap=True, markup=False)
    if key is not None and report.get("refused"):
        err.print(f"[bold red]refused[/]: {escape(report['refused'])}")
        raise typer.Exit(1)


def _gateway_of(running: "Running", name: str | None) -> tuple[str, str]:
    """URL of a ParaTime's gateway, and the id of the ParaTime."""
    for plan in running.plans_of("gateway"):
        found = running.network.find_paratime(plan.paratimes[0])
        if found.is_evm and name in (None, found.name):
            return f"http://{plan.address}", found.id
    raise typer.BadParameter(f"the network has no EVM {name or ''}")


# -- for a person ------------------------------------------------------------------------------


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"transaction {report['hash']}", f"  status    {report['status']}"]
    lines += [f"  from      {report['from']}", f"  to        {report['to'] or '(creation)'}"]
    if report["status"] == "pending":
        return lines
    lines.append(f"  block     {report['block']}, position {report['position']}")
    lines += _envelope_lines(report) + _votes_lines(report["votes"])
    lines.append(
        f"  gas       {report['gas_used']} of {report['gas_limit']}, "
        f"{report['gas_price_wei']} wei each"
    )
    if report["contract"]:
        lines.append(f"  made      {report['contract']}")
    error = report["error"]
    if error is not None:
        lines.append(f"  failed    {error['module']} {error['code']}: {error['message']}")
        lines += [f"            {error['hint']}"] if "hint" in error else []
    lines += _inside_lines(report)
    return lines


def _envelope_lines(report: dict[str, Any]) -> list[str]:
    if not report["encrypted"]:
        return ["  calldata  PLAIN: everybody reads it"]
    envelope = report["envelope"]
    if envelope is None:
        return ["  calldata  encrypted, in an envelope that does not open"]
    epoch = int(envelope["epoch"], 16)
    named = f"the key of epoch {epoch}" if epoch else "a key whose epoch is not said"
    return [f"  calldata  encrypted to {named}, by {envelope['key']}"]


def _votes_lines(votes: dict[str, Any] | None) -> list[str]:
    if votes is None:
        return []
    if votes["agreed"] is None:
        return [f"  votes     of epoch {votes['epoch']}, forgotten by now"]
    said = f"{', '.join(votes['agreed']) or 'nobody'} agreed"
    if votes["differed"]:
        said += f"; {', '.join(votes['differed'])} differed"
    if votes["discrepancy"]:
        said += "; backup workers decided"
    return [f"  executed  in epoch {votes['epoch']}: {said}"]


def _inside_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if report["call"] is not None:
        lines.append(f"  call      {report['call']['function']}")
        lines += _argument_lines(report["call"]["arguments"])
    elif report["input"] is not None:
        lines.append(f"  input     {report['input']}")
    if report["reason"] is not None:
        lines.append(f"  reverted  {report['reason']['error']}")
        lines += _argument_lines(report["reason"]["arguments"])
    elif report["result"] is not None:
        lines.append("  result")
        lines += _argument_lines(report["result"])
    elif report["output"] is not None:
        lines.append(f"  output    {report['output']}")
    if report["trace"] is not None:
        lines.append(f"  calls     (seen by {report['seen_by']})")
        lines += _tree_lines(report["trace"], 0)
    return lines


def _argument_lines(arguments: dict[str, Any]) -> list[str]:
    return [f"              {name} = {value}" for name, value in arguments.items()]


def _tree_lines(frame: dict[str, Any], depth: int) -> list[str]:
    if depth > MAX_DEPTH:
        return []
    failed = f"  [{frame['error']}]" if "error" in frame else ""
    gas = int(frame.get("gasUsed", "0x0"), 16)
    line = f"    {'  ' * depth}{frame['type']} {frame.get('to', '')} gas {gas}{failed}"
    inner = [one for call in frame.get("calls", ()) for one in _tree_lines(call, depth + 1)]
    return [line, *inner]
