"""What a worker does for who operates it: runs apps, and says how they are."""

import enum
from dataclasses import dataclass
from typing import Annotated, Protocol

from shared.encoding.contract import Transport, client_of, dev_control
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes21, Bytes32
from shared.types.app_runs import AppRun as AppRun
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import Epoch, NodeId, RuntimeId


class InstanceState(enum.StrEnum):
    """Where an instance stands, on its way to running and beyond."""

    STARTING = "starting"
    """Its enclave begins, or begins again after it died."""
    REGISTERING = "registering"
    """Its enclave runs, and the chain has not let it register yet; `reason` says why."""
    RUNNING = "running"
    """It is registered, has its keys, and the program runs."""
    STOPPED = "stopped"
    """Nobody wants it to run."""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One app on one worker."""

    app_id: Bytes21
    name: str
    version: str
    bundle_hash: Bytes32
    state: InstanceState
    reason: str
    """What it waits for, or why it does not run; empty where nothing is wrong."""
    enclave: EnclaveIdentity | None
    """As its quotes say; None while its enclave does not run."""
    rak: Bytes32 | None
    """By which the chain knows the instance; fresh at each start of its enclave."""
    expiration: Epoch | None
    """Last epoch in which its registration holds."""
    enclave_restarts: int
    app: AppRun | None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Where a worker stands."""

    name: str
    node_id: NodeId
    runtime_id: RuntimeId
    is_ready: bool
    epoch: Epoch
    instances: tuple[InstanceStatus, ...]
    is_mock_tee: bool = True


class WorkerApi(Protocol):
    """Messages to a worker."""

    async def fetch_status(self) -> WorkerStatus:
        """Where the worker and its instances stand; anybody may ask."""
        ...

    @dev_control
    async def deploy(
        self, app_id: Bytes21, bundle: Annotated[bytes, AtMost(8 << 20)]
    ) -> InstanceStatus:
        """Run an app, or this bundle of it instead of the one before; it stays over restarts."""
        ...

    @dev_control
    async def stop(self, app_id: Bytes21) -> InstanceStatus:
        """End an instance and leave it ended; its bundle stays."""
        ...

    @dev_control
    async def start(self, app_id: Bytes21) -> InstanceStatus:
        """Run an instance again that was stopped."""
        ...

    @dev_control
    async def remove(self, app_id: Bytes21) -> None:
        """End an instance and forget it, with everything that it kept."""
        ...

    @dev_control
    async def fetch_logs(self, app_id: Bytes21) -> bytes:
        """Give the end of what the program wrote, at most 256 KiB."""
        ...


def worker_client(transport: Transport) -> WorkerApi:
    """Make a client over a connection."""
    return client_of(WorkerApi, transport)
