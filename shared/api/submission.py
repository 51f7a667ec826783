"""Sending consensus transactions: nonces in order, also when many are under way, and fees."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.api.consensus import ConsensusApi, InvalidNonce
from shared.crypto.address import staking_address
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.errors import error_from
from shared.rules.fees import build_fee
from shared.types.genesis import ConsensusParameters, Genesis
from shared.types.transaction import (
    CONSENSUS_TRANSACTION,
    Fee,
    SignedTransaction,
    Transaction,
    TransactionResult,
)

R = TypeVar("R")

LARGEST_FEE = Fee(2**64 - 1, 2**63 - 1)
"""Stands in a transaction while its size is measured, since the fee has a part in it."""
ENVELOPE_BYTES = 160
"""Most that key, signature, field names and lengths add to an encoded transaction."""


def verify_result(result: TransactionResult) -> None:
    """Raise the error by which a block refused a transaction, as its class; or return."""
    if result.code:
        raise error_from(result.module, result.code, result.message)


class TransactionSender:
    """
    Signs and sends the transactions of one key.

    The next nonce is kept here, so that a transaction need not wait for the one before; after a
    refusal it is asked for anew. Each offers the lowest fee that the genesis lets it.
    """

    def __init__(self, consensus: ConsensusApi, signer: Signer, chain_context: str) -> None:
        self._consensus, self._signer = consensus, signer
        self._context = CONSENSUS_TRANSACTION.for_chain(chain_context)
        self._address = staking_address(signer.public_key)
        self._next_nonce: int | None = None
        self._rules: ConsensusParameters | None = None
        self._order = asyncio.Lock()

    async def send(self, method: str, body: object) -> TransactionResult:
        """
        Send a transaction and wait for the block that executes it.

        Parameters
        ----------
        method : `str`
            One of `shared.types.methods.Method`.
        body : record
            The method's record.

        Raises
        ------
        Rejected
            The pool refused it; what a block makes of it stands in the result instead.
        """
        result = await self._send_once(method, body)
        if (result.module, result.code) == (InvalidNonce.module, InvalidNonce.code):
            # It waited, and an earlier one of this key fell out of the pool: none was executed.
            self._next_nonce = None
            result = await self._send_once(method, body)
        return result

    async def _send_once(self, method: str, body: object) -> TransactionResult:
        return await self._with_fresh_nonce(self._consensus.execute_transaction, method, body)

    async def submit(self, method: str, body: object) -> bytes:
        """Put a transaction into the pool without waiting for a block; its hash."""
        return await self._with_fresh_nonce(self._consensus.submit_transaction, method, body)

    async def _with_fresh_nonce(
        self, deliver: Callable[[bytes], Awaitable[R]], method: str, body: object
    ) -> R:
        """Deliver a transaction; once more where another process of this key used its nonce."""
        try:
            return await deliver(await self._build(method, body))
        except InvalidNonce:
            self._next_nonce = None
        except BaseException:
            # Nobody knows whether it arrived: the next one asks where the account stands.
            self._next_nonce = None
            raise
        try:
            return await deliver(await self._build(method, body))
        except BaseException:
            self._next_nonce = None
            raise

    async def _build(self, method: str, body: object) -> bytes:
        async with self._order:
            if self._rules is None:
                genesis = decode_record(Genesis, await self._consensus.fetch_genesis())
                self._rules = genesis.consensus
            rules = self._rules
            if self._next_nonce is None:
                self._next_nonce = await self._consensus.fetch_nonce(self._address)
            nonce = self._next_nonce
            self._next_nonce += 1
        encoded = encode_record(body)
        largest = encode_record(Transaction(nonce, method, encoded, LARGEST_FEE))
        fee = build_fee(rules, method, len(largest) + ENVELOPE_BYTES)
        raw = encode_record(Transaction(nonce, method, encoded, fee))
        return encode_record(SignedTransaction(raw, self._signer.endorse(self._context, raw)))
