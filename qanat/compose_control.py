"""The launcher's side of the control plane where Docker Compose is the launcher."""

from collections.abc import Callable
from typing import Any

from qanat.cables import ask_cable
from qanat.compose import NODE_LABEL, find_containers
from qanat.network import NodePlan
from shared.errors import Rejected, Unavailable


class NoSuchContainer(Rejected, module="launcher", code=9):
    """No container of the network runs a node of this name."""


class EngineRefused(Unavailable, module="launcher", code=10):
    """The Docker engine could not do it, such as to pause what does not run."""


class ContainerControl:
    """Fulfils `LauncherControlApi` by the Docker engine: a node is a container."""

    def __init__(self, project: str, plans: tuple[NodePlan, ...], dev_token: str | None) -> None:
        self._project, self._dev_token = project, dev_token
        self._plans = {plan.name: plan for plan in plans}

    async def pause(self, node: str) -> None:
        """Freeze a node's container."""
        self._do(node, lambda container: container.pause())

    async def resume(self, node: str) -> None:
        """Let a frozen container go on."""
        self._do(node, lambda container: container.unpause())

    async def stop(self, node: str) -> None:
        """Stop a node's container, for good."""
        self._do(node, lambda container: container.stop())

    async def start(self, node: str) -> None:
        """Start a container that was stopped."""
        self._do(node, lambda container: container.start())

    async def cut(self, node: str) -> None:
        """Cut a node off from all others."""
        await ask_cable(self._plan(node), self._dev_token, lambda cable: cable.cut())

    async def slow(self, node: str, delay_ms: int) -> None:
        """Hold all that arrives at a node from others for a while [ms]."""
        await ask_cable(self._plan(node), self._dev_token, lambda cable: cable.slow(delay_ms))

    async def heal(self, node: str) -> None:
        """End what `cut` and `slow` did."""
        await ask_cable(self._plan(node), self._dev_token, lambda cable: cable.heal())

    def _do(self, node: str, what: Callable[[Any], None]) -> None:
        from docker.errors import DockerException

        found = find_containers(self._project, is_stopped_too=True)
        container = next((one for one in found if one.labels[NODE_LABEL] == node), None)
        if container is None:
            raise NoSuchContainer(f"no container runs a node {node!r}")
        try:
            what(container)
        except DockerException as error:
            raise EngineRefused(str(error)) from error

    def _plan(self, node: str) -> NodePlan:
        plan = self._plans.get(node)
        if plan is None:
            raise NoSuchContainer(f"no node {node!r}; there are {', '.join(self._plans)}")
        return plan
