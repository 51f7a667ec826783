"""
A ParaTime in one process: the real EVM over memory, no consensus, no TEE, blocks when asked.

`FakeComputeNode` fulfils `ComputeApi` for the gateway's tests. Several nodes may share a
`FakeChain`, and each can be cut off, paused or held behind.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from evm_native import BlockEnv, ChainConfig, CheckError, Engine, Store, x25519_public

from runtimes.evm.calls import call, call_with_money, estimate_gas, estimate_gas_as_sender
from runtimes.evm.owner import Viewers, forbid_public
from runtimes.evm.questions import Ground, ask_as_owner
from runtimes.evm.sight import forbid_sight, prove, simulate, trace_round
from runtimes.evm.state_pages import read_page
from runtimes.evm.views import view_transaction
from shared.api.compute import (
    CallDataKey,
    ComputeStatus,
    Submission,
)
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import Signer
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import Hindsight, RoundContext
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.errors import PeerUnavailable, RemoteUnavailable, RuntimeRejected
from shared.types.block import BlockHeader, ExecutedRound, HeaderType, RoundBlock
from shared.types.evm import (
    Account,
    AccountQuery,
    Amount,
    EvmCall,
    EvmQuery,
    ProofQuery,
    StateQuery,
    StorageQuery,
    TraceQuery,
)
from shared.types.keymanager import SignedPublicKey
from shared.types.queries import QueryAnswer
from shared.types.sight import SealedView, SignedQuestion, ViewQuery

SIGNER = Signer(b"\x07" * 32)
"""The validator, and the network's owner."""
RUNTIME_ID = bytes([0x80]) + bytes(31)
CHAIN_ID = 0x5AFD
START_S = 1_700_000_000
WEI = 10**18
EPOCHS_BACK = 5
DEBUG_KEY = Signer(b"\x0d" * 32)


def derive(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


class FakeChain:
    """Rounds of a ParaTime, with the state behind them."""

    def __init__(
        self,
        *,
        balances=(),
        chain_id=CHAIN_ID,
        epoch=2,
        is_automatic=True,
        name="chain",
        confidential=True,
        has_dev_controls=True,
        accounts=(),
        start_s=START_S,
    ):
        self.name = name
        self.epoch, self.chain_id = epoch, chain_id
        self.chain_context = "c0" * 32
        """Of the consensus that finalizes it."""
        self.is_automatic = is_automatic
        """Whether a transaction gets its block at once."""
        self.is_confidential = confidential
        self.store = Store.memory()
        self.engine, self.dev_engine = (
            Engine(
                ChainConfig(
                    chain_id=chain_id,
                    confidential=confidential,
                    profile=profile,
                    dev_control_key=SIGNER.public_key if has_dev_controls else None,
                ),
                self.store,
                state_key=(lambda address: derive("state", address)) if confidential else None,
                subcall=None,
            )
            for profile in ("strict", "dev")
        )
        self.blocks: list[RoundBlock] = []
        self.pool: list[bytes] = []
        self.rewinds: list[int] = []
        self._start_s = start_s
        self._genesis = [
            *((bytes.fromhex(a.removeprefix("0x")), n * WEI) for a, n in balances),
            *accounts,
        ]
        self._changed = asyncio.Event()
        self._add(HeaderType.EPOCH_TRANSITION, (), (), self.store.root, EMPTY_HASH)
        self.mine()

    @property
    def newest(self) -> BlockHeader:
        return self.blocks[-1].header

    # -- blocks --------------------------------------------------------------------------------

    def mine(self) -> RoundBlock:
        """Make a block of all that waits."""
        waiting, self.pool = self.pool, []
        pending = self.engine.execute(
            self.environment(self.newest.round), waiting, genesis=self._genesis, strict=False
        )
        self._genesis = []
        included = tuple(waiting[i] for i in pending.included)
        gone = {*pending.included, *(i for i, _ in pending.rejected)}
        self.pool = [raw for i, raw in enumerate(waiting) if i not in gone]
        pending.persist()
        return self._add(
            HeaderType.NORMAL, included, pending.results, pending.state_root, pending.io_root
        )

    def advance_epoch(self) -> RoundBlock:
        self.epoch += 1
        self.store.skip(self.newest.round + 1)
        return self._add(HeaderType.EPOCH_TRANSITION, (), (), self.store.root, EMPTY_HASH)

    def skip_round(self) -> RoundBlock:
        """Make a block as consensus does, without any transaction."""
        self.store.skip(self.newest.round + 1)
        return self._add(HeaderType.ROUND_FAILED, (), (), self.store.root, EMPTY_HASH)

    def rewind(self, number: int) -> None:
        del self.blocks[number + 1 :]
        self.rewinds.append(number)
        self.store.rollback(number)
        self._announce()

    def _add(self, kind, transactions, results, state_root, io_root) -> RoundBlock:
        number = len(self.blocks)
        header = BlockHeader(
            version=1,
            namespace=RUNTIME_ID,
            round=number,
            timestamp=self._start_s + number,
            header_type=kind,
            previous_hash=self.newest.hash() if self.blocks else derive(self.name),
            io_root=io_root,
            state_root=state_root,
        )
        block = RoundBlock(header, tuple(transactions), tuple(results))
        self.blocks.append(block)
        self._announce()
        return block

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self) -> None:
        await self._changed.wait()

    # -- keys ----------------------------------------------------------------------------------

    def call_secret(self, epoch: int) -> bytes:
        return derive("call key", epoch)

    def call_data_key(self) -> CallDataKey:
        public = x25519_public(self.call_secret(self.epoch))
        return CallDataKey(
            SignedPublicKey(public, derive("checksum"), derive("sig", 1) + derive("sig", 2), 9),
            self.epoch,
        )

    def environment(self, parent_round: int) -> BlockEnv:
        parent = self.blocks[parent_round].header
        key = self.call_data_key()
        epochs = range(max(self.epoch - EPOCHS_BACK, 0), self.epoch + 1)
        shown = {
            "epoch": self.epoch,
            "public_key": {
                "key": key.public_key.key,
                "checksum": key.public_key.checksum,
                "signature": key.public_key.signature,
                "expiration": 9,
            },
        }
        return BlockEnv(
            round=parent_round + 1,
            parent_round=parent_round,
            parent_timestamp=parent.timestamp,
            grandparent_hash=parent.previous_hash,
            epoch=self.epoch,
            call_keys={epoch: self.call_secret(epoch) for epoch in epochs},
            rng_key=derive("rng", parent_round),
            call_data_public_key=cbor.encode(shown),
        )

    # -- transactions --------------------------------------------------------------------------

    def submit(self, raws) -> tuple[Submission, ...]:
        answers = []
        for raw, info in zip(raws, self.engine.check(raws), strict=True):
            if isinstance(info, CheckError):
                answers.append(Submission(info.hash, info.module, info.code, info.message))
                continue
            self.pool.append(raw)
            answers.append(Submission(info.hash))
        if self.is_automatic and self.pool:
            asyncio.get_running_loop().call_soon(self._mine_pool)
        return tuple(answers)

    def _mine_pool(self) -> None:
        if self.pool:
            self.mine()


class FakeComputeNode:
    """One replica of a chain, as the gateway sees it."""

    def __init__(self, chain: FakeChain, name="compute-0") -> None:
        self.chain, self.name = chain, name
        self.is_cut_off = False
        self.is_paused = False
        self.held_at: int | None = None
        """Last round that it delivers; None delivers all."""
        self.is_worker = True
        self.calls: list[str] = []
        self.executed: asyncio.Queue[ExecutedRound] = asyncio.Queue()

    async def _enter(self, method: str) -> None:
        self.calls.append(method)
        if self.is_paused:
            await asyncio.Event().wait()
        if self.is_cut_off:
            raise PeerUnavailable(f"{self.name} does not answer")

    @property
    def round(self) -> int:
        newest = self.chain.newest.round
        return newest if self.held_at is None else min(newest, self.held_at)

    async def fetch_status(self) -> ComputeStatus:
        await self._enter("fetch_status")
        return ComputeStatus(
            name=self.name,
            node_id=derive(self.name),
            runtime_id=RUNTIME_ID,
            round=self.round,
            state_root=self.chain.blocks[self.round].header.state_root,
            epoch=self.chain.epoch,
            is_ready=True,
            is_worker=self.is_worker,
            is_backup=False,
            mr_enclave=bytes(32),
            is_mock_tee=True,
        )

    async def submit_transactions(self, raws):
        await self._enter("submit_transactions")
        return self.chain.submit(raws)

    async def query_all(self, queries):
        asked = (self.query(query.method, query.args) for query in queries)
        return tuple(await asyncio.gather(*map(QueryAnswer.of, asked)))

    async def query(self, method, args, round=None) -> bytes:  # noqa: A002
        await self._enter(method)
        number = self.round if round is None else round
        engine = self.chain.engine
        match method:
            case EvmQuery.CALL:
                return self._run(call, engine, args, number)
            case EvmQuery.CALL_WITH_MONEY:
                return self._run(call_with_money, engine, args, number)
            case EvmQuery.ESTIMATE_GAS:
                gas = self._run(estimate_gas, engine, args, number)
                return encode_record(Amount(gas))
            case EvmQuery.ESTIMATE_GAS_AS_SENDER:
                gas = self._run(estimate_gas_as_sender, self.chain.dev_engine, args, number)
                return encode_record(Amount(gas))
            case EvmQuery.ACCOUNT:
                address = decode_record(AccountQuery, args).address
                return encode_record(Account(*engine.account(address, number)))
            case EvmQuery.CODE:
                return engine.code(decode_record(AccountQuery, args).address, number)
            case EvmQuery.STORAGE:
                where = decode_record(StorageQuery, args)
                return engine.storage(where.address, where.slot, number)
            case EvmQuery.MIN_GAS_PRICE:
                return encode_record(Amount(engine.min_gas_price(number)))
            case EvmQuery.PROOF:
                root = self.chain.blocks[number].header.state_root
                is_confidential = self.chain.is_confidential
                query = decode_record(ProofQuery, args)
                return encode_record(
                    prove(engine, query, number, root, is_confidential=is_confidential)
                )
            case EvmQuery.VIEW:
                return encode_record(self._view(decode_record(ViewQuery, args), number))
            case EvmQuery.ASK_AS_OWNER:
                signed = decode_record(SignedQuestion, args)
                return encode_record(self._ask_as_owner(signed, number))
            case EvmQuery.STATE:
                forbid_sight(is_confidential=self.chain.is_confidential)
                header = self.chain.blocks[number].header
                query = decode_record(StateQuery, args)
                return encode_record(read_page(self.chain.store, query, number, header.state_root))
            case EvmQuery.TRACE | EvmQuery.SIMULATE:
                return self._look(method, args, number)
        raise RuntimeRejected("core", 3, f"invalid method: {method}")

    def _view(self, query: ViewQuery, number: int) -> SealedView:
        """As the EVM's runtime does it, with the chain's own debug key."""
        chain = self.chain
        forbid_public(is_confidential=chain.is_confidential)
        return view_transaction(
            Viewers(chain.chain_id, DEBUG_KEY.public_key),
            query,
            self._context(number),
            lambda batch, *_: trace_round(chain.engine, chain.environment(number), batch, None),
        )

    def _ask_as_owner(self, signed: SignedQuestion, number: int) -> SealedView:
        """As above."""
        chain = self.chain
        forbid_public(is_confidential=chain.is_confidential)
        return ask_as_owner(
            Viewers(chain.chain_id, DEBUG_KEY.public_key),
            signed,
            self._context(number),
            lambda: Ground(chain.dev_engine, chain.environment(number), number),
        )

    def _context(self, number: int) -> RoundContext:
        chain = self.chain
        keys = RoundKeys({chain.epoch: chain.call_secret(chain.epoch)}, b"", b"")
        parent = chain.blocks[number].header
        return RoundContext(
            parent,
            chain.epoch,
            (parent.hash(), chain.epoch, 0),
            lambda: keys,
            RUNTIME_ID,
            chain.chain_context,
            lambda: Hindsight(START_S, lambda: chain.blocks[number + 1].header, lambda _: keys),
        )

    def _look(self, method: str, args: bytes, number: int) -> bytes:
        """As the EVM's runtime does it."""
        forbid_sight(is_confidential=self.chain.is_confidential)
        engine, environment = self.chain.engine, self.chain.environment(number)
        if method == EvmQuery.SIMULATE:
            return simulate(engine, environment, args, number)
        return trace_round(engine, environment, decode_record(TraceQuery, args), None)

    def _run(self, question, engine, args: bytes, number: int):
        wanted = decode_record(EvmCall, args)
        if wanted.pretence:
            forbid_sight(is_confidential=self.chain.is_confidential)
        return question(engine, self.chain.environment(number), wanted, number)

    async def fetch_call_data_key(self) -> CallDataKey:
        await self._enter("fetch_call_data_key")
        return self.chain.call_data_key()

    async def fetch_round(self, round) -> RoundBlock | None:  # noqa: A002
        await self._enter("fetch_round")
        return self.chain.blocks[round] if round <= self.round else None

    async def fetch_headers(self, first, count):
        await self._enter("fetch_headers")
        held = self.chain.blocks[: self.round + 1]
        return tuple(block.header for block in held[first : first + count])

    async def fetch_next_sequence(self, sender):
        await self._enter("fetch_next_sequence")
        waiting = {i.nonce for i in self.chain.engine.check(self.chain.pool) if i.sender == sender}
        sequence = self.chain.engine.account(sender, self.round)[0]
        while sequence in waiting:
            sequence += 1
        return sequence

    async def fetch_pending(self):
        await self._enter("fetch_pending")
        return tuple(self.chain.pool)

    async def drop_transaction(self, raw):
        await self._enter("drop_transaction")
        was_there = raw in self.chain.pool
        self.chain.pool = [one for one in self.chain.pool if one != raw]
        return was_there

    async def keep_awake(self):
        await self._enter("keep_awake")
        return False

    async def watch_executed(self) -> AsyncIterator[ExecutedRound]:
        await self._enter("watch_executed")
        while True:
            yield await self.executed.get()

    async def watch_rounds(self, from_round) -> AsyncIterator[RoundBlock]:
        await self._enter("watch_rounds")
        following, seen_rewinds = from_round, len(self.chain.rewinds)
        while True:
            changed = self.chain.wait_for_change()
            if self.is_cut_off:
                changed.close()
                raise PeerUnavailable(f"{self.name} closed the connection")
            if seen_rewinds != len(self.chain.rewinds):
                changed.close()
                raise RemoteUnavailable("compute", 20, "the network was rewound")
            if following <= self.round and not self.is_paused:
                changed.close()
                yield self.chain.blocks[following]
                following += 1
                continue
            await changed
