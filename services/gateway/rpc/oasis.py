"""`oasis_*` methods."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.rpc.errors import MethodMissing
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import hash32
from services.gateway.rpc.shapes import Json, show_bytes, show_outcome
from shared.gateways.compute_nodes import ComputeNodes


class OasisMethods:
    """Answers of the namespace."""

    def __init__(self, nodes: ComputeNodes, index: ChainIndex, *, confidential: bool) -> None:
        """Take whether the ParaTime is confidential; a public one has no key."""
        self._nodes, self._index, self._confidential = nodes, index, confidential

    @rpc_method("oasis_callDataPublicKey")
    async def call_data_public_key(self) -> Json:
        """Key of the epoch to which clients encrypt; the epoch is a JSON number, left out at 0."""
        if not self._confidential:
            raise MethodMissing(
                "the method oasis_callDataPublicKey does not exist/is not available: this ParaTime "
                "is public, and nothing in it is encrypted"
            )
        found = await self._nodes.ask(lambda api: api.fetch_call_data_key())
        shown: Json = {
            "key": show_bytes(found.public_key.key),
            "checksum": show_bytes(found.public_key.checksum),
            "signature": show_bytes(found.public_key.signature),
        }
        if found.epoch:
            shown["epoch"] = found.epoch
        return shown

    @rpc_method("oasis_getTransactionOutcome", hash32)
    async def get_transaction_outcome(self, hash_: bytes) -> Json | None:
        """What became of a transaction, and why where it failed; null while it is in no block."""
        found = await self._index.find_transaction(hash_)
        return None if found is None else show_outcome(found)
