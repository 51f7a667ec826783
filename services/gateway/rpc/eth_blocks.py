"""`eth_*` methods that the block index answers: blocks, transactions, receipts and logs."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.block_ids import find_any_block, find_block
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.log_range import query_logs
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import LogQuery, log_query
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BlockId,
    any_block_id,
    anything,
    block_id,
    boolean,
    optional,
    quantity64,
    whole_hash,
)
from services.gateway.rpc.shapes import (
    Json,
    show_block,
    show_bytes,
    show_receipt,
    show_transaction,
)


class EthBlockMethods:
    """Answers of the namespace that come from the index alone."""

    def __init__(self, index: ChainIndex, logs_max_rounds: int) -> None:
        self._index, self._logs_max_rounds = index, logs_max_rounds

    @rpc_method("eth_blockNumber")
    async def block_number(self) -> str:
        """Newest round."""
        return hex(self._index.require_newest().number)

    # -- blocks --------------------------------------------------------------------------------

    @rpc_method("eth_getBlockByNumber", block_id, boolean)
    async def get_block_by_number(self, block: BlockId, with_transactions: bool) -> Json | None:
        """Block, or null."""
        found = await find_block(self._index, block)
        return None if found is None else show_block(found, with_transactions=with_transactions)

    @rpc_method("eth_getBlockByHash", whole_hash, boolean)
    async def get_block_by_hash(self, hash_: bytes, with_transactions: bool) -> Json | None:
        """Block, or null."""
        found = await self._index.find_round_by_hash(hash_)
        return None if found is None else show_block(found, with_transactions=with_transactions)

    @rpc_method("eth_getBlockTransactionCountByNumber", block_id)
    async def get_block_transaction_count_by_number(self, block: BlockId) -> str:
        """How many transactions a block has; zero where there is none."""
        return _show_count(await find_block(self._index, block))

    @rpc_method("eth_getBlockTransactionCountByHash", whole_hash)
    async def get_block_transaction_count_by_hash(self, hash_: bytes) -> str:
        """How many transactions a block has; zero where there is none."""
        return _show_count(await self._index.find_round_by_hash(hash_))

    @rpc_method("eth_getBlockHash", block_id, optional(anything))
    async def get_block_hash(self, block: BlockId, _unused: object) -> str:
        """Hash of a block. Not standard; the original has it."""
        found = await find_block(self._index, block)
        if found is None:
            raise QueryRejected("block not found")
        return show_bytes(found.hash)

    # -- transactions --------------------------------------------------------------------------

    @rpc_method("eth_getTransactionByHash", whole_hash)
    async def get_transaction_by_hash(self, hash_: bytes) -> Json | None:
        """Transaction; null while it is not in a block."""
        found = await self._index.find_transaction(hash_)
        return None if found is None else show_transaction(found)

    @rpc_method("eth_getTransactionReceipt", whole_hash)
    async def get_transaction_receipt(self, hash_: bytes) -> Json | None:
        """Receipt; null while the transaction is not in a block."""
        found = await self._index.find_transaction(hash_)
        return None if found is None else show_receipt(found)

    @rpc_method("eth_getTransactionByBlockHashAndIndex", whole_hash, quantity64)
    async def get_transaction_by_block_hash_and_index(
        self, hash_: bytes, position: int
    ) -> Json | None:
        """Transaction by its place in a block."""
        return _transaction_at(await self._index.find_round_by_hash(hash_), position)

    @rpc_method("eth_getTransactionByBlockNumberAndIndex", block_id, quantity64)
    async def get_transaction_by_block_number_and_index(
        self, block: BlockId, position: int
    ) -> Json | None:
        """Transaction by its place in a block."""
        return _transaction_at(await find_block(self._index, block), position)

    @rpc_method("eth_getBlockReceipts", any_block_id)
    async def get_block_receipts(self, block: AnyBlockId) -> list[Json] | None:
        """Receipts of a block in order, or null where there is none."""
        found = await find_any_block(self._index, block)
        return None if found is None else [show_receipt(one) for one in found.transactions]

    # -- logs ----------------------------------------------------------------------------------

    @rpc_method("eth_getLogs", log_query)
    async def get_logs(self, query: LogQuery) -> list[Json]:
        """Events by block range or hash, address and topics."""
        return await query_logs(self._index, query, self._logs_max_rounds)


def _show_count(found: IndexedRound | None) -> str:
    return hex(len(found.transactions)) if found is not None else "0x0"


def _transaction_at(found: IndexedRound | None, position: int) -> Json | None:
    if found is None:
        return None
    shown = found.at(position)
    if shown is None:
        raise QueryRejected("index out of range")
    return show_transaction(shown)
