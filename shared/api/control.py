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


def node_control(transport: Transport) -> NodeControlApi:
    """Make a client."""
    return client_of(NodeControlApi, transport)
