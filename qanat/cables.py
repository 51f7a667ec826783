"""Cuts nodes off and slows them down: each does it itself, asked over HTTP with the dev token."""

from collections.abc import Awaitable, Callable

from qanat.network import NodePlan
from shared.api.control import CableControlApi, cable_control
from shared.errors import Rejected


class NoCable(Rejected, module="launcher", code=8):
    """Gateways are asked by clients and have no port for nodes: cut the nodes that they ask."""


async def ask_cable(
    plan: NodePlan, dev_token: str | None, ask: Callable[[CableControlApi], Awaitable[None]]
) -> None:
    """
    Put a command to the cable of a node.

    Raises
    ------
    NoCable
        The node is a gateway.
    DevTokenWrong
        The network was made without dev controls.
    """
    if plan.service == "gateway":
        raise NoCable(f"{plan.name} is a gateway: cut or slow the nodes that it asks")
    # Imported only here: a launcher that is never asked does not carry an HTTP client.
    from qanat.node_client import NodeClient

    async with NodeClient(plan, dev_token=dev_token) as client:
        await ask(cable_control(client))
