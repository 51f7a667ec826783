"""What explorers ask of traces (`ots_*`, `trace_filter`), by views of the network's owner."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from qanat.view.gateway import Gateway, GatewayRefused, GatewaySilent, Headers, read_answer
from qanat.view.journal import Journal
from qanat.view.tracing import BLOCK_TIMEOUT_S, FRAMES, GENERAL_CODE, Tracing
from services.gateway.rpc.frames import (
    MAX_FILTER_BYTES,
    MAX_FILTER_ROUNDS,
    TraceFilter,
    creator_in,
    entries_of,
    is_wanted,
    trace_filter,
)
from services.gateway.rpc.parameters import BlockId, Tag, address, quantity64

OPERATIONS = b'"operations"'
CALLS = b'{"geth":{"tracer":"callTracer"}}'
SUCCESS = "0x1"
Handler = Callable[..., Awaitable[Any]]


class Exploring:
    """Answers of the namespaces on a confidential ParaTime."""

    def __init__(self, gateway: Gateway, journal: Journal, tracing: Tracing) -> None:
        self._gateway, self._journal, self._tracing = gateway, journal, tracing

    def handlers(self) -> Mapping[str, tuple[Handler, str]]:
        """Give what is answered by method, with parameters; `?` may be left out."""
        return {
            "ots_getInternalOperations": (self._operations, "hash"),
            "ots_traceTransaction": (self._entries, "hash"),
            "ots_getTransactionError": (self._error, "hash"),
            "ots_getContractCreator": (self._creator, "contract"),
            "trace_filter": (self._filter, "wanted"),
        }

    # -- transactions --------------------------------------------------------------------------

    async def _operations(self, headers: Headers, hash_: Any) -> Any:
        return orjson.Fragment(await self._tracing.view_mined(headers, hash_, OPERATIONS))

    async def _entries(self, headers: Headers, hash_: Any) -> Any:
        return entries_of(orjson.loads(await self._tracing.view_mined(headers, hash_, CALLS)))

    async def _error(self, headers: Headers, hash_: Any) -> Any:
        tree = orjson.loads(await self._tracing.view_mined(headers, hash_, CALLS))
        return tree.get("output", "0x") if "error" in tree else "0x"

    # -- contracts -----------------------------------------------------------------------------

    async def _creator(self, headers: Headers, contract: Any) -> Any:
        """Who made a contract, in which transaction: by bisecting where its code stands."""
        wanted = "0x" + address(contract).hex()
        first = await self._first_with_code(headers, wanted)
        if first is None:
            return None
        found = await self._gateway.ask("eth_getBlockByNumber", [hex(first), True], headers)
        transactions = found.get("transactions") if type(found) is dict else None
        if type(transactions) is not list:
            raise GatewaySilent("the gateway shows no transactions of the block")
        for one in transactions:
            hash_ = str(one.get("hash")) if type(one) is dict else ""
            frames = orjson.loads(await self._tracing.view_mined(headers, hash_, FRAMES))
            creator = creator_in(frames, wanted)
            if creator is not None:
                return {"hash": self._journal.show(hash_), "creator": creator}
        return None

    async def _first_with_code(self, headers: Headers, account: str) -> int | None:
        async def has_code(number: int) -> bool:
            code = await self._gateway.ask("eth_getCode", [account, hex(number)], headers)
            return bool(code != "0x")

        low, high = (
            await self._number(headers, "earliest"),
            await self._number(headers, "latest"),
        )
        if not await has_code(high):
            return None
        while low < high:
            middle = (low + high) // 2
            if await has_code(middle):
                high = middle
            else:
                low = middle + 1
        return high

    # -- filters -------------------------------------------------------------------------------

    async def _filter(self, headers: Headers, untrusted: Any) -> list[Any]:
        wanted = trace_filter(untrusted)
        newest = await self._number(headers, "latest")
        first = await self._resolve(headers, wanted.first)
        last = min(await self._resolve(headers, wanted.last), newest)
        if last - first >= MAX_FILTER_ROUNDS:
            raise _refused(f"block range too large, at most {MAX_FILTER_ROUNDS} blocks")
        try:
            async with asyncio.timeout(BLOCK_TIMEOUT_S):
                found = await self._filter_blocks(headers, wanted, range(first, last + 1))
        except TimeoutError:
            raise _refused(
                f"the filter takes over {BLOCK_TIMEOUT_S:g} s: ask for fewer blocks"
            ) from None
        shown: list[Any] = self._journal.show(found)
        return shown

    async def _filter_blocks(
        self, headers: Headers, wanted: TraceFilter, numbers: range
    ) -> list[Any]:
        found: list[Any] = []
        size = 0
        end = None if wanted.count is None else wanted.after + wanted.count
        for number in numbers:
            async for _, raw in self._tracing.views(headers, hex(number), FRAMES):
                matching = [one for one in orjson.loads(raw) if is_wanted(one, wanted)]
                if matching:
                    found += matching
                    size += len(raw)
                if size > MAX_FILTER_BYTES:
                    raise _refused("the frames are too many: ask for fewer blocks or accounts")
            if end is not None and len(found) >= end:
                break
        return found[wanted.after : end]

    async def _resolve(self, headers: Headers, block: BlockId) -> int:
        if isinstance(block, Tag):
            return await self._number(headers, block.value)
        return block

    async def _number(self, headers: Headers, tag: str) -> int:
        header = await self._gateway.ask("eth_getBlockByNumber", [tag, False], headers)
        if type(header) is not dict:
            raise GatewaySilent("the gateway shows no block")
        return read_answer(quantity64, header.get("number"))


def _refused(why: str) -> GatewayRefused:
    return GatewayRefused({"code": GENERAL_CODE, "message": why})
