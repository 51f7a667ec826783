"""
Handing in transactions in the profile `dev`: refusals in go-ethereum's words.

What go-ethereum's pool refuses is refused here too, before any node hears of it: who cannot pay
the value that he sends, and who offers less gas than any transaction takes. Sapphire takes these,
and they fail in a block.
"""

import re
from typing import Final

from services.gateway.authorizations import SET_CODE
from services.gateway.encryption import read_envelope
from services.gateway.pooled import (
    PooledTransaction,
    UnreadableTransaction,
    read_impersonated,
    read_transaction,
)
from services.gateway.rpc import ethereum_words as words
from services.gateway.rpc.errors import (
    MALFORMED_TEXT,
    EthereumRejected,
    MalformedTransaction,
    TransactionRefused,
)
from services.gateway.rpc.eth_send import MAX_TRANSACTION_BYTES, EthSendMethods
from shared.api.compute import Submission
from shared.api.evm import EvmQueries
from shared.errors import Rejected, Unavailable
from shared.rules.dev_transactions import DEV_TYPE
from shared.types.evm import Account

UNSUPPORTED: Final = "transaction type not supported"
TYPES: Final = frozenset({1, 2, SET_CODE})
FIRST_LEGACY_BYTE: Final = 0xC0
"""Legacy transactions are lists; another first byte names a type (EIP-2718)."""
WANTED_GAS: Final = re.compile(r"wanted: (\d+)")
PLAIN_TEXTS: Final = {
    ("core", 11): "exceeds block gas limit",
    ("txpool", 1): "already known",
    ("txpool", 2): "replacement transaction underpriced",
    ("txpool", 3): "transaction underpriced: the pool is full of better offers",
}
"""Refusals of a pool, by module and code, that need nothing else to be told."""


class DevSendMethods(EthSendMethods):
    """Answers that take the place of those of the profile `strict`."""

    async def submit(self, raw: bytes) -> Submission:
        """Give what the pool said; raises where it refused, or go-ethereum's would."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            return await super().submit(raw)
        try:
            sent = _read(raw)
        except UnreadableTransaction as error:
            return await self._submit_unread(raw, error.message)
        if sent is None:
            return await super().submit(raw)
        await self._verify(sent)
        try:
            return await super().submit(raw)
        except (MalformedTransaction, TransactionRefused) as error:
            try:
                raise await self._told(error, sent) from None
            except Unavailable:
                raise error from None

    async def _submit_unread(self, raw: bytes, why: str) -> Submission:
        """Submit what is none of Ethereum's transactions; only the pool knows if it is one."""
        try:
            return await super().submit(raw)
        except MalformedTransaction:
            has_type = bool(raw) and raw[0] < FIRST_LEGACY_BYTE
            is_known = not has_type or raw[0] in TYPES
            raise EthereumRejected(f"rlp: {why}" if is_known else UNSUPPORTED) from None

    async def _verify(self, sent: PooledTransaction) -> None:
        chain_id = self._settings.chain_id
        if sent.chain_id not in (None, chain_id):
            raise words.for_another_chain(sent.chain_id or 0, chain_id)
        if sent.max_tip > sent.max_fee:
            raise words.tips_more_than_it_offers(sent)
        # Gas to begin is asked for what an envelope holds, of which only its length is known.
        plain = b"" if read_envelope(sent.input) else sent.input
        least = words.intrinsic_gas(
            plain, creates=sent.to is None, authorizations=len(sent.authorizations)
        )
        if sent.gas < least:
            raise words.lacks_gas(sent.gas, least)
        if not sent.value:
            # Who cannot pay for gas is refused by the pool itself.
            return
        try:
            account = await self._account(sent)
        except Unavailable:
            # Whom nobody knows of now is not refused for it.
            return
        if sent.nonce < account.nonce:
            raise words.nonce_too_low(account.nonce, sent.nonce)
        if account.balance < _cost(sent):
            raise words.lacks_funds(account.balance, _cost(sent))

    async def _told(
        self, error: MalformedTransaction | TransactionRefused, sent: PooledTransaction
    ) -> Rejected:
        """Say in go-ethereum's words why a pool refused; its own where there are none."""
        if isinstance(error, MalformedTransaction):
            if error.message != MALFORMED_TEXT:
                return EthereumRejected(error.message)
            return EthereumRejected(UNSUPPORTED if sent.type == SET_CODE else "invalid sender")
        match error.refusal:
            case ("core", 4):
                following = max((await self._account(sent)).nonce, sent.nonce + 1)
                return words.nonce_too_low(following, sent.nonce)
            case ("core", 5):
                return words.lacks_funds((await self._account(sent)).balance, _cost(sent))
            case ("core", 12):
                wanted = WANTED_GAS.search(error.reason)
                return words.lacks_gas(sent.gas, int(wanted[1])) if wanted else error
            case ("core", 20):
                # Of the node: an edit may have just raised it.
                least = await EvmQueries(self._node.nodes).fetch_min_gas_price()
                return words.offers_too_little(sent, least)
            case ("core", 26):
                following = (await self._account(sent)).nonce
                return words.nonce_too_high(sent.sender, sent.nonce, following)
            case refusal:
                text = PLAIN_TEXTS.get(refusal)
                return error if text is None else EthereumRejected(text)

    async def _account(self, sent: PooledTransaction) -> Account:
        return await EvmQueries(self._node.nodes).fetch_account(sent.sender)


def _read(raw: bytes) -> PooledTransaction | None:
    """
    Read a signed transaction, or one that the owner signed for somebody; None for an edit.

    Raises `UnreadableTransaction` for all else.
    """
    return read_impersonated(raw) if raw.startswith(DEV_TYPE) else read_transaction(raw)


def _cost(sent: PooledTransaction) -> int:
    """Most that a transaction can cost its sender [wei]."""
    return sent.gas * sent.max_fee + sent.value
