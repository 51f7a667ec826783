"""
`ots_*`: what the explorer Otterscan asks beside the standard methods.

Source: Otterscan's page "custom JSON-RPC", API level 8. Where a contract was made and which
transaction had a nonce is found by bisecting what accounts were; that takes no index by address.
Transactions of an account are those that name it as sender, receiver or new contract; calls between
contracts are no such names, and are in no index.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.record import number
from services.gateway.index.rounds import IndexedRound, IndexedTransaction
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, find_block, resolve_state
from services.gateway.rpc.frames import creator_in, entries_of
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BlockId,
    Tag,
    address,
    any_block_id,
    block_id,
    count,
    hash32,
    optional,
)
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import (
    Json,
    show_block,
    show_bytes,
    show_receipt,
    show_transaction,
)
from shared.api.evm import EvmQueries
from shared.types.identity import Round

API_LEVEL = 8
MAX_PAGE = 100
"""Transactions of one page."""
SELECTOR_CHARACTERS = 10
"""Of `0x` and a function selector: all that lists show of calldata."""


class OtterscanMethods:
    """Answers of the namespace."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._index: ChainIndex = node.index
        self._nodes, self._replays = node.nodes, replays

    @rpc_method("ots_getApiLevel")
    async def get_api_level(self) -> int:
        """Level of the API that is answered."""
        return API_LEVEL

    # -- blocks --------------------------------------------------------------------------------

    @rpc_method("ots_getBlockDetails", block_id)
    async def get_block_details(self, block: BlockId) -> Json | None:
        """Header of a block, its fees and how many transactions it has."""
        return _show_details(await find_block(self._index, block))

    @rpc_method("ots_getBlockDetailsByHash", hash32)
    async def get_block_details_by_hash(self, hash_: bytes) -> Json | None:
        """The same by hash."""
        return _show_details(await self._index.find_round_by_hash(hash_))

    @rpc_method("ots_getBlockTransactions", block_id, count, count)
    async def get_block_transactions(self, block: BlockId, page: int, size: int) -> Json | None:
        """One page of a block's transactions and receipts, from the newest end."""
        round_ = await find_block(self._index, block)
        if round_ is None:
            return None
        size = min(size, MAX_PAGE)
        end = max(len(round_.transactions) - page * size, 0)
        shown = round_.transactions[max(end - size, 0) : end]
        block_shown = _show_slim(round_) | {"transactions": list(map(_show_short, shown))}
        return {
            "fullblock": block_shown,
            "receipts": [show_receipt(one) | {"logs": None, "logsBloom": None} for one in shown],
        }

    # -- transactions --------------------------------------------------------------------------

    @rpc_method("ots_getInternalOperations", hash32)
    async def get_internal_operations(self, hash_: bytes) -> Any:
        """Transfers, creations and self-destructions inside a transaction."""
        found = await self._replays.require(hash_)
        return orjson.Fragment(await self._replays.trace_transaction(found, "operations"))

    @rpc_method("ots_traceTransaction", hash32)
    async def trace_transaction(self, hash_: bytes) -> list[Json]:
        """Calls of a transaction in order, each with its depth."""
        return entries_of(await self._call_tree(hash_))

    @rpc_method("ots_getTransactionError", hash32)
    async def get_transaction_error(self, hash_: bytes) -> str:
        """Raw bytes with which a transaction reverted; `0x` where it did not."""
        found = await self._replays.require(hash_)
        if found.record.error is None:
            return "0x"
        output: str = (await self._call_tree(hash_)).get("output", "0x")
        return output

    async def _call_tree(self, hash_: bytes) -> Json:
        found = await self._replays.require(hash_)
        trace = await self._replays.trace_transaction(found, {"geth": {"tracer": "callTracer"}})
        tree: Json = orjson.loads(trace)
        return tree

    @rpc_method("ots_getTransactionBySenderAndNonce", address, count)
    async def get_transaction_by_sender_and_nonce(self, sender: bytes, nonce: int) -> str | None:
        """Hash of the transaction that used a nonce; null while none did."""

        async def is_used(round_: Round) -> bool:
            found = await EvmQueries(self._nodes).fetch_account(sender, round_)
            return found.nonce > nonce

        for one in await self._transactions_of(await self._first_round(is_used)):
            if (one.record.sender, one.record.nonce) == (sender, nonce):
                return show_bytes(one.record.hash)
        return None

    # -- accounts ------------------------------------------------------------------------------

    @rpc_method("ots_searchTransactionsBefore", address, count, count)
    async def search_transactions_before(self, account: bytes, block: int, size: int) -> Json:
        """Newest transactions that name an account, of blocks before one; 0 is the newest."""
        last = self._index.require_newest().number if block == 0 else block - 1
        found, has_more = await self._index.find_transactions_of(
            account, self._index.first_number, last, min(size, MAX_PAGE), newest_first=True
        )
        return _show_page(found, is_first=block == 0, is_last=not has_more)

    @rpc_method("ots_searchTransactionsAfter", address, count, count)
    async def search_transactions_after(self, account: bytes, block: int, size: int) -> Json:
        """Oldest transactions that name an account, of blocks after one, newest first."""
        last = self._index.require_newest().number
        found, has_more = await self._index.find_transactions_of(
            account, block + 1 if block else 0, last, min(size, MAX_PAGE), newest_first=False
        )
        return _show_page(found[::-1], is_first=not has_more, is_last=block == 0)

    @rpc_method("ots_hasCode", address, optional(any_block_id, Tag.LATEST))
    async def has_code(self, account: bytes, block: AnyBlockId) -> bool:
        """Whether an account is a contract."""
        return await self._has_code(account, await resolve_state(self._index, block))

    @rpc_method("ots_getContractCreator", address)
    async def get_contract_creator(self, contract: bytes) -> Json | None:
        """Who made a contract, in which transaction; null for an account without code."""
        first = await self._first_round(lambda round_: self._has_code(contract, round_))
        transactions = await self._transactions_of(first)
        for one in transactions:
            if one.record.contract_address == contract:
                return _show_creator(one, show_bytes(one.record.sender))
        for one in transactions:
            frames = orjson.loads(await self._replays.trace_transaction(one, "frames"))
            creator = creator_in(frames, show_bytes(contract))
            if creator is not None:
                return _show_creator(one, creator)
        return None

    async def _has_code(self, account: bytes, round_: Round | None) -> bool:
        code = await EvmQueries(self._nodes).fetch_code(account, round_)
        return bool(code)

    async def _first_round(self, holds: Callable[[Round], Awaitable[bool]]) -> int | None:
        """Give the first round since which something holds; None while it does not."""
        low, high = self._index.first_number, self._index.require_newest().number
        if not await holds(Round(high)):
            return None
        while low < high:
            middle = (low + high) // 2
            if await holds(Round(middle)):
                high = middle
            else:
                low = middle + 1
        return high

    async def _transactions_of(self, number_: int | None) -> tuple[IndexedTransaction, ...]:
        round_ = None if number_ is None else await find_any_block(self._index, number_)
        return () if round_ is None else tuple(round_.transactions)


def _show_page(found: list[IndexedTransaction], *, is_first: bool, is_last: bool) -> Json:
    return {
        "txs": list(map(show_transaction, found)),
        "receipts": [show_receipt(one) | {"timestamp": one.timestamp} for one in found],
        "firstPage": is_first,
        "lastPage": is_last,
    }


def _show_slim(round_: IndexedRound) -> Json:
    shown = show_block(round_, with_transactions=False)
    return shown | {"transactionCount": len(round_.transactions), "logsBloom": None}


def _show_details(round_: IndexedRound | None) -> Json | None:
    if round_ is None:
        return None
    block = {name: one for name, one in _show_slim(round_).items() if name != "transactions"}
    fees = sum(
        one.record.gas_used * number(one.record.effective_gas_price) for one in round_.transactions
    )
    nothing = {"blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0"}
    return {"block": block, "issuance": nothing, "totalFees": hex(fees)}


def _show_short(transaction: IndexedTransaction) -> Json:
    shown = show_transaction(transaction)
    return shown | {"input": shown["input"][:SELECTOR_CHARACTERS]}


def _show_creator(transaction: IndexedTransaction, creator: str) -> Json:
    return {"hash": show_bytes(transaction.record.hash), "creator": creator}
