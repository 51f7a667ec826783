"""
The profile `dev`: blocks and receipts that help a developer where Sapphire's hurt (ADR 0036).

Only what differs stands here, in `dev_calls` and in `dev_send`; all else is answered as in
`strict`. A transaction means the same in both, and no enclave says more than its measured
configuration allows.
"""

from services.gateway.index.rounds import IndexedRound, IndexedTransaction
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, find_block
from services.gateway.rpc.errors import EthereumRejected
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BlockHash,
    BlockId,
    Tag,
    any_block_id,
    block_id,
    boolean,
    count,
    hash32,
    optional,
    percentiles,
)
from services.gateway.rpc.shapes import Json, show_block, show_outcome, show_receipt
from services.gateway.rpc.size_gas import hint_for


class DevProfileMethods:
    """Answers that take the place of those of the profile `strict`."""

    def __init__(self, node: GatewayNode, strict: EthMethods) -> None:
        self._node, self._index, self._strict = node, node.index, strict

    @rpc_method("eth_getBlockByNumber", block_id, boolean)
    async def get_block_by_number(self, block: BlockId, with_transactions: bool) -> Json | None:
        """Block with its base fee, or null; `safe` and `finalized` are the newest."""
        return self._show(await find_block(self._index, _newest_if_final(block)), with_transactions)

    @rpc_method("eth_getBlockByHash", hash32, boolean)
    async def get_block_by_hash(self, hash_: bytes, with_transactions: bool) -> Json | None:
        """Block with its base fee, or null."""
        return self._show(await self._index.find_round_by_hash(hash_), with_transactions)

    def _show(self, found: IndexedRound | None, with_transactions: bool) -> Json | None:
        if found is None:
            return None
        # Chains keep no minimum price by round: what is shown is the one that is asked for now, so
        # that a client which doubles it, as all do, offers enough.
        base_fee_wei = max(self._node.fees.min_price_wei, self._node.settings.default_gas_price_wei)
        shown = show_block(found, with_transactions=with_transactions)
        return shown | {"baseFeePerGas": hex(base_fee_wei)}

    @rpc_method("eth_feeHistory", count, block_id, optional(percentiles, ()))
    async def fee_history(self, count: int, last: BlockId, percentiles: tuple[float, ...]) -> Json:
        """Fees of the last rounds; a round that is not there yet is refused."""
        head = self._index.require_newest().number
        if isinstance(last, int) and last > head:
            raise EthereumRejected(f"request beyond head block: requested {last}, head {head}")
        return await self._strict.fee_history(count, last, percentiles)

    @rpc_method("eth_getTransactionReceipt", hash32)
    async def get_transaction_receipt(self, hash_: bytes) -> Json | None:
        """Receipt, with the reason of a failure; null while the transaction is not in a block."""
        return self._show_receipt(await self._index.find_transaction(hash_))

    @rpc_method("eth_getBlockReceipts", any_block_id)
    async def get_block_receipts(self, block: AnyBlockId) -> list[Json | None] | None:
        """Receipts of a block in order, with the reasons of failures, or null where it is not."""
        if not isinstance(block, BlockHash):
            block = _newest_if_final(block)
        found = await find_any_block(self._index, block)
        return None if found is None else [self._show_receipt(one) for one in found.transactions]

    def _show_receipt(self, found: IndexedTransaction | None) -> Json | None:
        if found is None:
            return None
        receipt = show_receipt(found)
        if found.record.error is not None:
            hint = hint_for(found) if self._node.charges_for_size else None
            receipt["error"] = show_outcome(found, hint)["error"]
        return receipt


def _newest_if_final(block: BlockId) -> BlockId:
    """Give the newest round for `safe` and `finalized`: each is final when it is there."""
    return Tag.LATEST if block in (Tag.SAFE, Tag.FINALIZED) else block
