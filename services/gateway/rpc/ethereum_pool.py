"""
What clients hand in for an imported chain, and blocks that could be made of it.

No block follows: `txpool_*` and `testing_buildBlockV1` look at the pool, and nobody else.
"""

from typing import Any

import orjson

from services.gateway.imported.chain import ImportedChain
from services.gateway.imported.pool import Waiting
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, address, data, optional, whole_hash
from services.gateway.rpc.shapes import Json, show_bytes, show_checksummed


def attributes(value: Any) -> Json:
    """What of a block is not up to its transactions; the native module reads it."""
    if type(value) is not dict:
        raise BadParameter("must be an object of payload attributes")
    return value


def raw_list(value: Any) -> list[bytes]:
    """Signed transactions."""
    if type(value) is not list:
        raise BadParameter("must be a list of transactions")
    return list(map(data, value))


class EthereumPoolMethods:
    """Answers that take the place of those of the profile `strict`."""

    def __init__(self, chain: ImportedChain) -> None:
        self._chain = chain

    @rpc_method("eth_sendRawTransaction", data)
    async def send_raw_transaction(self, raw: bytes) -> str:
        """Check a signed transaction and keep it; its hash. No block will take it."""
        return show_bytes(await self._chain.admit(raw))

    @rpc_method("txpool_content")
    async def content(self) -> Json:
        """Transactions that wait, by sender and nonce."""
        return await self._by_sender(lambda one: one.shown)

    @rpc_method("txpool_contentFrom", address)
    async def content_from(self, sender: bytes) -> Json:
        """Transactions of one sender that wait, by nonce."""
        pending, queued = await self._chain.waiting_of(sender)
        return {
            "pending": {str(one.nonce): one.shown for one in pending},
            "queued": {str(one.nonce): one.shown for one in queued},
        }

    @rpc_method("txpool_inspect")
    async def inspect(self) -> Json:
        """The same as texts: receiver, value, gas and price."""
        return await self._by_sender(_describe)

    @rpc_method("txpool_status")
    async def status(self) -> Json:
        """How many transactions wait."""
        waiting = [await self._chain.waiting_of(sender) for sender in self._chain.pool.senders()]
        return {
            "pending": hex(sum(len(pending) for pending, _ in waiting)),
            "queued": hex(sum(len(queued) for _, queued in waiting)),
        }

    @rpc_method(
        "testing_buildBlockV1", whole_hash, attributes, optional(raw_list), optional(data, b"")
    )
    async def build_block(
        self, parent: bytes, wanted: Json, transactions: list[bytes] | None, extra_data: bytes
    ) -> Any:
        """
        Block that a miner would make of transactions, or of the pool; the chain stays as it is.

        Those of the pool with blobs are left out: the blobs are not kept.
        """
        request = {
            "parent": show_bytes(parent),
            "attributes": wanted,
            "transactions": None if transactions is None else list(map(show_bytes, transactions)),
            "pool": [] if transactions is not None else await self._executable(),
            "extraData": show_bytes(extra_data),
        }
        return orjson.Fragment(await self._chain.build(request))

    async def _executable(self) -> list[str]:
        """What could run, the best offers first, those of a sender in order."""
        queues = [
            pending
            for sender in self._chain.pool.senders()
            if (pending := (await self._chain.waiting_of(sender))[0])
        ]
        ordered: list[str] = []
        while queues:
            best = max(queues, key=lambda queue: queue[0].price)
            ordered.append(show_bytes(best.pop(0).raw))
            queues = [queue for queue in queues if queue]
        return ordered

    async def _by_sender(self, show: Any) -> Json:
        shown: Json = {"pending": {}, "queued": {}}
        for sender in self._chain.pool.senders():
            for kind, waiting in zip(
                ("pending", "queued"), await self._chain.waiting_of(sender), strict=True
            ):
                if waiting:
                    own = {str(one.nonce): show(one) for one in waiting}
                    shown[kind][show_checksummed(sender)] = own
        return shown


def _describe(one: Waiting) -> str:
    """Source: go-ethereum internal/ethapi/api.go, `Inspect`."""
    shown = one.shown
    to = shown["to"]
    receiver = "contract creation" if to is None else show_checksummed(bytes.fromhex(to[2:]))
    value, gas = int(shown["value"], 16), int(shown["gas"], 16)
    return f"{receiver}: {value} wei + {gas} gas \u00d7 {one.price} wei"
