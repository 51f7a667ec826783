"""`txpool_*` methods: what waits in the pool of the node that gets this gateway's transactions."""

import asyncio
from collections.abc import Iterable

from services.gateway.pooled import PooledTransaction, UnreadableTransaction, read_transaction
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import address
from services.gateway.rpc.shapes import Json, show_checksummed, show_pooled
from shared.gateways.compute_nodes import ComputeNodes

MAX_SHOWN = 5_000
"""Transactions that are read for one answer; each sender costs some 50 us."""

BySender = dict[bytes, dict[int, PooledTransaction]]


class TxpoolMethods:
    """
    Answers of the namespace, as go-ethereum has them.

    What waits for a nonce before it is queued there; nodes show only what could run, so nothing is.
    """

    def __init__(self, nodes: ComputeNodes) -> None:
        self._nodes = nodes

    @rpc_method("txpool_content")
    async def content(self) -> Json:
        """Transactions that wait, by sender and nonce."""
        return {"pending": _show(await self._pending()), "queued": {}}

    @rpc_method("txpool_contentFrom", address)
    async def content_from(self, sender: bytes) -> Json:
        """Transactions of one sender that wait, by nonce."""
        own = (await self._pending()).get(sender, {})
        return {"pending": _show({sender: own}).get(show_checksummed(sender), {}), "queued": {}}

    @rpc_method("txpool_inspect")
    async def inspect(self) -> Json:
        """The same as texts: receiver, value, gas and price."""
        waiting = await self._pending()
        return {
            "pending": {
                show_checksummed(sender): {str(n): _describe(one) for n, one in own.items()}
                for sender, own in waiting.items()
            },
            "queued": {},
        }

    @rpc_method("txpool_status")
    async def status(self) -> Json:
        """How many transactions wait."""
        raws = await self._nodes.ask_favourite(lambda api: api.fetch_pending())
        return {"pending": hex(len(raws)), "queued": "0x0"}

    async def _pending(self) -> BySender:
        raws = await self._nodes.ask_favourite(lambda api: api.fetch_pending())
        # Off the loop: a full pool takes a quarter of a second.
        return await asyncio.to_thread(_by_sender, raws[:MAX_SHOWN])


def _by_sender(raws: Iterable[bytes]) -> BySender:
    waiting: BySender = {}
    for raw in raws:
        try:
            one = read_transaction(raw)
        except UnreadableTransaction:
            continue  # peers' gossip is not checked yet
        waiting.setdefault(one.sender, {})[one.nonce] = one
    return waiting


def _show(waiting: BySender) -> Json:
    return {
        show_checksummed(sender): {str(nonce): show_pooled(one) for nonce, one in own.items()}
        for sender, own in waiting.items()
    }


def _describe(one: PooledTransaction) -> str:
    """Source: go-ethereum internal/ethapi/api.go, `Inspect`."""
    to = "contract creation" if one.to is None else show_checksummed(one.to)
    return f"{to}: {one.value} wei + {one.gas} gas \u00d7 {one.max_fee} wei"
