"""
Time and mining, as Hardhat, Anvil and Ganache name them: `evm_*`, `hardhat_*` and `anvil_*`.

They are dev controls: they exist only in networks that have these, and answer only who
`rpc.callers` lets. Each returns when this gateway shows what came of it. See ADR 0032.
"""

import asyncio
from typing import Any

from services.gateway.dev_controls import DevControlApi
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import BadParameter, boolean, count, optional, seconds
from services.gateway.rpc.shapes import Json, show_block
from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.types.identity import Round, RuntimeId
from shared.types.mining import TimeShift

MAX_SHOWN_BLOCKS = 1_000
"""Of one `evm_mine_detailed`."""
SHOWN_WAIT_S = 10.0
"""How long a dev control waits for this gateway to show a round [s]."""
SECOND_NS, SECOND_MS = 10**9, 1_000
LEAST_MS = 10**11
"""A time from here on is taken for milliseconds, which Ganache and Anvil have in `evm_setTime`."""


def mine_request(value: Any) -> tuple[int, int | None]:
    """Number of blocks and timestamp [s]: `{timestamp, blocks}`, or a timestamp, 0 for none."""
    if type(value) is not dict:
        return 1, count(value) or None
    unknown = set(value) - {"timestamp", "blocks"}
    if unknown:
        raise BadParameter(f"has timestamp and blocks, and no {min(unknown)!r}")
    blocks, timestamp = value.get("blocks"), value.get("timestamp")
    return 1 if blocks is None else count(blocks), None if timestamp is None else count(timestamp)


class MiningMethods:
    """Answers about time and mining."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._index = node, node.index
        self._consensus: DevControlApi = node.consensus
        self._runtime_id = RuntimeId(node.settings.runtime_id)
        self._name = node.settings.client_version
        self._moved = asyncio.Event()
        self._index.listen(lambda _: self._moved.set())

    # -- time ----------------------------------------------------------------------------------

    @also("anvil_increaseTime")
    @rpc_method("evm_increaseTime", seconds)
    async def increase_time(self, seconds: int) -> int:
        """Move time ahead [s], and show it to contracts by a block; by how much in all."""
        await self._consensus.move_time(seconds * SECOND_MS)
        await self._until_newest()
        (raw,) = await self._consensus.fetch_state((state_keys.TIME_SHIFT,))
        return 0 if raw is None else decode_record(TimeShift, raw).shift_ns // SECOND_NS

    @also("anvil_setNextBlockTimestamp")
    @rpc_method("evm_setNextBlockTimestamp", count)
    async def set_next_block_timestamp(self, timestamp_s: int) -> str:
        """
        Choose the timestamp of the next block with transactions, or that is mined.

        A block with it is laid down at once: contracts see the time of the block before.
        """
        await self._until_shown(
            await self._consensus.set_next_timestamp(self._runtime_id, timestamp_s)
        )
        return str(timestamp_s)

    @also("anvil_setTime")
    @rpc_method("evm_setTime", count)
    async def set_time(self, time: int) -> int:
        """Move time ahead to a point [s, or ms]; by how much that is [s]."""
        target_s = time // SECOND_MS if time >= LEAST_MS else time
        now_s = (await self._consensus.fetch_status()).time_ns // SECOND_NS
        if target_s < now_s:
            raise QueryRejected(f"time {target_s} is before the chain's, {now_s}")
        if target_s > now_s:
            await self._consensus.move_time((target_s - now_s) * SECOND_MS)
            await self._until_newest()
        return target_s - now_s

    # -- mining --------------------------------------------------------------------------------

    @rpc_method("evm_mine", optional(mine_request, (1, None)))
    async def mine(self, request: tuple[int, int | None]) -> str:
        """Mine a block, or what `{timestamp, blocks}` says; a bare number is a timestamp."""
        blocks, timestamp_s = request
        if timestamp_s is not None:
            await self._consensus.set_next_timestamp(self._runtime_id, timestamp_s)
        await self._mine(blocks, 0)
        return "0x0"

    @also("anvil_mine_detailed")
    @rpc_method("evm_mine_detailed", optional(mine_request, (1, None)))
    async def mine_in_detail(self, request: tuple[int, int | None]) -> list[Json]:
        """Mine as `evm_mine` does; the blocks, with their transactions."""
        if request[0] > MAX_SHOWN_BLOCKS:
            raise QueryRejected(f"{request[0]} blocks at once, at most {MAX_SHOWN_BLOCKS}")
        before = self._index.newest
        await self.mine(request)
        after = self._index.newest
        first, last = (-1 if one is None else one.number for one in (before, after))
        found = [await self._index.find_round(number) for number in range(first + 1, last + 1)]
        newest = [one for one in found if one is not None][-request[0] :] if request[0] else []
        return [show_block(one, with_transactions=True) for one in newest]

    @also("anvil_mine")
    @rpc_method("hardhat_mine", optional(count, 1), optional(count))
    async def mine_blocks(self, blocks: int, interval_s: int | None) -> bool:
        """Mine blocks whose timestamps are so far apart [s], by default one second."""
        await self._mine(blocks, 1 if interval_s is None else interval_s)
        return True

    async def _mine(self, blocks: int, interval_s: int) -> None:
        mining = await self._consensus.fetch_mining(self._runtime_id)
        if blocks and not mining.automine:
            # The first takes what waits.
            await self._until_shown(await self._consensus.mine_waiting(self._runtime_id))
            blocks -= 1
        if blocks:
            mined = await self._consensus.mine_rounds(self._runtime_id, blocks, interval_s)
            await self._until_shown(mined)

    @also("anvil_setAutomine")
    @rpc_method("evm_setAutomine", boolean)
    async def set_automine(self, automine: bool) -> bool:
        """
        Say whether a transaction is mined at once; without, it waits for `evm_mine`.

        The switch is a block: a scheduler that makes it has heard of the switch, so that none will
        propose the next transaction because it has not.
        """
        await self._consensus.set_mining(self._runtime_id, automine, None)
        self._node.is_automine = automine
        if not automine:
            await self._until_shown(await self._consensus.mine_waiting(self._runtime_id))
        return True

    @also("anvil_getAutomine")
    @rpc_method("hardhat_getAutomine")
    async def get_automine(self) -> bool:
        """Say whether a transaction is mined at once."""
        return (await self._consensus.fetch_mining(self._runtime_id)).automine

    @rpc_method("evm_setIntervalMining", seconds)
    async def set_interval_mining(self, interval: int) -> bool:
        """
        Mine a block every so often, whatever waits; 0 ends it.

        In milliseconds, as Hardhat; in seconds where `client_version` says that this is Anvil.
        """
        is_anvil = self._name.lower().startswith("anvil")
        await self._set_interval(interval * SECOND_MS if is_anvil else interval)
        return True

    @rpc_method("anvil_setIntervalMining", seconds)
    async def set_interval_mining_s(self, interval_s: int) -> None:
        """Mine a block every so often [s]; 0 ends it."""
        await self._set_interval(interval_s * SECOND_MS)

    @also("hardhat_setBlockTimestampInterval")
    @rpc_method("anvil_setBlockTimestampInterval", count)
    async def set_block_timestamp_interval(self, step_s: int) -> None:
        """Have each block's timestamp be so much ahead of the one before, at least [s]."""
        await self._consensus.set_mining(self._runtime_id, None, None, step_s)

    @also("hardhat_removeBlockTimestampInterval")
    @rpc_method("anvil_removeBlockTimestampInterval")
    async def remove_block_timestamp_interval(self) -> bool:
        """Let timestamps repeat again; whether they did not."""
        step_s = (await self._consensus.fetch_mining(self._runtime_id)).step_s
        await self._consensus.set_mining(self._runtime_id, None, None, 0)
        return step_s > 0

    @rpc_method("anvil_getIntervalMining")
    async def get_interval_mining(self) -> int | None:
        """Time between blocks [s]; null where it is the network's own."""
        interval_ms = (await self._consensus.fetch_mining(self._runtime_id)).interval_ms
        return None if interval_ms is None else interval_ms // SECOND_MS

    async def _set_interval(self, interval_ms: int) -> None:
        await self._consensus.set_mining(self._runtime_id, None, interval_ms)

    # -- what is shown -------------------------------------------------------------------------

    async def _until_newest(self) -> None:
        """Wait until this gateway shows what is the newest block now."""
        newest = await self._consensus.fetch_last_block(self._runtime_id)
        if newest is not None:
            await self._until_shown(newest.round)

    async def _until_shown(self, round_: Round) -> None:
        try:
            async with asyncio.timeout(SHOWN_WAIT_S):
                while self._index.newest is None or self._index.newest.number < round_:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise QueryRejected(f"block {round_} is not there after {SHOWN_WAIT_S:g} s") from None
