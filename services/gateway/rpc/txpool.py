"""`txpool_*` methods."""

from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.shapes import Json


class TxpoolMethods:
    """Answers of the namespace."""

    @rpc_method("txpool_content")
    async def content(self) -> Json:
        """Nothing: transactions that wait are not shown, as in the original."""
        return {"pending": []}
