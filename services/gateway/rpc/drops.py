"""
Giving up transactions that wait, as Hardhat and Anvil name it.

They are dev controls. A pool is one node's memory, so every node is told.
"""

import asyncio
from collections.abc import Iterable

import structlog

from services.gateway.node import GatewayNode
from services.gateway.pooled import UnreadableTransaction, read_transaction
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import address, hash32
from services.gateway.rpc.shapes import show_bytes
from shared.crypto.hashes import keccak256
from shared.errors import QanatError
from shared.gateways.compute_nodes import ComputeNode, ask_one

log = structlog.get_logger()


class DropMethods:
    """Answers that make pools forget."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._accepted = node, node.submitter.accepted

    @rpc_method("hardhat_dropTransaction", hash32)
    async def drop(self, hash_: bytes) -> bool:
        """Give up a transaction that waits; false where none does."""
        if await self._node.index.find_transaction(hash_) is not None:
            raise QueryRejected(f"transaction {show_bytes(hash_)} is in a block already")
        waiting = await self._waiting()
        raw = waiting.get(hash_)
        return raw is not None and await drop_everywhere(self._node, (raw,))

    @rpc_method("anvil_dropTransaction", hash32)
    async def drop_shown(self, hash_: bytes) -> str | None:
        """Give up a transaction that waits; its hash, null where none does."""
        return show_bytes(hash_) if await self.drop(hash_) else None

    @also("hardhat_dropAllTransactions")
    @rpc_method("anvil_dropAllTransactions")
    async def drop_all(self) -> None:
        """Give up all transactions that wait."""
        await drop_everywhere(self._node, (await self._waiting()).values())

    @rpc_method("anvil_removePoolTransactions", address)
    async def drop_of(self, sender: bytes) -> None:
        """Give up all transactions of an account that wait."""
        waiting = (await self._waiting()).values()
        await drop_everywhere(self._node, [raw for raw in waiting if _is_of(raw, sender)])

    async def _waiting(self) -> dict[bytes, bytes]:
        """Raw transactions by hash: what could run, and what this gateway knows to wait."""
        raws = await self._node.nodes.ask_favourite(lambda api: api.fetch_pending())
        return self._accepted.raws() | {keccak256(raw): raw for raw in raws}


async def drop_everywhere(node: GatewayNode, raws: Iterable[bytes]) -> bool:
    """Have every pool forget raw transactions; whether one knew any."""
    was_there = False
    for raw in tuple(raws):
        node.submitter.accepted.discard(keccak256(raw))
        members = [one for one in node.nodes.members if one.is_up]
        answers = await asyncio.gather(*(_drop_at(one, raw) for one in members))
        was_there |= any(answers)
    return was_there


def _is_of(raw: bytes, sender: bytes) -> bool:
    try:
        return read_transaction(raw).sender == sender
    except UnreadableTransaction:
        return False


async def _drop_at(member: ComputeNode, raw: bytes) -> bool:
    try:
        return await ask_one(member, lambda api: api.drop_transaction(raw))
    except QanatError as error:
        log.info("transaction_not_dropped", node=member.name, reason=error.message)
        return False
