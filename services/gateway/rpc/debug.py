"""`debug_*` methods that give raw bytes, and `eth_getRawTransaction*`."""

from services.gateway import rlp
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound, IndexedTransaction
from services.gateway.rpc.block_ids import find_any_block
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import AnyBlockId, any_block_id, quantity64, whole_hash
from services.gateway.rpc.shapes import header_items, show_bytes


class DebugMethods:
    """
    Answers of the namespace.

    The index keeps decoded transactions. Raw ones are made again, and given only where their hash
    is the transaction's.
    """

    def __init__(self, index: ChainIndex) -> None:
        self._index = index

    @rpc_method("debug_getRawTransaction", whole_hash)
    async def get_raw_transaction(self, hash_: bytes) -> str:
        """The signed transaction as it was handed in; `0x` where there is none."""
        return _show_raw(await self._index.find_transaction(hash_))

    @rpc_method("eth_getRawTransactionByHash", whole_hash)
    async def get_raw_transaction_by_hash(self, hash_: bytes) -> str:
        """The same, under its older name."""
        return _show_raw(await self._index.find_transaction(hash_))

    @rpc_method("eth_getRawTransactionByBlockHashAndIndex", whole_hash, quantity64)
    async def get_raw_transaction_by_block_hash_and_index(self, hash_: bytes, position: int) -> str:
        """By its place in a block."""
        found = await self._index.find_round_by_hash(hash_)
        return _show_raw_at(found, position)

    @rpc_method("eth_getRawTransactionByBlockNumberAndIndex", any_block_id, quantity64)
    async def get_raw_transaction_by_block_number_and_index(
        self, block: AnyBlockId, position: int
    ) -> str:
        """By its place in a block."""
        return _show_raw_at(await find_any_block(self._index, block), position)

    @rpc_method("debug_getRawReceipts", any_block_id)
    async def get_raw_receipts(self, block: AnyBlockId) -> list[str]:
        """Receipts of a block in the form in which Ethereum hashes them."""
        found = await self._require(block)
        return [show_bytes(rlp.encode_receipt(one)) for one in found.transactions]

    @rpc_method("debug_getRawHeader", any_block_id)
    async def get_raw_header(self, block: AnyBlockId) -> str:
        """Header of a block, with the fields that are shown; the block's hash is not its hash."""
        found = await self._require(block)
        if found.ethereum is not None:
            return show_bytes(found.ethereum.raw_header)
        return show_bytes(rlp.encode_header(header_items(found)))

    @rpc_method("debug_getRawBlock", any_block_id)
    async def get_raw_block(self, block: AnyBlockId) -> str:
        """Header and transactions of a block."""
        found = await self._require(block)
        if found.ethereum is not None:
            return show_bytes(found.ethereum.raw)
        return show_bytes(rlp.encode_block(header_items(found), found))

    async def _require(self, block: AnyBlockId) -> IndexedRound:
        found = await find_any_block(self._index, block)
        if found is None:
            raise QueryRejected("block not found")
        return found


def _show_raw(found: IndexedTransaction | None) -> str:
    if found is None:
        return "0x"
    raw = rlp.raw_transaction(found)
    if raw is None:
        raise QueryRejected("the raw transaction cannot be made from what the chain shows of it")
    return show_bytes(raw)


def _show_raw_at(found: IndexedRound | None, position: int) -> str:
    shown = None if found is None else found.at(position)
    return "0x" if shown is None else _show_raw(shown)
