"""`qanat record` and `qanat replay`: a run once more, hash by hash."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    AmountOption,
    CountOption,
    DataOption,
    GenesisOption,
    NetworkOption,
    ParaTimeOption,
    PortOption,
    ToOption,
    data_layout,
    err,
    find_network,
    out,
    seed_of,
)

REPLAY_PORT_BASE = DEFAULT_PORT_BASE + 20_000
"""Beside a network that runs."""


def record(
    file: Annotated[Path, typer.Argument(help="File to write; replaced if it is there.")],
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    paratime: ParaTimeOption = None,
) -> None:
    """
    Write down a run of a network that was started with --seed, for `qanat replay`.

    From genesis to now, as often as you like. No secret is in the file.
    """
    import asyncio

    from qanat.launcher.state import load_running_state
    from qanat.recording import Recording, write_recording
    from qanat.replay import charges_as_ethereum
    from qanat.replay import record as read_rounds

    running = find_network(network, data, port_base)
    state = load_running_state(data_layout(network, data))
    network_file = network if state is None else Path(state.network_file)
    name = paratime or running.network.paratime[0].name
    rounds = asyncio.run(read_rounds(running, name))
    has_ethereum_gas = asyncio.run(charges_as_ethereum(running, name))
    recording = Recording(network_file.read_text(), name, rounds, has_ethereum_gas)
    write_recording(file, recording)
    out.print(f"wrote {file}: {len(rounds)} rounds of {name}")


def replay(
    file: Annotated[Path, typer.Argument(help="As `qanat record` wrote it.")],
    seed: Annotated[str, typer.Option("--seed", envvar="QANAT_SEED", help="Of the recorded run.")],
    to: ToOption = None,
    accounts: CountOption = None,
    amount: AmountOption = None,
    genesis: GenesisOption = None,
    port_base: Annotated[
        int, typer.Option("--port-base", help="Of the network that is started for it.")
    ] = REPLAY_PORT_BASE,
) -> None:
    """
    Run a recording again in a network of its own, and check the hash of every round.

    Give --to, --accounts, --amount and --genesis as at the recorded start. Ends with status 1 at
    the first round that differs, and says in what.
    """
    import asyncio

    from qanat.begin import UpOptions, begin
    from qanat.layout import DataLayout
    from qanat.observe import find_running
    from qanat.recording import read_recording
    from qanat.replay import replay as run_again
    from qanat.start import up
    from qanat.stop import stop_network
    from qanat.unwinding import deaf, unwinding

    recording, quiet = read_recording(file), Console(quiet=True)
    with unwinding(), tempfile.TemporaryDirectory(prefix="qanat-replay-") as root:
        network_file = Path(root) / "network.toml"
        network_file.write_text(recording.network)
        layout = DataLayout(Path(root) / "data")
        options = UpOptions(
            network_file=network_file,
            layout=layout,
            port_base=port_base,
            to=to,
            count=accounts,
            amount=amount,
            seed=seed_of(seed),
            database_url=None,
            listen_host="127.0.0.1",
            log_level="warning",
            timeout_s=60.0,
            wipe=False,
            profile="dev" if recording.has_ethereum_gas else "strict",
            genesis=genesis,
        )
        beginning = begin(options, foreground=False, out=quiet)
        if beginning is None:
            raise typer.Exit(1)
        try:
            up(options, beginning, foreground=False, out=quiet, err=err)
            running = find_running(layout, network_file, port_base)
            with err.status("replaying …") as progress:
                newest = recording.rounds[-1].header.round
                asyncio.run(
                    run_again(
                        running,
                        recording,
                        lambda number: progress.update(f"round {number} of {newest} is the same"),
                    )
                )
        finally:
            with deaf():
                stop_network(layout)
    last = recording.rounds[-1].header.hash().hex()
    out.print(f"all {len(recording.rounds)} rounds are the same, to 0x{last}")
