"""What the gateway asks of consensus to move time, make blocks, and go back."""

from typing import Protocol

from services.gateway.snapshots import SnapshotApi
from shared.api.consensus import NEWEST, ConsensusStatus
from shared.types.block import BlockHeader
from shared.types.identity import Height, Round, RuntimeId
from shared.types.mining import Mining


class DevControlApi(SnapshotApi, Protocol):
    """The part of `ConsensusApi` that dev controls of the gateway use."""

    async def fetch_status(self) -> ConsensusStatus:
        """Where the chain stands."""
        ...

    async def fetch_state(
        self, keys: tuple[bytes, ...], height: Height = NEWEST
    ) -> tuple[bytes | None, ...]:
        """Values of state keys, without proof."""
        ...

    async def fetch_last_block(
        self, runtime_id: RuntimeId, height: Height = NEWEST
    ) -> BlockHeader | None:
        """Newest ParaTime block."""
        ...

    async def fetch_mining(self, runtime_id: RuntimeId, height: Height = NEWEST) -> Mining:
        """Say when a ParaTime makes rounds."""
        ...

    async def move_time(self, by_ms: int) -> int:
        """Move consensus time ahead; the new time [ns]."""
        ...

    async def set_next_timestamp(self, runtime_id: RuntimeId, timestamp_s: int) -> Round:
        """Choose the next timestamp; the round that shows it."""
        ...

    async def sign_dev_transaction(self, body: bytes) -> bytes:
        """Sign what edits the state, by the dev-control key; 64 bytes."""
        ...

    async def mine_rounds(self, runtime_id: RuntimeId, count: int, interval_s: int = 0) -> Round:
        """Make rounds without transactions; the last of them."""
        ...

    async def mine_waiting(self, runtime_id: RuntimeId) -> Round:
        """Have the scheduler propose what waits; the round to come."""
        ...

    async def set_mining(
        self,
        runtime_id: RuntimeId,
        automine: bool | None,
        interval_ms: int | None,
        step_s: int | None = None,
    ) -> None:
        """Say when rounds are made; None leaves a part as it is."""
        ...
