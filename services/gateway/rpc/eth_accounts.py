"""
`eth_*` methods that sign: for the network's test accounts, whose keys everybody knows.

They exist only in networks with dev controls, and answer only who `rpc.callers` lets.
"""

import asyncio
import json
from typing import Any

from services.gateway.dev_transactions import DevTransactions
from services.gateway.rpc.eth_fill import EthFillMethods, show_unsigned
from services.gateway.rpc.eth_send import EthSendMethods
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import BadParameter, address, data
from services.gateway.rpc.shapes import Json, show_bytes, show_checksummed
from services.gateway.transactions import Wanted, read_wanted, sign
from services.gateway.typed_data import hash_typed_data
from services.gateway.unlocked import UnlockedAccounts


def typed_data(value: Any) -> bytes:
    """Typed data, as an object or as JSON in a text; its digest."""
    if type(value) is str:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise BadParameter("typed data is no JSON") from None
    return hash_typed_data(value)


class EthAccountMethods:
    """Answers of the namespace that sign."""

    def __init__(
        self,
        unlocked: UnlockedAccounts,
        impersonated: Impersonations,
        fill: EthFillMethods,
        send: EthSendMethods,
        owner: DevTransactions,
    ) -> None:
        """
        Sign with the keys that there are, and have the owner sign for who is impersonated.

        `fill` fills in what a transaction leaves out, and `send` hands it in.
        """
        self._unlocked, self._impersonated, self._owner = unlocked, impersonated, owner
        self._fill, self._send = fill, send
        self._in_turn = asyncio.Lock()
        """Held from the choice of a nonce until the transaction is handed in."""

    @rpc_method("eth_sendTransaction", read_wanted)
    async def send_transaction(self, transaction: Wanted) -> str:
        """Hand in a transaction of a test account, or of who is impersonated; its hash."""
        sender = transaction.call.caller or b""
        if sender not in self._unlocked and sender in self._impersonated:
            return await self.send_unsigned_transaction(transaction)
        secret = self._unlocked.secret_of(sender)
        async with self._in_turn:
            raw = sign(await self._fill.fill(transaction), secret)
            return await self._send.send_raw_transaction(raw)

    @rpc_method("eth_sendUnsignedTransaction", read_wanted)
    async def send_unsigned_transaction(self, transaction: Wanted) -> str:
        """Hand in a transaction of anybody, without a key of his, as Anvil does; its hash."""
        async with self._in_turn:
            filled = await self._fill.fill(transaction)
            raw = await self._owner.write_for(transaction.call.caller or b"", filled)
            return await self._send.send_raw_transaction(raw)

    @rpc_method("eth_signTransaction", read_wanted)
    async def sign_transaction(self, transaction: Wanted) -> Json:
        """Sign a transaction of a test account; its raw bytes."""
        filled = await self._fill.fill(transaction)
        raw = sign(filled, self._unlocked.secret_of(transaction.call.caller or b""))
        return {"raw": show_bytes(raw), "tx": show_unsigned(filled)}

    @rpc_method("eth_sign", address, data)
    async def sign_message(self, account: bytes, message: bytes) -> str:
        """Sign a message as a person's, by a test account (EIP-191)."""
        return show_bytes(self._unlocked.sign_message(account, message))

    @also("eth_signTypedData")
    @rpc_method("eth_signTypedData_v4", address, typed_data)
    async def sign_typed_data(self, account: bytes, digest: bytes) -> str:
        """Sign typed data by a test account (EIP-712)."""
        return show_bytes(self._unlocked.sign_digest(account, digest))


class UnlockedAccountMethods:
    """What the profile `dev` says of the test accounts; `strict` says that there are none."""

    def __init__(self, unlocked: UnlockedAccounts) -> None:
        self._unlocked = unlocked

    @rpc_method("eth_accounts")
    async def accounts(self) -> list[str]:
        """Test accounts that the gateway signs for."""
        return [show_checksummed(one) for one in self._unlocked.addresses]
