"""
The control plane: what a developer does to a network on purpose.

The launcher pauses, stops and starts nodes; it listens on a Unix socket in the data directory that
only the owner of the network may open. A node is told itself to misbehave: where the network has
dev controls, and by who knows its token.
"""

import enum
from dataclasses import dataclass
from typing import Protocol

from shared.encoding.contract import Transport, client_of, dev_control


class LauncherControlApi(Protocol):
    """Messages to the launcher. Each returns when it is done."""

    async def pause(self, node: str) -> None:
        """Stop the clock of a node's processes (SIGSTOP): it answers nobody, and knows nothing."""
        ...

    async def resume(self, node: str) -> None:
        """Let a paused node go on."""
        ...

    async def stop(self, node: str) -> None:
        """End a node's processes and leave them ended."""
        ...

    async def start(self, node: str) -> None:
        """Start a node that was stopped."""
        ...

    async def cut(self, node: str) -> None:
        """Cut a node off from all others; needs dev controls, as the node itself does it."""
        ...

    async def slow(self, node: str, delay_ms: int) -> None:
        """Hold all that arrives at a node from others for a while [ms]; needs dev controls."""
        ...

    async def heal(self, node: str) -> None:
        """End what `cut` and `slow` did."""
        ...


class CableControlApi(Protocol):
    """Messages to a node about the cable between it and all other nodes."""

    @dev_control
    async def cut(self) -> None:
        """
        Cut it: connections with other nodes end, and none can be made.

        People and tools, who ask over HTTP, still reach the node.
        """
        ...

    @dev_control
    async def slow(self, delay_ms: int) -> None:
        """Hold all that arrives from other nodes for a while [ms]; 0 is no longer."""
        ...

    @dev_control
    async def heal(self) -> None:
        """Make it whole and quick again."""
        ...

    @dev_control
    async def fetch_cable(self) -> tuple[bool, int]:
        """Say whether it is cut, and its delay [ms]."""
        ...


class FaultKind(enum.Enum):
    """A way to misbehave."""

    LIE = "lie"
    """Vote for a wrong state root. Needs an enclave that signs one: its measurement is its own."""
    EQUIVOCATE = "equivocate"
    """As scheduler, sign a second proposal for the same round."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and how often it happens before the node is honest again."""

    kind: FaultKind
    rounds: int = 1


class NodeControlApi(Protocol):
    """Messages to one ParaTime of a node."""

    @dev_control
    async def inject_fault(self, fault: Fault) -> None:
        """Arm a fault; 0 rounds disarm it."""
        ...

    @dev_control
    async def fetch_faults(self) -> tuple[Fault, ...]:
        """Faults that are armed, with the rounds that are left."""
        ...


def launcher_control(transport: Transport) -> LauncherControlApi:
    """Make a client."""
    return client_of(LauncherControlApi, transport)


def cable_control(transport: Transport) -> CableControlApi:
    """Make a client."""
    return client_of(CableControlApi, transport)


def node_control(transport: Transport) -> NodeControlApi:
    """Make a client."""
    return client_of(NodeControlApi, transport)
