"""
Traces of mined transactions, where the gateway gives none: the enclave shows them to who holds the
network's debug key, sealed (`docs/sight.md`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson

from qanat.view.chain import header_request
from qanat.view.gateway import Gateway, GatewayRefused, GatewaySilent, Headers, read_answer
from qanat.view.journal import Journal
from qanat.view.viewing import as_owner, fetch_view
from services.gateway.rpc.frames import path as read_path
from services.gateway.rpc.frames import trace_types
from services.gateway.rpc.parameters import BadParameter, address, count, hash32
from services.gateway.rpc.storage_ranges import (
    first_key,
    out_of_range,
    storage_style,
    transaction_place,
)
from shared.crypto.signing import Signer

BLOCK_TIMEOUT_S = 60.0
"""Time for the transactions of a block [s]: each is run again after all before it."""
MAX_STYLE_BYTES = 64 * 1024
FRAMES = b'"frames"'
GENERAL_CODE = -32000

Handler = Callable[..., Awaitable[Any]]


class Tracing:
    """Answers of `debug_trace*` and `trace_*` on a confidential ParaTime."""

    def __init__(self, gateway: Gateway, journal: Journal, debug_key: Signer) -> None:
        self._gateway, self._journal, self._sign = gateway, journal, as_owner(debug_key)

    def handlers(self) -> Mapping[str, tuple[Handler, str]]:
        """Give what is answered by method, with parameters; `?` may be left out."""
        return {
            "debug_traceTransaction": (self._debug_transaction, "hash options?"),
            "debug_traceBlockByNumber": (self._debug_block, "block options?"),
            "debug_traceBlockByHash": (self._debug_block, "hash options?"),
            "debug_storageRangeAt": (self._storage_range, "block position account start limit"),
            "trace_transaction": (self._frames, "hash"),
            "trace_get": (self._frame, "hash path"),
            "trace_block": (self._block_frames, "block"),
            "trace_replayTransaction": (self._replay, "hash types"),
            "trace_replayBlockTransactions": (self._replay_block, "block types"),
        }

    # -- geth's forms --------------------------------------------------------------------------

    async def _debug_transaction(self, headers: Headers, hash_: Any, options: Any = None) -> Any:
        return orjson.Fragment(await self.view_mined(headers, hash_, _geth_style(options)))

    async def _debug_block(self, headers: Headers, block: Any, options: Any = None) -> Any:
        style = _geth_style(options)
        return [
            {"txHash": self._journal.show(hash_), "result": orjson.Fragment(trace)}
            async for hash_, trace in self.views(headers, block, style)
        ]

    async def _storage_range(
        self, headers: Headers, block: Any, position: Any, account: Any, start: Any, limit: Any
    ) -> Any:
        """Slots of a contract before a transaction, which is named by index or by either hash."""
        place = transaction_place(position)
        style = _style(storage_style(address(account), first_key(start), count(limit)))
        if isinstance(place, bytes):
            return orjson.Fragment(await self.view_mined(headers, position, style))
        hashes = await self._transactions_of(headers, block)
        if place >= len(hashes):
            raise GatewayRefused({"code": GENERAL_CODE, "message": out_of_range(place, str(block))})
        return orjson.Fragment(await self._view(hashes[place], style))

    # -- Parity's forms ------------------------------------------------------------------------

    async def _frames(self, headers: Headers, hash_: Any) -> Any:
        if await self._find(headers, hash_) is None:
            return None
        return self._journal.show(orjson.loads(await self._view(hash_, FRAMES)), hash_)

    async def _frame(self, headers: Headers, hash_: Any, path: Any) -> Any:
        wanted = list(read_path(path))
        frames = await self._frames(headers, hash_) or ()
        return next((one for one in frames if one["traceAddress"] == wanted), None)

    async def _block_frames(self, headers: Headers, block: Any) -> Any:
        views = self.views(headers, block, FRAMES)
        return self._journal.show([one async for _, raw in views for one in orjson.loads(raw)])

    async def _replay(self, headers: Headers, hash_: Any, types: Any) -> Any:
        return orjson.Fragment(await self.view_mined(headers, hash_, _parity_style(types)))

    async def _replay_block(self, headers: Headers, block: Any, types: Any) -> Any:
        views = self.views(headers, block, _parity_style(types))
        return [
            orjson.loads(raw) | {"transactionHash": self._journal.show(hash_)}
            async for hash_, raw in views
        ]

    # -- views ---------------------------------------------------------------------------------

    async def _find(self, headers: Headers, hash_: Any) -> Any:
        hash32(hash_)
        return await self._gateway.ask(
            "eth_getTransactionByHash", [self._journal.chain_hash(hash_)], headers
        )

    async def view_mined(self, headers: Headers, hash_: Any, style: bytes) -> bytes:
        """Trace of a transaction by either hash, which has to be mined; JSON."""
        if await self._find(headers, hash_) is None:
            raise _not_found("transaction")
        return await self._view(hash_, style)

    async def _view(self, hash_: str, style: bytes) -> bytes:
        """Trace of a transaction by either hash; JSON that an enclave made."""
        wanted = hash32(self._journal.chain_hash(hash_))
        return (await fetch_view(self._gateway, wanted, self._sign, style=style)).trace

    async def views(
        self, headers: Headers, block: Any, style: bytes
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Hash and trace of each transaction of a block, in order."""
        hashes = await self._transactions_of(headers, block)
        try:
            async with asyncio.timeout(BLOCK_TIMEOUT_S):
                for hash_ in hashes:
                    yield hash_, await self._view(hash_, style)
        except TimeoutError:
            raise GatewaySilent(
                f"the block takes over {BLOCK_TIMEOUT_S:g} s to trace: ask for its transactions"
            ) from None

    async def _transactions_of(self, headers: Headers, block: Any) -> list[str]:
        """Hashes of a block's transactions on the chain, in order."""
        found = await self._gateway.ask(*header_request(block), headers)
        if found is None:
            raise _not_found("block")
        hashes = found.get("transactions") if type(found) is dict else None
        if type(hashes) is not list:
            raise GatewaySilent("the gateway shows no transactions of the block")
        for hash_ in hashes:
            read_answer(hash32, hash_)
        return hashes


def _not_found(what: str) -> GatewayRefused:
    return GatewayRefused({"code": GENERAL_CODE, "message": f"{what} not found"})


def _geth_style(options: Any) -> bytes:
    if options is not None and type(options) is not dict:
        raise BadParameter("must be an object of tracer, tracerConfig, timeout and the like")
    return _style({"geth": options or {}})


def _parity_style(types: Any) -> bytes:
    return _style({"parity": trace_types(types)})


def _style(style: Any) -> bytes:
    written = orjson.dumps(style)
    if len(written) > MAX_STYLE_BYTES:
        raise BadParameter(f"has more than {MAX_STYLE_BYTES} bytes")
    return written
