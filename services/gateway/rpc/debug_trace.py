"""`debug_trace*`: what transactions and calls did, in go-ethereum's forms."""

from typing import Any

import orjson

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, find_block, resolve_state
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BlockId,
    address,
    any_block_id,
    block_id,
    count,
    optional,
    whole_hash,
)
from services.gateway.rpc.replays import Replays, joined
from services.gateway.rpc.shapes import show_bytes
from services.gateway.rpc.simulations import trace_options, traced_call
from services.gateway.rpc.storage_ranges import (
    first_key,
    out_of_range,
    storage_style,
    transaction_place,
)


class DebugTraceMethods:
    """Answers of the namespace that run something again."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._index: ChainIndex = node.index
        self._replays = replays

    @rpc_method("debug_traceTransaction", whole_hash, optional(trace_options))
    async def trace_transaction(self, hash_: bytes, options: dict[str, Any] | None) -> Any:
        """Trace of a mined transaction, by the tracer that is named; step by step without one."""
        found = await self._replays.require(hash_)
        return orjson.Fragment(await self._replays.trace_transaction(found, _style(options)))

    @rpc_method("debug_traceBlockByNumber", block_id, optional(trace_options))
    async def trace_block_by_number(self, block: BlockId, options: dict[str, Any] | None) -> Any:
        """Traces of all transactions of a block."""
        found = await find_block(self._index, block)
        if found is None:
            raise QueryRejected(f"block #{block} not found")
        return await self._trace_block(found, options)

    @rpc_method("debug_traceBlockByHash", whole_hash, optional(trace_options))
    async def trace_block_by_hash(self, hash_: bytes, options: dict[str, Any] | None) -> Any:
        """Traces of all transactions of a block."""
        found = await self._index.find_round_by_hash(hash_)
        if found is None:
            raise QueryRejected(f"block {show_bytes(hash_)} not found")
        return await self._trace_block(found, options)

    async def _trace_block(self, round_: IndexedRound, options: dict[str, Any] | None) -> Any:
        if round_.number == 0:
            raise QueryRejected("genesis is not traceable")
        traces = await self._replays.trace_round(round_, _style(options))
        hashes = [show_bytes(one.record.hash) for one in round_.transactions]
        return joined(
            [
                b'{"txHash":"%b","result":%b}' % (hash_.encode(), trace)
                for hash_, trace in zip(hashes, traces, strict=True)
            ]
        )

    @rpc_method("debug_storageRangeAt", any_block_id, transaction_place, address, first_key, count)
    async def storage_range_at(
        self, block: AnyBlockId, position: int | bytes, account: bytes, start: bytes, limit: int
    ) -> Any:
        """Slots of a contract before a transaction of a block, by the hashes of their numbers."""
        round_ = await find_any_block(self._index, block)
        if round_ is None:
            raise QueryRejected("block not found")
        for found in round_.transactions:
            if position in (found.position, found.record.hash):
                style = storage_style(account, start, limit)
                return orjson.Fragment(await self._replays.trace_transaction(found, style))
        raise QueryRejected(out_of_range(position, show_bytes(round_.hash)))

    @rpc_method("debug_traceCall", call_request, any_block_id, optional(trace_options))
    async def trace_call(
        self, request: CallRequest, block: AnyBlockId, options: dict[str, Any] | None
    ) -> Any:
        """Trace of a call on the state after a block, with overrides of state and block."""
        simulation = traced_call(request, options or {})
        state = await resolve_state(self._index, block)
        ((outcome,),) = await self._replays.simulate(simulation, state)
        return outcome["trace"]


def _style(options: dict[str, Any] | None) -> dict[str, Any]:
    return {"geth": options or {}}
