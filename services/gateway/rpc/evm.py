"""
`evm_*` methods: what a developer does to the network, as Hardhat and Anvil name it.

They are dev controls: they exist only in networks that have these, and answer only who
`rpc.callers` lets.
"""

from services.gateway.node import GatewayNode
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import count
from shared.api.consensus import UnknownSnapshot


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
        try:
            await self._consensus.revert(id_)
            await self._consensus.drop_snapshot(id_)
        except UnknownSnapshot:
            return False
        await self._node.learn_mining()
        return True
