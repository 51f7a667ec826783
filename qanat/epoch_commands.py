"""`qanat epoch`: epochs, on demand."""

from typing import Annotated

import typer

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    NetworkOption,
    PortOption,
    find_network,
    out,
)

epoch_app = typer.Typer(no_args_is_help=True, help="Epochs: needs dev controls.")


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
