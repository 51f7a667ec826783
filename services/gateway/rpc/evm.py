"""
`evm_*` methods: what a developer does to the network, as Hardhat and Anvil name it.

They are dev controls: they exist only in networks that have these, and answer only who
`rpc.callers` lets.
"""

from typing import Any

from services.gateway.node import GatewayNode
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import BadParameter, count, optional
from shared.api.consensus import START_SNAPSHOT, UnknownSnapshot


def forking(value: Any) -> None:
    """Options of a reset, of which there are none here: `{}` or `{forking: …}`."""
    if type(value) is not dict:
        raise BadParameter("must be an object")
    if value.get("forking"):
        raise BadParameter("asks for a fork, which a running network cannot become")


class EvmMethods:
    """Answers of the namespace."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._consensus = node, node.consensus

    @also("anvil_snapshot")
    @rpc_method("evm_snapshot")
    async def snapshot(self) -> str:
        """Remember the state of the whole network; the number of the snapshot."""
        return hex((await self._consensus.take_snapshot()).id)

    @also("anvil_revert")
    @rpc_method("evm_revert", count)
    async def revert(self, id_: int) -> bool:
        """
        Go back to a snapshot with the whole network; false where there is none.

        The snapshot and all that were taken after it are used up, as in Hardhat. Returns when all
        nodes, this gateway among them, have gone back.
        """
        if id_ == START_SNAPSHOT:
            return False
        try:
            await self._consensus.revert(id_)
            await self._consensus.drop_snapshot(id_)
        except UnknownSnapshot:
            return False
        await self._node.learn_mining()
        return True

    @also("anvil_reset")
    @rpc_method("hardhat_reset", optional(forking))
    async def reset(self, _forking: None) -> bool:
        """
        Go back to where the network was first ready, with the whole network; snapshots are gone.

        A fork of another chain is refused: networks begin with one by a genesis file. So is a start
        that history does not keep any more.
        """
        await self._consensus.revert(START_SNAPSHOT)
        await self._node.learn_mining()
        return True
