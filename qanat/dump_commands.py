"""`qanat dump` and `qanat load`: a whole network in one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from qanat.launcher.state import LauncherState, load_running_state
from qanat.layout import DataLayout
from qanat.network import DEFAULT_PORT_BASE, load_network
from qanat.options import DEFAULT_NETWORK, DataOption, NetworkOption, data_layout, err, out
from shared.api.control import LauncherControlApi
from shared.rules.app_ids import encode_app_id

if TYPE_CHECKING:
    from qanat.rofl.accepting import CarriedApp

MIB = 1024 * 1024


def dump(
    file: Annotated[Path, typer.Argument(help="File to write; replaced if it is there.")],
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
) -> None:
    """
    Write a network into one file, with its history and ALL ITS SECRETS.

    Of processes only. Where it runs it stands still meanwhile, and then goes on. Volumes of apps'
    containers stay in the Docker engine; which, is said.
    """
    from qanat.dump import write_dump
    from qanat.network import plan_nodes
    from qanat.rofl.accepting import find_carried

    layout = data_layout(network, data)
    state = load_running_state(layout)
    network_file = network if state is None else Path(state.network_file)
    described = load_network(network_file)
    with _standing_still(layout, state):
        size = write_dump(layout, described.name, network_file, file)
    out.print(f"wrote {file}, {size / MIB:.1f} MiB")
    err.print("[yellow]It contains every secret of the network[/]: keep it as you keep keys")
    for app in find_carried(layout, plan_nodes(described)):
        if app.volumes:
            err.print(f" * {_volumes_of(app)} stay in the Docker engine, and are not in it")


def load(
    file: Annotated[Path, typer.Argument(help="As `qanat dump` wrote it; trust who made it.")],
    data: Annotated[
        Path | None, typer.Option(help="Data directory to make; .qanat/NAME by default.")
    ] = None,
) -> None:
    """
    Make a data directory of a dump, whichever version wrote it.

    `qanat up` then goes on where it was. Enclaves of the code of now open what those sealed that
    made it, since you own the mock CPU that sealed it.
    """
    from qanat.dump import read_dump, read_manifest
    from qanat.network import plan_nodes
    from qanat.provision.succession import take_over
    from qanat.rofl.accepting import find_carried

    root = Path(".qanat") / read_manifest(file).network if data is None else data
    layout = DataLayout(root.resolve())
    read_dump(file, layout, lambda made: take_over(made, load_network(made.network_file)))
    if layout.succession.exists():
        err.print(" * other code made it: enclaves of this code go on for those that it had")
    for app in find_carried(layout, plan_nodes(load_network(layout.network_file))):
        # What its enclave was measured as stands on the chain, which does not run yet.
        id_ = encode_app_id(app.app_id)
        err.print(f" * {app.name}, {id_}: where it does not register, `qanat rofl accept`")
        if app.volumes:
            err.print(f" * {_volumes_of(app)} are not in a dump, and begin empty")
    out.print(f"loaded into {layout.root}; go on with")
    out.print(f"  qanat up --data {root} --network {root / layout.network_file.name}")


def _volumes_of(app: "CarriedApp") -> str:
    kind = "volume" if len(app.volumes) == 1 else "volumes"
    return escape(f"of {app.name}'s containers, the {kind} {', '.join(app.volumes)}")


@contextmanager
def _standing_still(layout: DataLayout, state: LauncherState | None) -> Iterator[None]:
    """Pause each node that runs, while the context is open."""
    if state is None:
        yield
        return
    from qanat.control import ask_launcher
    from qanat.observe import find_running

    running = find_running(layout, Path(state.network_file), DEFAULT_PORT_BASE)
    # Who asks stands still before those that answer.
    running_ones = (one.name for one in reversed(state.processes) if one.state == "running")
    names = tuple(dict.fromkeys(running_ones))

    async def pause(launcher: LauncherControlApi) -> None:
        for name in names:
            await launcher.pause(name)

    async def resume(launcher: LauncherControlApi) -> None:
        for name in reversed(names):
            await launcher.resume(name)

    try:
        ask_launcher(layout, running, pause)
        yield
    finally:
        ask_launcher(layout, running, resume)
