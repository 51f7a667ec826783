"""`net_*` methods."""

from services.gateway.rpc.methods import rpc_method


class NetMethods:
    """Answers of the namespace."""

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id

    @rpc_method("net_version")
    async def version(self) -> str:
        """Chain id in decimal."""
        return str(self._chain_id)
