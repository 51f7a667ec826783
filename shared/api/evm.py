"""What a client asks of an EVM ParaTime, over `ComputeApi.query`."""

from typing import Protocol

from shared.encoding.record import decode_record, encode_record
from shared.types.evm import (
    Account,
    AccountProof,
    AccountQuery,
    Amount,
    EvmCall,
    EvmQuery,
    ProofQuery,
    StateItems,
    StateQuery,
    StorageQuery,
    TracedTransaction,
    TraceQuery,
    Traces,
)
from shared.types.identity import Round
from shared.types.sight import SealedView, SignedQuestion, ViewQuery


class Queries(Protocol):
    """Whoever answers questions about an EVM's state: a node, or several."""

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """See `ComputeApi.query`."""


class EvmQueries:
    """
    Typed questions to a node or to several; of the newest state, where no round is given.

    Each raises `RuntimeRejected` as the runtime does, and `Unavailable`.
    """

    def __init__(self, node: Queries) -> None:
        self._node = node

    async def call(self, call: EvmCall, round_: Round | None = None) -> bytes:
        """Run a call; its output, sealed where the call was."""
        return await self._node.query(EvmQuery.CALL, encode_record(call), round_)

    async def call_with_money(self, call: EvmCall, round_: Round | None = None) -> bytes:
        """Run a call whose caller nobody proves, and who has what it spends all the same."""
        return await self._node.query(EvmQuery.CALL_WITH_MONEY, encode_record(call), round_)

    async def estimate_gas(self, call: EvmCall, round_: Round | None = None) -> int:
        """Estimate gas as the runtime does: a revert is no error."""
        answer = await self._node.query(EvmQuery.ESTIMATE_GAS, encode_record(call), round_)
        return decode_record(Amount, answer).value

    async def estimate_gas_as_sender(self, call: EvmCall, round_: Round | None = None) -> int:
        """Estimate gas with the sender that the call claims; of one that reverts, the revert."""
        args = encode_record(call)
        answer = await self._node.query(EvmQuery.ESTIMATE_GAS_AS_SENDER, args, round_)
        return decode_record(Amount, answer).value

    async def fetch_account(self, address: bytes, round_: Round | None = None) -> Account:
        """Nonce and balance."""
        args = encode_record(AccountQuery(address))
        return decode_record(Account, await self._node.query(EvmQuery.ACCOUNT, args, round_))

    async def fetch_code(self, address: bytes, round_: Round | None = None) -> bytes:
        """Code of a contract, or empty."""
        return await self._node.query(EvmQuery.CODE, encode_record(AccountQuery(address)), round_)

    async def fetch_storage(
        self, address: bytes, slot: bytes, round_: Round | None = None
    ) -> bytes:
        """Storage slot as anybody may see it: zero on a confidential chain, but for EIP-1967's."""
        args = encode_record(StorageQuery(address, slot))
        return await self._node.query(EvmQuery.STORAGE, args, round_)

    async def prove(self, query: ProofQuery, round_: Round) -> AccountProof:
        """Prove an account and slots in Ethereum's form; refused where storage is secret."""
        answer = await self._node.query(EvmQuery.PROOF, encode_record(query), round_)
        return decode_record(AccountProof, answer)

    async def fetch_min_gas_price(self) -> int:
        """Smallest gas price that the next round takes [wei]."""
        answer = await self._node.query(EvmQuery.MIN_GAS_PRICE, b"")
        return decode_record(Amount, answer).value

    async def trace(self, query: TraceQuery, parent: Round) -> tuple[TracedTransaction, ...]:
        """Run transactions of the round after `parent` again; refused where storage is secret."""
        answer = await self._node.query(EvmQuery.TRACE, encode_record(query), parent)
        return decode_record(Traces, answer).transactions

    async def view(self, query: ViewQuery, parent: Round) -> SealedView:
        """Ask what a transaction of the round after `parent` did; the enclave says who may."""
        answer = await self._node.query(EvmQuery.VIEW, encode_record(query), parent)
        return decode_record(SealedView, answer)

    async def ask_as_owner(self, query: SignedQuestion) -> SealedView:
        """Ask what only the network's owner may; neither the node nor the caller reads it."""
        args = encode_record(query)
        answer = await self._node.query(EvmQuery.ASK_AS_OWNER, args, query.question.round)
        return decode_record(SealedView, answer)

    async def fetch_state(self, query: StateQuery, round_: Round) -> StateItems:
        """Read a page of the state; refused where storage is secret."""
        answer = await self._node.query(EvmQuery.STATE, encode_record(query), round_)
        return decode_record(StateItems, answer)

    async def simulate(self, request: bytes, round_: Round | None = None) -> bytes:
        """Run calls in blocks that never were, JSON to JSON; refused where storage is secret."""
        return await self._node.query(EvmQuery.SIMULATE, request, round_)
