"""`qanat node`: pause, stop, start, cut off and slow down one node, and have it misbehave."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    NetworkOption,
    NodeArgument,
    ParaTimeOption,
    PortOption,
    RoundsOption,
    data_layout,
    find_network,
    out,
)
from shared.api.control import Fault, FaultKind, LauncherControlApi

node_app = typer.Typer(
    no_args_is_help=True, help="One node: pause it, stop it, cut it off, have it lie."
)


@node_app.command("pause")
def node_pause(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """Stop the clock of a node's processes (SIGSTOP): it answers nobody, and knows nothing."""
    _command(lambda launcher: launcher.pause(name), network, data, port_base)
    out.print(f"{name} paused")


@node_app.command("resume")
def node_resume(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """Let a paused node go on."""
    _command(lambda launcher: launcher.resume(name), network, data, port_base)
    out.print(f"{name} goes on")


@node_app.command("stop")
def node_stop(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """End a node's processes and leave them ended; returns when they have."""
    _command(lambda launcher: launcher.stop(name), network, data, port_base)
    out.print(f"{name} stopped")


@node_app.command("start")
def node_start(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """Start a node that was stopped."""
    _command(lambda launcher: launcher.start(name), network, data, port_base)
    out.print(f"{name} starts")


@node_app.command("cut")
def node_cut(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """Cut a node off from all others; people and tools still reach it over HTTP."""
    _command(lambda launcher: launcher.cut(name), network, data, port_base)
    out.print(f"{name} is cut off")


@node_app.command("heal")
def node_heal(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
) -> None:
    """End what `cut` and `slow` did to a node."""
    _command(lambda launcher: launcher.heal(name), network, data, port_base)
    out.print(f"{name} is connected, without delay")


@node_app.command("slow")
def node_slow(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    delay_ms: Annotated[int, typer.Option("--ms", min=0, help="How long, in milliseconds.")] = 100,
) -> None:
    """Hold all that arrives at a node from others for a while."""
    _command(lambda launcher: launcher.slow(name, delay_ms), network, data, port_base)
    out.print(f"{name} hears others {delay_ms} ms late")


def _command(
    ask: Callable[[LauncherControlApi], Awaitable[None]],
    network: Path,
    data: Path | None,
    port_base: int,
) -> None:
    from qanat.control import ask_launcher

    ask_launcher(data_layout(network, data), find_network(network, data, port_base), ask)


@node_app.command("lie")
def node_lie(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    paratime: ParaTimeOption = None,
    rounds: RoundsOption = 1,
) -> None:
    """
    Have a compute node vote for wrong state roots.

    Its enclave must be one that lies (can_lie in the network file), as in networks/byzantine.toml.
    """
    _inject(FaultKind.LIE, name, network, data, port_base, paratime, rounds)


@node_app.command("equivocate")
def node_equivocate(
    name: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    paratime: ParaTimeOption = None,
    rounds: RoundsOption = 1,
) -> None:
    """Have a compute node sign two proposals for one round, when it is the scheduler."""
    _inject(FaultKind.EQUIVOCATE, name, network, data, port_base, paratime, rounds)


def _inject(
    kind: FaultKind,
    name: str,
    network: Path,
    data: Path | None,
    port_base: int,
    paratime: str | None,
    rounds: int,
) -> None:
    from qanat.control import inject_fault

    running = find_network(network, data, port_base)
    inject_fault(running, name, paratime, Fault(kind, rounds))
    out.print(f"{name} will {kind.value} in {rounds} rounds")
