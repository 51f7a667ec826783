"""
Transactions that only the network's owner makes: edits of the state, and those of others.

The gateway writes them, consensus signs them with the dev-control key, and enclaves believe the
signature (ADR 0045). See `crates/evm-core/src/dev_transaction.rs` for what stands where.
"""

import asyncio
import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from services.gateway import rlp
from services.gateway.index.arrivals import arrives
from services.gateway.node import GatewayNode
from services.gateway.rpc.drops import drop_everywhere
from services.gateway.rpc.errors import NotMinedInTime, QueryRejected
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.eth_send import EthSendMethods
from services.gateway.rpc.parameters import Tag
from services.gateway.transactions import Unsigned
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity
from shared.errors import QanatError
from shared.rules.dev_transactions import DEV_TYPE, dev_address
from shared.types.identity import RuntimeId

T = TypeVar("T")
MINED_WAIT_MS = 10_000
"""How long an edit waits for its block [ms]."""
NOBODY = bytes(20)
EDITS_AT_ONCE = 200
"""Edits that wait in the pool together, far below what it takes of one sender."""


class EditKind(enum.IntEnum):
    """What an edit changes."""

    BALANCE = 1
    NONCE = 2
    CODE = 3
    STORAGE = 4
    MIN_GAS_PRICE = 5
    NAMES = 6
    """Which accounts Ethereum's tries hold; none is changed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the state."""

    kind: EditKind
    account: bytes = NOBODY
    """20 bytes."""
    slot: int = 0
    value: bytes = b""
    """Code, or a number in bytes without zeros before it."""


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
        Change the state, and wait until a block shows it; raises as `edit_all`.

        Without automine the block takes what else waits along.
        """
        await self.edit_all([Edit(kind, account, slot, value)])

    async def balance_of(self, account: bytes) -> int:
        """Balance now [wei]."""
        return int(await self._eth.get_balance(account, Tag.LATEST), 16)

    async def edit_all(self, edits: Sequence[Edit]) -> None:
        """
        Make edits in this order, many in one block, and wait until a block shows the last.

        Raises
        ------
        QueryRejected
            The chain refuses one, or the network has no dev-control key. Others may have been made.
        NotMinedInTime
            No block took one.
        """
        key = self._node.dev_control_key
        if key is None:
            raise QueryRejected("the network has no dev-control key")
        owner = dev_address(key)
        async with self._in_turn:
            for batch in batched(edits, EDITS_AT_ONCE):
                await self._edit_at_once(owner, batch)

    async def _edit_at_once(self, owner: bytes, edits: Sequence[Edit]) -> None:
        nonce = int(await self._eth.get_transaction_count(owner, Tag.PENDING), 16)
        raws = await asyncio.gather(
            *(self._edit(owner, edit, nonce + index) for index, edit in enumerate(edits))
        )
        try:
            await self._mine(raws)
        except QanatError:
            # What waits for the nonce of one that was refused would be made by a later edit.
            await drop_everywhere(self._node, raws)
            raise

    async def _mine(self, raws: Sequence[bytes]) -> None:
        node, hashes = self._node, [keccak256(raw) for raw in raws]
        with node.index.arrivals.expect(hashes[-1]) as arrival:
            answers = await asyncio.gather(*map(self._send.submit, raws), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
            if not node.is_automine:
                await node.consensus.mine_waiting(RuntimeId(node.settings.runtime_id))
            await arrives(arrival, MINED_WAIT_MS / 1000)
        for hash_ in hashes:
            found = await node.index.find_transaction(hash_)
            if found is None:
                raise NotMinedInTime(hash_, MINED_WAIT_MS)
            if found.record.error is not None:
                raise QueryRejected(found.record.error.message)

    async def _edit(self, owner: bytes, edit: Edit, nonce: int) -> bytes:
        name = f"edit: {edit.kind.name.lower().replace('_', ' ')}".encode()
        chain_id = self._node.settings.chain_id
        unsigned = Unsigned(0, nonce, 0, 0, 0, None, 0, name, chain_id, None)
        change: rlp.Item = [
            encode_quantity(edit.kind),
            edit.account,
            encode_quantity(edit.slot),
            edit.value,
        ]
        return await self._signed(owner, unsigned, change)

    async def write_for(self, sender: bytes, transaction: Unsigned) -> bytes:
        """
        Give the raw bytes of a transaction of an account whose key nobody has.

        Raises what an assertion of encryption raises of a plain call.
        """
        if transaction.authorizations:
            raise QueryRejected("a transaction without a signature carries no authorizations")
        self._node.encryption.notice("eth_sendTransaction", transaction.to, transaction.input)
        return await self._signed(sender, transaction, [])

    async def _signed(self, sender: bytes, transaction: Unsigned, change: rlp.Item) -> bytes:
        body = rlp.encode(
            [
                encode_quantity(transaction.chain_id or 0),
                encode_quantity(transaction.nonce),
                encode_quantity(transaction.max_fee),
                encode_quantity(transaction.gas),
                sender,
                transaction.to or b"",
                encode_quantity(transaction.value),
                transaction.input,
                change,
            ]
        )
        return DEV_TYPE + await self._node.consensus.sign_dev_transaction(body) + body


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give them in lists of a size, the last of which may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
