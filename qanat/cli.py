"""The command line; `qanat --help` lists its commands."""

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from qanat import snapshot_commands
from qanat.launcher.state import is_alive, load_running_state
from qanat.layout import DataLayout
from qanat.network import DEFAULT_PORT_BASE, BadNetworkFile, load_network
from qanat.node_commands import node_app
from qanat.options import (
    DEFAULT_NETWORK,
    ROOT,
    AmountOption,
    CountOption,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    SeedOption,
    TestMnemonicOption,
    ToOption,
    data_layout,
    err,
    find_network,
    out,
    seed_of,
)
from qanat.paratime.commands import paratime_app
from shared.errors import QanatError

if TYPE_CHECKING:
    from qanat.network import NodePlan

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A confidential devnet on your own machine. Its TEE is a MOCK.",
)
epoch_app = typer.Typer(no_args_is_help=True, help="Epochs: needs dev controls.")
app.add_typer(epoch_app, name="epoch")
app.add_typer(node_app, name="node")
app.add_typer(paratime_app, name="paratime")


@app.command()
def up(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    to: ToOption = None,
    accounts: CountOption = None,
    amount: AmountOption = None,
    test_mnemonic: TestMnemonicOption = False,
    seed: SeedOption = None,
    database_url: Annotated[
        str | None, typer.Option(help="Of the gateway's index. [default: SQLite]")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay; Ctrl-C stops the network.")
    ] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the old data first.")] = False,
    listen_host: Annotated[
        str, typer.Option(help="Address on which every node listens.")
    ] = "127.0.0.1",
    log_level: Annotated[
        str, typer.Option(envvar="OASIS_NODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    timeout: Annotated[float, typer.Option(help="How long to wait until ready [s].")] = 60.0,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written when the network is ready; --foreground only.")
    ] = None,
    no_explorer: Annotated[  # noqa: ARG001 - there is no explorer yet to leave out
        bool, typer.Option("--no-explorer", help="Accepted as by sapphire-localnet.")
    ] = False,
) -> None:
    """Start the network by processes; returns when it is ready, and the network stays up."""
    from qanat.begin import UpOptions, begin

    layout = data_layout(network, data)
    options = UpOptions(
        network_file=network,
        layout=layout,
        port_base=port_base,
        to=None if test_mnemonic else to,
        count=accounts,
        amount=amount,
        seed=seed_of(seed),
        database_url=database_url,
        listen_host=listen_host,
        log_level=log_level,
        timeout_s=timeout,
        wipe=wipe,
        ready_file=ready_file,
    )
    beginning = begin(options, foreground=foreground, out=out)
    if beginning is not None:
        # Only now: it takes as long to load as what the hosts load beside it.
        from qanat import start

        start.up(options, beginning, foreground=foreground, out=out, err=err)


@app.command()
def provision(
    data: Annotated[Path, typer.Option("--data", help="Data directory.", envvar="QANAT_DATA")],
    network: NetworkOption = DEFAULT_NETWORK,
    to: ToOption = None,
    accounts: CountOption = None,
    amount: AmountOption = None,
    test_mnemonic: TestMnemonicOption = False,
    seed: SeedOption = None,
) -> None:
    """Make keys, mock hardware and genesis without starting anything; containers use it."""
    from qanat import start

    is_new = start.make_data_directory(
        network,
        DataLayout(data.resolve()),
        to=None if test_mnemonic else to,
        count=accounts,
        amount=amount,
        seed=seed_of(seed),
    )
    out.print(f"network data {'made' if is_new else 'found'} in {data}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Node name, such as compute-0.")],
    data: Annotated[Path, typer.Option("--data", help="Data directory.", envvar="QANAT_DATA")],
    network: NetworkOption = DEFAULT_NETWORK,
    port_base: PortOption = DEFAULT_PORT_BASE,
    database_url: Annotated[
        str | None, typer.Option(envvar="QANAT_DATABASE_URL", help="Of the gateway's index.")
    ] = None,
    seed: SeedOption = None,
    log_level: Annotated[
        str, typer.Option(envvar="OASIS_NODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run one node in the foreground, reaching the others by their names; containers use it."""
    from qanat import start

    start.run_node(
        network,
        DataLayout(data.resolve()),
        name,
        port_base=port_base,
        seed=seed_of(seed),
        database_url=database_url or None,
        log_level=log_level,
    )


@app.command()
def compose(
    network: NetworkOption = DEFAULT_NETWORK,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write. [default: print it]")
    ] = None,
) -> None:
    """Write the Compose file of a network, which starts the same nodes by containers."""
    from qanat.compose_file import render_compose_file

    where = network.resolve()
    inside = where.relative_to(ROOT) if where.is_relative_to(ROOT / "networks") else None
    if inside is None:
        raise BadNetworkFile(f"{network}: the image holds the files of {ROOT / 'networks'} only")
    text = render_compose_file(load_network(where), inside, output)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)
        err.print(f"wrote {output}")


@app.command()
def down(
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the data as well.")] = False,
) -> None:
    """Stop the network; its chain stays on disk."""
    layout = data_layout(network, data)
    state = load_running_state(layout)
    if state is None:
        out.print(f"no network runs on {layout.root}")
    else:
        os.kill(state.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while is_alive(state.pid):
            if time.monotonic() > deadline:
                err.print(f"launcher {state.pid} does not stop; kill it with `kill -9`")
                raise typer.Exit(1)
            time.sleep(0.02)
        out.print("stopped")
    if wipe:
        from qanat.provision.removal import remove_data

        remove_data(layout.root)
        out.print(f"removed {layout.root}")


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def logs(
    node: Annotated[str | None, typer.Argument(help="Node name, such as compute-0.")] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", help="Lines from the end of each log.")] = 50,
) -> None:
    """Show the logs of a node, or of all."""
    layout = data_layout(network, data)
    paths = sorted(layout.logs.glob(f"{node or '*'}.*log"))
    if not paths:
        err.print(f"no logs of {node or 'any node'} in {layout.logs}")
        raise typer.Exit(1)
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, paths)]
    os.execvp(command[0], command)  # noqa: S606 - tail does this better than we would


app.command()(snapshot_commands.snapshot)
app.command()(snapshot_commands.revert)


@epoch_app.command("advance")
def epoch_advance(
    count: Annotated[int, typer.Argument(min=1, help="How many epochs.")] = 1,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """Move the epoch on; returns when every service has seen it."""
    from qanat.observe import advance_epoch

    out.print(f"epoch {advance_epoch(find_network(network, data, port_base), count)}")


@epoch_app.callback()
def _epoch() -> None:
    """Keep `advance` a sub-command although it is the only one."""


def main() -> None:
    """Run the command line; errors of the product are one line and exit status 1."""
    try:
        app()
    except QanatError as error:
        err.print(f"[bold red]error[/]: {error.message}")
        sys.exit(1)
