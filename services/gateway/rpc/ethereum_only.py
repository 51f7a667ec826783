"""What tools of Ethereum ask and Sapphire does not have: uncles and blobs. Of profile `dev`."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.rpc.block_ids import find_block
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BlockId, block_id, hash32, quantity64

BLOB_BASE_FEE_WEI = 1
"""What contracts see. Source: EIP-4844, MIN_BASE_FEE_PER_BLOB_GAS."""


class EthereumOnlyMethods:
    """Answers of a chain whose blocks have neither uncles nor blobs."""

    def __init__(self, index: ChainIndex) -> None:
        self._index = index

    @rpc_method("eth_blobBaseFee")
    async def blob_base_fee(self) -> str:
        """Least price of blobs [wei/gas]: none are sold here."""
        return hex(BLOB_BASE_FEE_WEI)

    @rpc_method("eth_getUncleCountByBlockNumber", block_id)
    async def get_uncle_count_by_block_number(self, block: BlockId) -> str | None:
        """Zero for every block; null where there is none."""
        return None if await find_block(self._index, block) is None else "0x0"

    @rpc_method("eth_getUncleCountByBlockHash", hash32)
    async def get_uncle_count_by_block_hash(self, hash_: bytes) -> str | None:
        """Zero for every block; null where there is none."""
        return None if await self._index.find_round_by_hash(hash_) is None else "0x0"

    @rpc_method("eth_getUncleByBlockNumberAndIndex", block_id, quantity64)
    async def get_uncle_by_block_number_and_index(self, _block: BlockId, _position: int) -> None:
        """Always null: a round has no uncles."""

    @rpc_method("eth_getUncleByBlockHashAndIndex", hash32, quantity64)
    async def get_uncle_by_block_hash_and_index(self, _hash: bytes, _position: int) -> None:
        """Always null: a round has no uncles."""
