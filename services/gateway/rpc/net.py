"""`net_*` methods."""

from services.gateway.rpc.methods import rpc_method
from shared.gateways.compute_nodes import ComputeNodes


class NetMethods:
    """Answers of the namespace."""

    def __init__(self, chain_id: int, nodes: ComputeNodes) -> None:
        self._chain_id, self._nodes = chain_id, nodes

    @rpc_method("net_version")
    async def version(self) -> str:
        """Chain id in decimal."""
        return str(self._chain_id)

    @rpc_method("net_listening")
    async def listening(self) -> bool:
        """Always: who can ask is heard."""
        return True

    @rpc_method("net_peerCount")
    async def peer_count(self) -> str:
        """Compute nodes that deliver rounds."""
        return hex(sum(node.is_up for node in self._nodes.members))
