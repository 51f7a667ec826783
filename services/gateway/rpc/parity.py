"""`trace_*`: what transactions and calls did, in Parity's forms, as Erigon and Reth answer them."""

import asyncio
from typing import Any

import orjson

from services.gateway.index.chain_index import ChainIndex
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, resolve_number, resolve_state
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.frames import (
    MAX_FILTER_BYTES,
    MAX_FILTER_ROUNDS,
    TraceFilter,
    TypedCalls,
    is_wanted,
    path,
    trace_filter,
    trace_types,
    traced_calls,
    typed_calls,
)
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    Tag,
    any_block_id,
    data,
    hash32,
    optional,
)
from services.gateway.rpc.replays import Replays, concatenated, joined

FILTER_TIMEOUT_S = 8.0
"""Time of all replays of a filter [s]; that of one trace is bounded by the enclave."""
LATEST_STATE = optional(any_block_id, Tag.LATEST)


class ParityMethods:
    """Answers of the namespace."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._index: ChainIndex = node.index
        self._replays = replays

    # -- frames --------------------------------------------------------------------------------

    @rpc_method("trace_transaction", hash32)
    async def trace_transaction(self, hash_: bytes) -> Any:
        """Frames of a mined transaction; null where there is none."""
        found = await self._index.find_transaction(hash_)
        if found is None:
            return None
        return orjson.Fragment(await self._replays.trace_transaction(found, "frames"))

    @rpc_method("trace_get", hash32, path)
    async def get(self, hash_: bytes, path: tuple[int, ...]) -> Any:
        """One frame of a mined transaction, by its place in the tree; null where there is none."""
        found = await self._index.find_transaction(hash_)
        if found is None:
            return None
        frames = orjson.loads(await self._replays.trace_transaction(found, "frames"))
        return next((one for one in frames if one["traceAddress"] == list(path)), None)

    @rpc_method("trace_block", any_block_id)
    async def trace_block(self, block: AnyBlockId) -> Any:
        """Frames of all transactions of a block; null where there is none. Nobody is rewarded."""
        round_ = await find_any_block(self._index, block)
        if round_ is None:
            return None
        return concatenated(await self._replays.trace_round(round_, "frames"))

    @rpc_method("trace_filter", trace_filter)
    async def filter(self, wanted: TraceFilter) -> list[Any]:
        """Frames of a range of blocks, by who calls and who is called."""
        first = resolve_number(self._index, wanted.first)
        last = min(resolve_number(self._index, wanted.last), self._index.require_newest().number)
        if last - first >= MAX_FILTER_ROUNDS:
            raise QueryRejected(f"block range too large, at most {MAX_FILTER_ROUNDS} blocks")
        try:
            async with asyncio.timeout(FILTER_TIMEOUT_S):
                return await self._filter(wanted, range(first, last + 1))
        except TimeoutError:
            raise QueryRejected(
                f"the filter takes over {FILTER_TIMEOUT_S:g} s: ask for fewer blocks"
            ) from None

    async def _filter(self, wanted: TraceFilter, rounds: range) -> list[Any]:
        found: list[Any] = []
        size = 0
        end = None if wanted.count is None else wanted.after + wanted.count
        for number in rounds:
            round_ = await self._index.find_round(number)
            if round_ is None or not round_.transactions:
                continue
            for trace in await self._replays.trace_round(round_, "frames"):
                matching = [one for one in orjson.loads(trace) if is_wanted(one, wanted)]
                if matching:
                    found += matching
                    size += len(trace)
            if size > MAX_FILTER_BYTES:
                raise QueryRejected("the frames are too many: ask for fewer blocks or accounts")
            if end is not None and len(found) >= end:
                break
        return found[wanted.after : end]

    # -- replays -------------------------------------------------------------------------------

    @rpc_method("trace_replayTransaction", hash32, trace_types)
    async def replay_transaction(self, hash_: bytes, types: tuple[str, ...]) -> Any:
        """Output, frames, steps and changes of a mined transaction."""
        found = await self._replays.require(hash_)
        return orjson.Fragment(await self._replays.trace_transaction(found, {"parity": types}))

    @rpc_method("trace_replayBlockTransactions", any_block_id, trace_types)
    async def replay_block_transactions(self, block: AnyBlockId, types: tuple[str, ...]) -> Any:
        """The same of all transactions of a block; null where there is none."""
        round_ = await find_any_block(self._index, block)
        if round_ is None:
            return None
        traces = await self._replays.trace_round(round_, {"parity": types})
        return joined(
            [
                b'%b,"transactionHash":"0x%b"}' % (trace[:-1], one.record.hash.hex().encode())
                for trace, one in zip(traces, round_.transactions, strict=True)
            ]
        )

    # -- calls ---------------------------------------------------------------------------------

    @rpc_method("trace_call", call_request, trace_types, LATEST_STATE)
    async def trace_call(
        self, request: CallRequest, types: tuple[str, ...], block: AnyBlockId
    ) -> Any:
        """Output, frames, steps and changes of a call."""
        (result,) = await self.trace_call_many(((request, types),), block)
        return result

    @rpc_method("trace_callMany", typed_calls, LATEST_STATE)
    async def trace_call_many(self, calls: TypedCalls, block: AnyBlockId) -> list[Any]:
        """The same of calls that build on each other."""
        simulation = traced_calls(calls)
        state = await resolve_state(self._index, block)
        (outcomes,) = await self._replays.simulate(simulation, state)
        return [outcome["trace"] for outcome in outcomes]

    @rpc_method("trace_rawTransaction", data, trace_types)
    async def trace_raw_transaction(self, raw: bytes, types: tuple[str, ...]) -> Any:
        """The same of a signed transaction, as if it were the next one; it is not sent."""
        return orjson.Fragment(await self._replays.trace_raw(raw, {"parity": types}))
