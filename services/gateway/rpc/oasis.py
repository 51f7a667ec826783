"""`oasis_*` methods."""

from services.gateway.compute_nodes import ComputeNodes
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.shapes import Json, show_bytes


class OasisMethods:
    """Answers of the namespace."""

    def __init__(self, nodes: ComputeNodes) -> None:
        self._nodes = nodes

    @rpc_method("oasis_callDataPublicKey")
    async def call_data_public_key(self) -> Json:
        """Key of the epoch to which clients encrypt; the epoch is a JSON number, left out at 0."""
        found = await self._nodes.ask(lambda api: api.fetch_call_data_key())
        shown: Json = {
            "key": show_bytes(found.public_key.key),
            "checksum": show_bytes(found.public_key.checksum),
            "signature": show_bytes(found.public_key.signature),
        }
        if found.epoch:
            shown["epoch"] = found.epoch
        return shown
