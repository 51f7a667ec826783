"""`qanat snapshot` and `qanat revert`: the whole network, back in time."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    err,
    find_network,
    out,
)


def snapshot(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Show the snapshots instead of taking one.")
    ] = False,
) -> None:
    """Remember where the network stands, for good; prints the id for `qanat revert`."""
    from qanat import observe

    running = find_network(network, data, port_base)
    if not list_all:
        taken = observe.take_snapshot(running)
        print(json.dumps(asdict(taken)) if as_json else taken.id)
        return
    snapshots = observe.list_snapshots(running)
    if as_json:
        print(json.dumps([asdict(one) for one in snapshots]))
        return
    table = Table("id", "height", "epoch", "incarnation", box=None)
    for one in snapshots:
        table.add_row(str(one.id), str(one.height), str(one.epoch), str(one.incarnation))
    out.print(table)


def revert(
    snapshot_id: Annotated[int, typer.Argument(metavar="ID", help="As `qanat snapshot` printed.")],
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
    wait: Annotated[
        float, typer.Option(help="How long to wait for nodes that do not answer, in seconds.")
    ] = 5.0,
) -> None:
    """
    Go back to a snapshot; returns when every node is there.

    Later snapshots are gone, this one stays. A node that is down is named, and goes back when it
    returns.
    """
    from qanat import observe

    running = find_network(network, data, port_base)
    reverted = observe.revert(running, snapshot_id, int(wait * 1000))
    if as_json:
        print(json.dumps(asdict(reverted)))
        return
    out.print(
        f"back at height {reverted.height}, incarnation {reverted.incarnation}, "
        f"with {len(reverted.arrived)} nodes"
    )
    for name in reverted.missing:
        err.print(f"[yellow]missing[/]: {name} goes back when it returns")
