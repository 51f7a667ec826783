"""What the gateway asks of consensus to go back in time."""

from typing import Protocol

from shared.api.consensus import PATIENCE_MS, Reverted, Snapshot


class SnapshotApi(Protocol):
    """The part of `ConsensusApi` that goes back in time."""

    async def take_snapshot(self) -> Snapshot:
        """Remember the newest block."""
        ...

    async def remember_start(self) -> None:
        """Remember the newest block as the start, unless one is known."""
        ...

    async def drop_snapshot(self, snapshot_id: int) -> None:
        """Forget a snapshot."""
        ...

    async def revert(self, snapshot_id: int, patience_ms: int = PATIENCE_MS) -> Reverted:
        """Go back to a snapshot with the whole network."""
        ...
