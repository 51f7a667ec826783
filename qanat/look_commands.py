"""`qanat ps`, `roots`, `status`, `logs`: look at a network."""

import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

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
    from qanat.network import NodePlan

FOLLOW_S = 0.25
"""Between two looks for new lines [s]."""


def ps(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """List the processes of the network."""
    running = find_network(network, data, port_base)
    if as_json:
        print(json.dumps([asdict(record) for record in running.processes]))
        return
    table = Table(
        "name", "service", "part", "paratime", "pid", "container", "ports", "state", box=None
    )
    for record in running.processes:
        table.add_row(
            record.name,
            record.service,
            record.part,
            record.paratime or "-",
            str(record.pid or "-"),
            record.container or "-",
            " ".join(map(str, record.ports)),
            record.state + (f" ({record.restarts} restarts)" if record.restarts else ""),
        )
    out.print(table)


def roots(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show the newest round and state root of each compute node."""
    from qanat.observe import fetch_roots

    answers = fetch_roots(find_network(network, data, port_base))
    if as_json:
        print(json.dumps([asdict(answer) for answer in answers]))
        return
    table = Table("name", "paratime", "round", "root", box=None)
    for answer in answers:
        root = answer.root or "does not answer"
        table.add_row(answer.name, answer.paratime, str(answer.round), root)
    out.print(table)


def status(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Say whether the network is ready, and what is missing; exit 1 when it is not."""
    from qanat.readiness import fetch_network_status

    running = find_network(network, data, port_base)
    gateways = running.plans_of("gateway")
    answers = fetch_network_status({plan.name: plan.port for plan in gateways})
    if as_json:
        # The first gateway's answer is at the top, as where there is one only.
        first = answers[gateways[0].name]
        if len(answers) > 1:
            first = (first or {}) | {
                "ready": all(one is not None and one["ready"] for one in answers.values()),
                "gateways": answers,
            }
        print(json.dumps(first))
    else:
        for plan in gateways:
            _print_status(plan, answers[plan.name], is_named=len(gateways) > 1)
    if any(answer is None or not answer["ready"] for answer in answers.values()):
        raise typer.Exit(1)


def _print_status(plan: "NodePlan", answer: dict[str, Any] | None, *, is_named: bool) -> None:
    name = f"{plan.name}: " if is_named else ""
    if answer is None:
        out.print(f"{name}the gateway does not answer on port {plan.port}")
        return
    waits = f"waiting for {answer.get('waiting_for')}"
    out.print(name + ("ready" if answer["ready"] else waits))
    for key, value in answer.items():
        if key not in ("ready", "waiting_for"):
            out.print(f"  {key}: {json.dumps(value)}")


def logs(
    node: Annotated[str | None, typer.Argument(help="Node name, such as compute-0.")] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", help="Lines from the end of each log.")] = 50,
) -> None:
    """Show the logs of a node, or of all."""
    from qanat.log_files import LogReader

    layout = data_layout(network, data)
    paths = sorted(layout.logs.glob(f"{node or '*'}.*log"))
    if not paths:
        err.print(f"no logs of {node or 'any node'} in {layout.logs}")
        raise typer.Exit(1)
    # As every tool whose output is read in part.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    readers = [LogReader(path) for path in paths]
    shown = _print_logs({one.log: one.read_last(lines) for one in readers}, None)
    try:
        while follow:
            time.sleep(FOLLOW_S)
            shown = _print_logs({one.log: one.read_on() for one in readers}, shown)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _print_logs(parts: dict[Path, bytes], shown: Path | None) -> Path | None:
    """Print pieces of logs, each under its name unless it goes on; whose piece was the last."""
    for log, text in parts.items():
        if text:
            if len(parts) > 1 and log != shown:
                sys.stdout.buffer.write(f"==> {log} <==\n".encode())
            sys.stdout.buffer.write(text)
            shown = log
    sys.stdout.buffer.flush()
    return shown
