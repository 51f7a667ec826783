"""
Transactions that only the network's owner makes: edits of the state, and those of others.

The gateway writes them, consensus signs them with the dev-control key, and enclaves believe the
signature (ADR 0045). See `crates/evm-core/src/dev_transaction.rs` for what stands where.
"""

import asyncio
import enum

from services.gateway import rlp
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import NotMinedInTime, QueryRejected
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.eth_send import EthSendMethods
from services.gateway.rpc.parameters import Tag
from services.gateway.transactions import Unsigned
from shared.crypto.hashes import keccak256
from shared.rules.dev_transactions import DEV_TYPE, dev_address
from shared.types.identity import RuntimeId

MINED_WAIT_MS = 10_000
"""How long an edit waits for its block [ms]."""
NOBODY = bytes(20)


class EditKind(enum.IntEnum):
    """What an edit changes."""

    BALANCE = 1
    NONCE = 2
    CODE = 3
    STORAGE = 4
    MIN_GAS_PRICE = 5


class DevTransactions:
    """Makes and hands in what the owner wants."""

    def __init__(self, node: GatewayNode, eth: EthMethods, send: EthSendMethods) -> None:
        """`eth` knows nonces, and `send` hands in."""
        self._node, self._eth, self._send = node, eth, send
        self._in_turn = asyncio.Lock()
        """Held from the choice of a nonce until the edit is in a block."""

    async def edit(
        self, kind: EditKind, account: bytes = NOBODY, *, slot: int = 0, value: bytes
    ) -> None:
        """
        Change the state, and wait until a block shows it.

        Without automine the block takes what else waits along.

        Raises
        ------
        QueryRejected
            The chain refuses the edit, or the network has no dev-control key.
        NotMinedInTime
            No block took it.
        """
        key = self._node.dev_control_key
        if key is None:
            raise QueryRejected("the network has no dev-control key")
        owner, node = dev_address(key), self._node
        async with self._in_turn:
            nonce = int(await self._eth.get_transaction_count(owner, Tag.PENDING), 16)
            name = f"edit: {kind.name.lower().replace('_', ' ')}".encode()
            unsigned = Unsigned(0, nonce, 0, 0, 0, None, 0, name, node.settings.chain_id, None)
            change: rlp.Item = [rlp.quantity(kind), account, rlp.quantity(slot), value]
            raw = await self._signed(owner, unsigned, change)
            hash_ = keccak256(raw)
            with node.index.arrivals.expect(hash_) as arrival:
                await self._send.submit(raw)
                if not node.is_automine:
                    await node.consensus.mine_waiting(RuntimeId(node.settings.runtime_id))
                await asyncio.wait((arrival,), timeout=MINED_WAIT_MS / 1000)
        found = await node.index.find_transaction(hash_)
        if found is None:
            raise NotMinedInTime(hash_, MINED_WAIT_MS)
        if found.record.error is not None:
            raise QueryRejected(found.record.error.message)

    async def write_for(self, sender: bytes, transaction: Unsigned) -> bytes:
        """
        Give the raw bytes of a transaction of an account whose key nobody has.

        Raises what an assertion of encryption raises of a plain call.
        """
        self._node.encryption.notice("eth_sendTransaction", transaction.to, transaction.input)
        return await self._signed(sender, transaction, [])

    async def _signed(self, sender: bytes, transaction: Unsigned, change: rlp.Item) -> bytes:
        body = rlp.encode(
            [
                rlp.quantity(transaction.chain_id or 0),
                rlp.quantity(transaction.nonce),
                rlp.quantity(transaction.max_fee),
                rlp.quantity(transaction.gas),
                sender,
                transaction.to or b"",
                rlp.quantity(transaction.value),
                transaction.input,
                change,
            ]
        )
        return DEV_TYPE + await self._node.consensus.sign_dev_transaction(body) + body
