"""
`eth_*` methods that take signed transactions.

A round takes milliseconds here, so a client is answered when its transaction is in one: its first
look for the receipt then succeeds, where it would else wait for its next poll.
"""

from collections.abc import Callable

from services.gateway.index.arrivals import arrives
from services.gateway.node import GatewayNode
from services.gateway.pooled import UnreadableTransaction, read_receiver
from services.gateway.rpc.errors import (
    MalformedTransaction,
    NonceMissing,
    NotMinedInTime,
    TransactionRefused,
    TransactionTooLarge,
)
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, anything, count, data, optional
from services.gateway.rpc.shapes import Json, show_bytes, show_receipt
from shared.api.compute import Submission
from shared.crypto.hashes import keccak256

MAX_TRANSACTION_BYTES = 128 * 1024
"""Longest raw transaction that the runtime takes [bytes]. Source: `ChainConfig.max_tx_bytes` of
evm-core; sapphire-paratime."""
MINED_WAIT_S = 1.0
"""How long the answer to a transaction waits for its round [s]: clients give up after 10 or more,
and a transaction that waits longer waits for something else."""
MALFORMED = ("core", 1)
"""Refusal of a transaction that does not decode."""
TOO_LARGE = ("core", 23)


def _nobody() -> None:
    """Nobody asks when a pool has a transaction."""


class EthSendMethods:
    """Answers of the namespace that hand transactions to a pool."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._submitter, self._index = node, node.submitter, node.index
        self._settings, self._traces = node.settings, node.send_traces

    @rpc_method("eth_sendRawTransaction", data)
    async def send_raw_transaction(self, raw: bytes) -> str:
        """Hand in a signed transaction; its hash, or why it was refused."""
        return await self.hand_in(raw)

    async def hand_in(self, raw: bytes, note_admitted: Callable[[], None] = _nobody) -> str:
        """Do as `eth_sendRawTransaction` does, and tell somebody when a pool has it."""
        hash_ = keccak256(raw)
        is_awaited = self._settings.answer == "mined" and self._node.is_automine
        wait_s = MINED_WAIT_S if is_awaited else 0
        await self.submit_and_wait(raw, hash_, wait_s=wait_s, note_admitted=note_admitted)
        return show_bytes(hash_)

    @rpc_method("eth_sendRawTransactionSync", data, optional(anything))
    async def send_raw_transaction_sync(self, raw: bytes, wanted_ms: object) -> Json:
        """
        Hand in a signed transaction; its receipt.

        Source: EIP-7966. Where the time that it may take is left out, or is not one, or is more
        than the longest, it is the usual one.
        """
        hash_ = keccak256(raw)
        wait_ms = self._wait_ms(wanted_ms)
        submission = await self.submit_and_wait(raw, hash_, wait_s=wait_ms / 1000)
        if submission.missing_sequence is not None:
            raise NonceMissing(submission.missing_sequence)
        found = await self._index.find_transaction(hash_)
        if found is None:
            raise NotMinedInTime(hash_, wait_ms)
        return show_receipt(found)

    def _wait_ms(self, untrusted: object) -> int:
        settings = self._settings
        try:
            wanted = count(untrusted)
        except BadParameter:
            return settings.sync_timeout_ms
        return wanted if 0 < wanted <= settings.sync_max_timeout_ms else settings.sync_timeout_ms

    async def submit_and_wait(
        self,
        raw: bytes,
        hash_: bytes,
        *,
        wait_s: float,
        note_admitted: Callable[[], None] = _nobody,
    ) -> Submission:
        """
        Submit, and wait a while for a round with the transaction [s]; errors as of `submit`.

        One that waits for another of its sender is not waited for.
        """
        with self._index.arrivals.expect(hash_) as arrival, self._traces.sending(hash_) as sent:
            submission = await self.submit(raw)
            note_admitted()
            if sent is not None:
                sent.note_admitted()
            if wait_s and submission.missing_sequence is None:
                await arrives(arrival, wait_s)
        return submission

    async def submit(self, raw: bytes) -> Submission:
        """Give what the pool said; raises where it refused."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise TransactionTooLarge(len(raw), MAX_TRANSACTION_BYTES)
        self._notice(raw)
        answer = await self._submitter.submit(raw)
        if not answer.module:
            if answer.tx_hash is None:
                raise MalformedTransaction
            return answer
        if (answer.module, answer.code) == TOO_LARGE:
            raise TransactionTooLarge(len(raw), MAX_TRANSACTION_BYTES)
        if (answer.module, answer.code) == MALFORMED and answer.message:
            raise MalformedTransaction(answer.message)
        if answer.tx_hash is None:
            raise MalformedTransaction
        raise TransactionRefused(answer.module, answer.code, answer.message)

    def _notice(self, raw: bytes) -> None:
        """
        Refuse a plain transaction where there must be none; blocks mark what is let through.

        What cannot be read the pool refuses by itself.
        """
        if not self._node.encryption.is_asserting:
            return
        try:
            to, calldata = read_receiver(raw)
        except UnreadableTransaction:
            return
        self._node.encryption.notice("eth_sendRawTransaction", to, calldata)
