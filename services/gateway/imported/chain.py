"""
The imported chain as the gateway asks it: what is put to a compute node, answered in this process.

What is handed in waits in a pool for ever: no block follows the last one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson
from evm_native import CallFailed, ConfigError, EthereumChain, EthereumRefused

from services.gateway.imported.blocks import index_ethereum_block
from services.gateway.imported.pool import Waiting, WaitingTransactions
from services.gateway.index.rounds import IndexedRound
from services.gateway.rpc.errors import REVERT_CODE, EthereumRejected
from shared.api.compute import CallDataKey, ComputeStatus, Submission
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected, RuntimeRejected, Unavailable
from shared.types.block import BlockHeader, ExecutedRound, RoundBlock
from shared.types.evm import (
    Account,
    AccountQuery,
    Amount,
    EvmCall,
    EvmQuery,
    StorageQuery,
    TracedTransaction,
    TraceQuery,
    Traces,
)
from shared.types.identity import Epoch, Hash, Incarnation, NodeId, Round, RuntimeId
from shared.types.queries import Query, QueryAnswer

NAME = "imported"
T = TypeVar("T")


class ChainNotImported(Rejected, module="gateway", code=16):
    """The files are no chain: unreadable, or a block is not what its header says."""


class NotOfImported(Unavailable, module="gateway", code=17):
    """An imported chain has no such thing: it has neither enclaves nor a network."""


def load_chain(genesis: Path, blocks: Path) -> "ImportedChain":
    """
    Run every block of a chain; takes some 10 ms for each.

    Raises
    ------
    ChainNotImported
        A file cannot be read, or names the block that differs and in what.
    """
    try:
        text = genesis.read_bytes()
        return ImportedChain(EthereumChain(text, blocks.read_bytes()), orjson.loads(text)["config"])
    except (ConfigError, OSError, ValueError) as error:
        raise ChainNotImported(str(error)) from error


class ImportedChain:
    """`ComputeApi` over the chain, and what only a chain of Ethereum answers."""

    def __init__(self, chain: EthereumChain, config: dict[str, Any]) -> None:
        """Take the chain, and what its genesis says of forks."""
        self._chain, self.config = chain, config
        self.pool = WaitingTransactions()
        self.newest = Round(chain.newest)
        self.chain_id = chain.chain_id
        genesis = orjson.loads(chain.block(0))["block"]["hash"]
        self.runtime_id = RuntimeId(_bytes(genesis))
        """Hash of the first block, 32 bytes, which is all that names the chain."""
        self.blocks = [
            index_ethereum_block(chain.block(number), self.runtime_id)
            for number in range(chain.newest + 1)
        ]

    def block(self, number: int) -> IndexedRound:
        """One block, or refuses in go-ethereum's words."""
        if not 0 <= number <= self.newest:
            raise EthereumRejected("header not found")
        return self.blocks[number]

    # -- of Ethereum alone ---------------------------------------------------------------------

    async def call(self, number: int | None, question: dict[str, Any]) -> bytes:
        """Run a call of JSON, with what it pretends."""
        return await self._ask(self._chain.call, number, orjson.dumps(question))

    async def estimate_gas(self, number: int | None, question: dict[str, Any]) -> int:
        """Least gas with which a call succeeds [gas]."""
        return await self._ask(self._chain.estimate_gas, number, orjson.dumps(question))

    async def simulate(self, number: int | None, payload: dict[str, Any]) -> bytes:
        """`eth_simulateV1`; JSON."""
        return await self._ask(self._chain.simulate, number, orjson.dumps(payload))

    async def prove(
        self, number: int | None, account: bytes, slots: list[tuple[bytes, str]]
    ) -> bytes:
        """`eth_getProof`; JSON."""
        return await self._ask(self._chain.proof, number, account, slots)

    async def admit(self, raw: bytes) -> bytes:
        """Check a signed transaction and keep it; its hash."""
        try:
            text = await asyncio.to_thread(self._chain.admit, raw)
        except EthereumRefused as error:
            raise EthereumRejected(error.message, error.code) from None
        read = orjson.loads(text)
        hash_ = _bytes(read["hash"])
        sender = _bytes(read["sender"])
        self.pool.add(Waiting(hash_, sender, read["nonce"], _bytes(read["raw"]), read["shown"]))
        return hash_

    async def waiting_of(self, sender: bytes) -> tuple[list[Waiting], list[Waiting]]:
        """What of a sender could run now, and what waits for an earlier nonce."""
        nonce, _, _ = await self._ask(self._chain.account, None, sender)
        return self.pool.split(sender, nonce)

    async def build(self, request: dict[str, Any]) -> bytes:
        """`testing_buildBlockV1`; JSON."""
        try:
            return await asyncio.to_thread(self._chain.build, orjson.dumps(request))
        except EthereumRefused as error:
            raise EthereumRejected(error.message, error.code) from None

    async def read_slot(self, number: int | None, account: bytes, slot: bytes) -> bytes:
        """A slot of an account, 32 bytes."""
        return await self._ask(self._chain.storage, number, account, slot)

    async def _ask(self, method: Callable[..., T], number: int | None, *rest: Any) -> T:
        """Ask the native module on a thread: a call may run for a second."""
        at = self.newest if number is None else number
        try:
            return await asyncio.to_thread(method, at, *rest)
        except EthereumRefused as error:
            if error.code == REVERT_CODE:
                raise RuntimeRejected("evm", 8, error.message, error.data) from None
            raise EthereumRejected(error.message, error.code) from None
        except CallFailed as error:
            raise RuntimeRejected(error.module, error.code, error.message, error.data) from None

    # -- of every ParaTime ---------------------------------------------------------------------

    async def query_all(self, queries: tuple[Query, ...]) -> tuple[QueryAnswer, ...]:
        """Answer several questions at the same time."""
        asked = (self.query(query.method, query.args) for query in queries)
        return tuple(await asyncio.gather(*map(QueryAnswer.of, asked)))

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """Answer what the EVM's clients ask; see `EvmQuery`."""
        match method:
            case EvmQuery.CALL:
                return await self.call(round, _question(args))
            case EvmQuery.ESTIMATE_GAS | EvmQuery.ESTIMATE_GAS_AS_SENDER:
                return encode_record(Amount(await self.estimate_gas(round, _question(args))))
            case EvmQuery.ACCOUNT | EvmQuery.CODE:
                address = decode_record(AccountQuery, args).address
                nonce, balance, code = await self._ask(self._chain.account, round, address)
                return code if method == EvmQuery.CODE else encode_record(Account(nonce, balance))
            case EvmQuery.STORAGE:
                asked = decode_record(StorageQuery, args)
                return await self.read_slot(round, asked.address, asked.slot)
            case EvmQuery.MIN_GAS_PRICE:
                ethereum = self.blocks[self.newest].ethereum
                return encode_record(Amount(ethereum.next_base_fee_wei if ethereum else 0))
            case EvmQuery.SIMULATE:
                return await self._ask(self._chain.simulate_calls, round, args)
            case EvmQuery.TRACE:
                return await self._trace(decode_record(TraceQuery, args), round)
            case _:
                raise NotOfImported(f"{method} is nothing that an imported chain answers")

    async def _trace(self, query: TraceQuery, parent: Round | None) -> bytes:
        number = (self.newest if parent is None else parent) + 1
        if number > self.newest or self.blocks[number].hash != query.block_hash:
            raise NotOfImported("only what is in a block can be traced")
        traces = await self._ask(self._chain.trace, number, query.style, query.wanted)
        # The native module compares the replay with the block.
        results = self.blocks[number].raw_records
        if query.wanted is not None:
            results = results[query.wanted : query.wanted + 1]
        pairs = zip(results, traces, strict=True)
        return encode_record(Traces(tuple(TracedTransaction(*pair) for pair in pairs)))

    async def fetch_status(self) -> ComputeStatus:
        """Where the chain ends."""
        newest = self.blocks[self.newest]
        return ComputeStatus(
            name=NAME,
            node_id=NodeId(bytes(32)),
            runtime_id=self.runtime_id,
            round=self.newest,
            state_root=newest.header.state_root,
            epoch=Epoch(0),
            is_ready=True,
            is_worker=True,
            is_backup=False,
            mr_enclave=Hash(bytes(32)),
            is_mock_tee=True,
        )

    async def submit_transactions(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        """Check transactions and keep the good ones."""
        return tuple([await self._submit(raw) for raw in raws])

    async def _submit(self, raw: bytes) -> Submission:
        try:
            return Submission(await self.admit(raw))
        except EthereumRejected as error:
            return Submission(None, NAME, 1, error.message)

    async def fetch_next_sequence(self, sender: bytes) -> int | None:
        """Nonce after those that could run; None where nothing waits."""
        pending, _ = await self.waiting_of(sender)
        return pending[-1].nonce + 1 if pending else None

    async def fetch_pending(self) -> tuple[bytes, ...]:
        """What could run, sender by sender."""
        waiting = [await self.waiting_of(sender) for sender in self.pool.senders()]
        return tuple(one.raw for pending, _ in waiting for one in pending)

    async def drop_transaction(self, raw: bytes) -> bool:  # noqa: ARG002
        """Find nothing."""
        return False

    async def fetch_call_data_key(self) -> CallDataKey:
        """Refuse: nothing is encrypted."""
        raise NotOfImported("nothing is encrypted on an imported chain")

    async def fetch_headers(self, first: Round, count: int) -> tuple[BlockHeader, ...]:  # noqa: ARG002
        """Refuse: headers of this chain are Ethereum's."""
        raise NotOfImported("an imported chain has no headers of a ParaTime")

    async def fetch_round(self, round: Round) -> RoundBlock | None:  # noqa: A002, ARG002
        """Refuse: blocks of this chain are Ethereum's."""
        raise NotOfImported("an imported chain has no rounds of a ParaTime")

    async def keep_awake(self) -> bool:
        """Say that no round is due, as none ever is."""
        return False

    def watch_rounds(
        self,
        from_round: Round,  # noqa: ARG002
        incarnation: Incarnation | None = None,  # noqa: ARG002
    ) -> AsyncIterator[RoundBlock]:
        """Refuse: no block follows."""
        raise NotOfImported("no block follows the last one of an imported chain")

    def watch_executed(self) -> AsyncIterator[ExecutedRound]:
        """Refuse: nothing is executed any more."""
        raise NotOfImported("no block follows the last one of an imported chain")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _question(args: bytes) -> dict[str, Any]:
    call = decode_record(EvmCall, args)
    return {
        "call": {
            "from": "0x" + call.caller.hex(),
            "to": None if call.to is None else "0x" + call.to.hex(),
            "gas": hex(call.gas),
            "value": hex(call.value),
            "input": "0x" + call.data.hex(),
        }
    }
