"""
`eth_*` methods that sign: for the network's test accounts, whose keys everybody knows.

They exist only in networks with dev controls, and answer only who `rpc.callers` lets.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from services.gateway.dev_transactions import DevTransactions
from services.gateway.rpc.eth_fill import EthFillMethods, show_unsigned
from services.gateway.rpc.eth_send import EthSendMethods
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import BadParameter, address, data
from services.gateway.rpc.shapes import Json, show_bytes, show_checksummed
from services.gateway.transactions import Unsigned, Wanted, read_wanted, sign
from services.gateway.turns import Turns
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
        turns: Turns,
    ) -> None:
        """
        Sign with the keys that there are, and have the owner sign for who is impersonated.

        `fill` fills in what a transaction leaves out, and `send` hands it in,
        in turn with those of the same sender.
        """
        self._unlocked, self._impersonated, self._owner = unlocked, impersonated, owner
        self._fill, self._send = fill, send
        self._turns = turns

    @rpc_method("eth_sendTransaction", read_wanted)
    async def send_transaction(self, transaction: Wanted) -> str:
        """Hand in a transaction of a test account, or of who is impersonated; its hash."""
        sender = transaction.call.caller or b""
        if sender not in self._unlocked and sender in self._impersonated:
            return await self.send_unsigned_transaction(transaction)
        secret = self._unlocked.secret_of(sender)

        async def write(filled: Unsigned) -> bytes:
            return sign(filled, secret)

        return await self._fill_and_send(sender, transaction, write)

    @rpc_method("eth_sendUnsignedTransaction", read_wanted)
    async def send_unsigned_transaction(self, transaction: Wanted) -> str:
        """Hand in a transaction of anybody, without a key of his, as Anvil does; its hash."""
        sender = transaction.call.caller or b""

        async def write(filled: Unsigned) -> bytes:
            return await self._owner.write_for(sender, filled)

        return await self._fill_and_send(sender, transaction, write)

    async def _fill_and_send(
        self, sender: bytes, wanted: Wanted, write: Callable[[Unsigned], Awaitable[bytes]]
    ) -> str:
        """
        Fill in, write and hand in, in the sender's turn.

        The next one's gas is estimated on what this one leaves, so it waits for the round; where
        its gas is given there is nothing to wait for.
        """
        with self._turns.of(sender) as turn:
            async with turn.choosing() as end:
                filled = await self._fill.fill(wanted)
                if wanted.nonce is None:
                    filled = replace(filled, nonce=turn.number(filled.nonce))

                def note_admitted() -> None:
                    turn.note_taken(filled.nonce)
                    if wanted.call.gas is not None:
                        end()

                return await self._send.hand_in(await write(filled), note_admitted)

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
