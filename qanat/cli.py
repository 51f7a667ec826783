"""The command line; `qanat --help` lists its commands."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from qanat import dump_commands, look_commands, recording_commands, snapshot_commands
from qanat.ai_commands import ai_app
from qanat.chain_commands import chain_app
from qanat.demo_commands import demo_app
from qanat.epoch_commands import epoch_app
from qanat.layout import DataLayout
from qanat.log_files import LOG_MIB
from qanat.network import DEFAULT_PORT_BASE, BadNetworkFile, load_network
from qanat.node_commands import node_app
from qanat.options import (
    DEFAULT_NETWORK,
    ROOT,
    AmountOption,
    ClientVersionOption,
    CountOption,
    DataOption,
    EncryptionOption,
    GenesisOption,
    LogSizeOption,
    NetworkOption,
    PortOption,
    ProfileOption,
    SeedOption,
    TestMnemonicOption,
    TimeStepOption,
    ToOption,
    WorkersOption,
    data_layout,
    err,
    out,
    required_encryption,
    seed_of,
)
from qanat.paratime.commands import paratime_app
from qanat.policy_commands import policy_app
from qanat.rofl.commands import rofl_app
from qanat.stop import stop_network
from qanat.tx_command import tx
from qanat.verify_commands import verify_app
from qanat.view.commands import view
from shared.errors import QanatError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A confidential devnet on your own machine. Its TEE is a MOCK.",
)
app.add_typer(ai_app, name="ai")
app.add_typer(chain_app, name="chain")
app.add_typer(demo_app, name="demo")
app.add_typer(epoch_app, name="epoch")
app.add_typer(node_app, name="node")
app.add_typer(paratime_app, name="paratime")
app.add_typer(policy_app, name="policy")
app.add_typer(rofl_app, name="rofl")
app.add_typer(verify_app, name="verify")


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
        str | None, typer.Option(help="Of the gateway's index. SQLite by default.")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay; Ctrl-C stops the network.")
    ] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="Remove the old data first.")] = False,
    require_encryption: EncryptionOption = None,
    profile: ProfileOption = None,
    block_time_step: TimeStepOption = None,
    genesis: GenesisOption = None,
    client_version: ClientVersionOption = None,
    workers: WorkersOption = None,
    listen_host: Annotated[
        str, typer.Option(help="Address on which every node listens.")
    ] = "127.0.0.1",
    log_level: Annotated[
        str, typer.Option(envvar="OASIS_NODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    log_mib: LogSizeOption = LOG_MIB,
    timeout: Annotated[
        float, typer.Option(help="How long to wait until ready, in seconds.")
    ] = 60.0,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written when the network is ready; --foreground only.")
    ] = None,
    no_explorer: Annotated[  # noqa: ARG001 - there is no explorer yet to leave out
        bool, typer.Option("--no-explorer", help="Accepted as by sapphire-localnet.")
    ] = False,
) -> None:
    """Start the network by processes; returns when it is ready, and the network stays up."""
    from qanat.begin import UpOptions, begin
    from qanat.network.workers import add_workers

    layout = data_layout(network, data)
    if workers is not None:
        # Beside the data, so that it is there before them, and after `--wipe`.
        network = add_workers(network, workers, layout.root.with_name(f"{layout.root.name}.toml"))
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
        log_mib=log_mib,
        timeout_s=timeout,
        wipe=wipe,
        ready_file=ready_file,
        require_encryption=required_encryption(require_encryption),
        profile=profile,
        block_time_step_s=block_time_step,
        genesis=genesis,
        client_version=client_version,
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
    block_time_step: TimeStepOption = None,
    profile: ProfileOption = None,
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
        block_time_step_s=block_time_step,
        profile=profile,
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
    require_encryption: EncryptionOption = None,
    profile: ProfileOption = None,
    client_version: ClientVersionOption = None,
    log_level: Annotated[
        str, typer.Option(envvar="OASIS_NODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run one node in the foreground, reaching the others by their names; containers use it."""
    from qanat import start
    from qanat.launcher.environment import RunOptions

    start.run_node(
        network,
        DataLayout(data.resolve()),
        name,
        RunOptions(
            log_level,
            seed_of(seed),
            "0.0.0.0",
            database_url or None,
            logs_to_files=False,
            require_encryption=required_encryption(require_encryption),
            # Docker forwards from loopback, where the Compose file has the ports.
            dev_control_peers="any",
            profile=profile,
            client_version=client_version,
        ),
        port_base=port_base,
    )


@app.command()
def compose(
    network: NetworkOption = DEFAULT_NETWORK,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; printed by default.")
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
    out.print("stopped" if stop_network(layout) else f"no network runs on {layout.root}")
    if wipe:
        from qanat.provision.removal import remove_data

        remove_data(layout.root)
        out.print(f"removed {layout.root}")


for command in (
    look_commands.ps,
    look_commands.roots,
    look_commands.status,
    look_commands.logs,
    snapshot_commands.snapshot,
    snapshot_commands.revert,
    dump_commands.dump,
    dump_commands.load,
    tx,
    view,
    recording_commands.record,
    recording_commands.replay,
):
    app.command()(command)


def main() -> None:
    """Run the command line; errors of the product are one line and exit status 1."""
    try:
        app()
    except QanatError as error:
        err.print(f"[bold red]error[/]: {escape(error.message)}", soft_wrap=True)
        sys.exit(1)
    finally:
        # All is done: another Ctrl-C would find the interpreter at its end, and show where.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
