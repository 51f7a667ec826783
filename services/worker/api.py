"""The edges: `WorkerApi`, and what `/health` shows."""

from typing import Any

from services.worker.node import WorkerNode
from shared.api.worker import InstanceStatus, WorkerStatus
from shared.rules.app_ids import encode_app_id


class WorkerEdge:
    """Answers `WorkerApi`."""

    def __init__(self, node: WorkerNode) -> None:
        self._node = node

    async def fetch_status(self) -> WorkerStatus:
        """Where the worker and its instances stand."""
        return await self._node.status()

    async def deploy(self, app_id: bytes, bundle: bytes) -> InstanceStatus:
        """Run an app, or this bundle of it instead of the one before."""
        return await self._node.deploy(app_id, bundle)

    async def stop(self, app_id: bytes) -> InstanceStatus:
        """End an instance and leave it ended."""
        return await self._node.set_wanted(app_id, is_wanted=False)

    async def start(self, app_id: bytes) -> InstanceStatus:
        """Run an instance again that was stopped."""
        return await self._node.set_wanted(app_id, is_wanted=True)

    async def remove(self, app_id: bytes) -> None:
        """End an instance and forget it."""
        await self._node.remove(app_id)

    async def fetch_logs(self, app_id: bytes) -> bytes:
        """Give the end of what the program wrote."""
        return await self._node.logs(app_id)


async def check_health(node: WorkerNode) -> tuple[bool, dict[str, Any]]:
    """Say whether apps can run here, and what a person should see."""
    waits_for = node.waits_for()
    return not waits_for, {
        "service": "worker",
        "node": node.name,
        "node_id": node.node_id.hex(),
        "runtime_id": node.runtime_id.hex(),
        "tee": "MOCK",
        "epoch": node.epoch,
        "waits_for": waits_for,
        "instances": [
            {"app": encode_app_id(app_id), "name": name, "state": str(stage)}
            for app_id, name, stage in node.stages()
        ],
    }
