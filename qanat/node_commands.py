"""`qanat node`: pause, stop and start one node, and have it misbehave."""

from pathlib import Path

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
from shared.api.control import Fault, FaultKind

node_app = typer.Typer(no_args_is_help=True, help="One node: pause it, stop it, have it lie.")


@node_app.command("pause")
def node_pause(
    name: NodeArgument, network: NetworkOption = DEFAULT_NETWORK, data: DataOption = None
) -> None:
    """Stop the clock of a node's processes (SIGSTOP): it answers nobody, and knows nothing."""
    from qanat.control import ask_launcher

    ask_launcher(data_layout(network, data), lambda launcher: launcher.pause(name))
    out.print(f"{name} paused")


@node_app.command("resume")
def node_resume(
    name: NodeArgument, network: NetworkOption = DEFAULT_NETWORK, data: DataOption = None
) -> None:
    """Let a paused node go on."""
    from qanat.control import ask_launcher

    ask_launcher(data_layout(network, data), lambda launcher: launcher.resume(name))
    out.print(f"{name} goes on")


@node_app.command("stop")
def node_stop(
    name: NodeArgument, network: NetworkOption = DEFAULT_NETWORK, data: DataOption = None
) -> None:
    """End a node's processes and leave them ended; returns when they have."""
    from qanat.control import ask_launcher

    ask_launcher(data_layout(network, data), lambda launcher: launcher.stop(name))
    out.print(f"{name} stopped")


@node_app.command("start")
def node_start(
    name: NodeArgument, network: NetworkOption = DEFAULT_NETWORK, data: DataOption = None
) -> None:
    """Start a node that was stopped."""
    from qanat.control import ask_launcher

    ask_launcher(data_layout(network, data), lambda launcher: launcher.start(name))
    out.print(f"{name} starts")


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
