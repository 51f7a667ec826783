"""The client's side of the control plane: commands to the launcher, and to nodes."""

import asyncio
from collections.abc import Awaitable, Callable

from qanat.compose_control import ContainerControl
from qanat.compose_file import project_of
from qanat.launcher.control import reachable
from qanat.layout import DataLayout
from qanat.observe import Running
from shared.api.control import (
    Fault,
    LauncherControlApi,
    launcher_control,
    node_control,
)
from shared.errors import Rejected
from shared.kit.link import Link

COMMAND_TIMEOUT_S = 15.0
"""How long a command may take [s]: stopping a node that does not listen takes five."""


class NoSuchFault(Rejected, module="launcher", code=7):
    """Only compute nodes misbehave on demand, and only where the network has dev controls."""


def ask_launcher(
    layout: DataLayout, running: Running, ask: Callable[[LauncherControlApi], Awaitable[None]]
) -> None:
    """Put a command to whatever runs the network: a launcher of processes, or Docker Compose."""

    async def main() -> None:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            if running.launcher_pid is None:
                project = project_of(running.network)
                await ask(ContainerControl(project, running.plans, running.dev_token))
                return
            with reachable(layout.control_socket) as path:
                link = Link("the launcher", path)
                try:
                    await ask(launcher_control(link))
                finally:
                    link.close()

    asyncio.run(main())


def inject_fault(running: Running, name: str, paratime: str | None, fault: Fault) -> None:
    """
    Have a compute node misbehave in one of its ParaTimes, by default in the first.

    Raises
    ------
    NoSuchFault
        There is no such compute node, it does not serve the ParaTime, or there is no token.
    """
    plan = next((one for one in running.plans_of("compute") if one.name == name), None)
    if plan is None:
        names = ", ".join(one.name for one in running.plans_of("compute"))
        raise NoSuchFault(f"no compute node {name!r}; there are {names}")
    served = paratime or plan.paratimes[0]
    if served not in plan.paratimes:
        raise NoSuchFault(f"{name} serves {', '.join(plan.paratimes)}, not {served}")
    if running.dev_token is None:
        raise NoSuchFault("there is no dev-token: the network was made without dev controls")
    runtime_id = running.network.find_paratime(served).id

    async def main() -> None:
        from qanat.node_client import NodeClient

        async with NodeClient(plan, runtime_id=runtime_id, dev_token=running.dev_token) as client:
            await node_control(client).inject_fault(fault)

    asyncio.run(main())
