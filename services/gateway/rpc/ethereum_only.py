"""What tools of Ethereum ask and Sapphire has not, or tells otherwise. Of profile `dev`."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.block_ids import find_block
from services.gateway.rpc.errors import INVALID_PARAMETERS_CODE, EthereumRejected
from services.gateway.rpc.log_range import BackwardRange, query_logs
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import LogQuery, log_query
from services.gateway.rpc.parameters import BlockId, block_id, hash32, quantity64, whole_hash
from services.gateway.rpc.shapes import Json, show_transaction

BLOB_BASE_FEE_WEI = 1
"""What contracts see. Source: EIP-4844, MIN_BASE_FEE_PER_BLOB_GAS."""


class EthereumOnlyMethods:
    """Answers about blocks, which have neither uncles nor blobs."""

    def __init__(self, index: ChainIndex, logs_max_rounds: int) -> None:
        self._index, self._logs_max_rounds = index, logs_max_rounds

    @rpc_method("eth_blobBaseFee")
    async def blob_base_fee(self) -> str:
        """Least price of blobs [wei/gas]: none are sold here."""
        return hex(BLOB_BASE_FEE_WEI)

    @rpc_method("eth_getBlockTransactionCountByHash", whole_hash)
    async def get_block_transaction_count_by_hash(self, hash_: bytes) -> str | None:
        """How many transactions a block has; null where there is none."""
        found = await self._index.find_round_by_hash(hash_)
        return None if found is None else hex(len(found.transactions))

    @rpc_method("eth_getBlockTransactionCountByNumber", block_id)
    async def get_block_transaction_count_by_number(self, block: BlockId) -> str | None:
        """How many transactions a block has; null where there is none."""
        found = await find_block(self._index, block)
        return None if found is None else hex(len(found.transactions))

    @rpc_method("eth_getTransactionByBlockHashAndIndex", whole_hash, quantity64)
    async def get_transaction_by_block_hash_and_index(
        self, hash_: bytes, position: int
    ) -> Json | None:
        """Transaction by its place in a block; null where there is none."""
        return _show_at(await self._index.find_round_by_hash(hash_), position)

    @rpc_method("eth_getTransactionByBlockNumberAndIndex", block_id, quantity64)
    async def get_transaction_by_block_number_and_index(
        self, block: BlockId, position: int
    ) -> Json | None:
        """Transaction by its place in a block; null where there is none."""
        return _show_at(await find_block(self._index, block), position)

    @rpc_method("eth_getLogs", log_query)
    async def get_logs(self, query: LogQuery) -> list[Json]:
        """Events by block range or hash, address and topics."""
        try:
            return await query_logs(self._index, query, self._logs_max_rounds)
        except BackwardRange:
            raise EthereumRejected("invalid block range params", INVALID_PARAMETERS_CODE) from None

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


def _show_at(found: IndexedRound | None, position: int) -> Json | None:
    shown = None if found is None else found.at(position)
    return None if shown is None else show_transaction(shown)
