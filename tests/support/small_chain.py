"""
Consensus for tests of compute nodes: signed blocks, one ParaTime, and as much of roothash as it
takes to agree on rounds.

Fulfils what compute nodes ask of `ConsensusApi`. Workers must be unanimous; where they are not, the
majority of the backups decides. Blocks are made when something happens, and when a test asks.
"""

import asyncio
from collections import Counter
from dataclasses import replace

from services.consensus.abci import BlockResult
from services.consensus.engine.chain_state import Chain, sign_block
from services.consensus.proofs import build_proven_state, prove_items
from shared.api.consensus import (
    BlockEvents,
    ChainRewound,
    ConsensusStatus,
    DiscrepancyDetected,
    FinalizedRound,
    is_news,
)
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record, encode_record
from shared.rules import headers, state_keys
from shared.rules.incarnations import FIRST_LIFE, with_start
from shared.rules.meta import encode_meta
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader, HeaderType
from shared.types.incarnation import IncarnationStart
from shared.types.keymanager import KeyManagerStatus
from shared.types.methods import ExecutorCommit, Method
from shared.types.mining import USUAL
from shared.types.proof import Validator
from shared.types.registry import (
    Committee,
    CommitteeMember,
    CommitteeRole,
    NodeDescriptor,
    RuntimeDescriptor,
    SignedDescriptor,
)
from shared.types.transaction import SignedTransaction, Transaction, TransactionResult
from tests.support.consensus_world import make_genesis

CHAIN_ID = "qanat-test"
CHAIN_CONTEXT = "ab" * 32
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
SIGNER = Signer(b"\x07" * 32)


class SmallChain:
    """One validator, one ParaTime."""

    def __init__(
        self,
        runtime: RuntimeDescriptor,
        *,
        key_manager=None,
        policy=None,
        start_ns: int,
        epoch: int = 2,
    ) -> None:
        self.runtime, self.epoch = runtime, epoch
        self.key_manager_id = None if key_manager is None else key_manager.id
        validators = (Validator(SIGNER.public_key, 10),)
        self._chain = Chain(
            CHAIN_ID, 0, start_ns, None, validators, validators, b"", b"", 1_000_000
        )
        self.tree = StateTree.empty()
        self._changes: dict[bytes, bytes | None] = {
            state_keys.CHAIN_CONTEXT: CHAIN_CONTEXT.encode(),
            state_keys.runtime_key(runtime.id): encode_record(runtime),
        }
        self.policy = policy
        """Of the key manager."""
        if key_manager is not None:
            self.write(state_keys.runtime_key(key_manager.id), key_manager)
            self.open_epochs()
        self._kept: dict[int, tuple] = {}
        self.events: list[BlockEvents] = []
        self._news = asyncio.Event()
        self.life = FIRST_LIFE
        self.arrived: dict[str, int] = {}
        self.round_headers: list[BlockHeader] = []
        self.nodes: dict[bytes, NodeDescriptor] = {}
        self.others: tuple[NodeDescriptor, ...] = ()
        """Registered nodes of other runtimes, such as key managers."""
        self.committee: Committee | None = None
        self.votes: dict[bytes, object] = {}
        self.all_votes: list[object] = []
        self.discrepancy: DiscrepancyDetected | None = None
        self.is_deciding = True
        """False leaves rounds open until `decide`."""
        self._add_round(HeaderType.EPOCH_TRANSITION, EMPTY_HASH, EMPTY_HASH)
        self.make_block()

    # -- what tests do -------------------------------------------------------------------------

    def elect(self, workers, backups=()) -> None:
        """Elect a committee; a new epoch's first block tells of it."""
        members = [CommitteeMember(node, CommitteeRole.WORKER) for node in workers]
        members += [CommitteeMember(node, CommitteeRole.BACKUP_WORKER) for node in backups]
        self.committee = Committee(self.runtime.id, self.epoch, tuple(members))

    def register(self, descriptor: NodeDescriptor) -> None:
        """Register a node, or register it anew."""
        self.nodes[descriptor.id] = descriptor
        self.write(state_keys.node_key(descriptor.id), descriptor)
        self.make_block(registered=(descriptor.id,))

    def open_epochs(self, *epochs: int) -> None:
        """Say which earlier epochs have keys; the next block tells of it."""
        key_manager = self.runtime.key_manager
        assert key_manager is not None
        status = KeyManagerStatus(key_manager, policy=self.policy, open_epochs=epochs)
        self.write(state_keys.key_manager_status_key(key_manager), status)

    def begin_epoch(self, workers=None, backups=()) -> None:
        self.epoch += 1
        if workers is not None:
            self.elect(workers, backups)
        header = self._add_round(HeaderType.EPOCH_TRANSITION, self.head.state_root, EMPTY_HASH)
        self.make_block(is_epoch_change=True, finalized=(FinalizedRound(self.runtime.id, header),))

    def fail_round(self) -> None:
        header = self._add_round(HeaderType.ROUND_FAILED, self.head.state_root, EMPTY_HASH)
        self.make_block(finalized=(FinalizedRound(self.runtime.id, header),))

    def finalize(self, *roots: tuple[bytes, bytes]) -> None:
        """Finalize rounds with these (state root, I/O root) in one block."""
        finalized = tuple(
            FinalizedRound(self.runtime.id, self._add_round(HeaderType.NORMAL, *pair))
            for pair in roots
        )
        self.make_block(finalized=finalized)

    def rewind(self, height: int) -> None:
        """Go back to a height, as `evm_revert` does."""
        incarnation = self.life.incarnation + 1
        self._chain, _, self.tree, self.epoch, rounds, self.committee, life = self._kept[height]
        self._kept = {h: kept for h, kept in self._kept.items() if h <= height}
        del self.round_headers[rounds:]
        del self.events[height:]
        self.votes = {}
        start = IncarnationStart(
            incarnation,
            height,
            {self.runtime.id: self.head.round},
            {} if self.key_manager_id is None else {self.key_manager_id: self.epoch},
        )
        self.life = with_start(life, start)
        self.write(state_keys.INCARNATION, self.life)
        self.make_block()

    @property
    def head(self) -> BlockHeader:
        return self.round_headers[-1]

    @property
    def height(self) -> int:
        return self._chain.height

    # -- rounds --------------------------------------------------------------------------------

    def _add_round(self, kind: HeaderType, state_root: bytes, io_root: bytes) -> BlockHeader:
        header = BlockHeader(
            version=1,
            namespace=self.runtime.id,
            round=len(self.round_headers),
            timestamp=self._chain.time_ns // SECOND,
            header_type=kind,
            previous_hash=self.head.hash() if self.round_headers else EMPTY_HASH,
            io_root=io_root,
            state_root=state_root,
        )
        self.round_headers.append(header)
        self.votes, self.discrepancy = {}, None
        self.write(state_keys.last_block_key(self.runtime.id), header)
        return header

    def commit(self, commitment) -> None:
        self.all_votes.append(commitment)
        if commitment.round != self.head.round + 1:
            return
        self.votes.setdefault(commitment.node_id, commitment)
        if self.is_deciding:
            self.decide()

    def decide(self) -> None:
        """Close the open round where the votes allow it."""
        assert self.committee is not None
        workers, backups = self.committee.workers(), self.committee.backups()
        if self.discrepancy is not None:
            counted = Counter(_roots(self.votes[n]) for n in backups if n in self.votes)
            for roots, count in counted.items():
                if roots is not None and count > len(backups) // 2:
                    self.finalize(roots)
                    return
            return
        given = [_roots(self.votes[node]) for node in workers if node in self.votes]
        if len(set(given)) > 1:
            self.discrepancy = DiscrepancyDetected(
                self.runtime.id, self.head.round + 1, 0, is_timeout=False
            )
            self.make_block(discrepancies=(self.discrepancy,))
            self.decide()
        elif len(given) == len(workers) and given[0] is not None:
            self.finalize(given[0])

    # -- blocks --------------------------------------------------------------------------------

    def write(self, key: bytes, record: object) -> None:
        self._changes[key] = encode_record(record)

    def make_block(self, *, seconds: float = 0.001, **events) -> None:
        self.write(state_keys.EPOCH, EpochState(self.epoch, 1, 0, bytes(32)))
        self.tree = self.tree.with_changes(self._changes)
        self._changes = {}
        transactions = (encode_meta(self.tree.root, self.life.incarnation),)
        proposer = headers.validator_address(SIGNER.public_key)
        time_ns = self._chain.time_ns + int(seconds * SECOND)
        header = self._chain.build_header(time_ns, transactions, (), proposer)
        last_commit = None if self._chain.last is None else self._chain.last.commit
        block = sign_block(SIGNER, header, self._chain.validators, transactions, (), last_commit)
        self._chain = self._chain.after(block, BlockResult(self.tree.root, ()), ())
        self._kept[self.height] = (
            self._chain,
            transactions,
            self.tree,
            self.epoch,
            len(self.round_headers),
            self.committee,
            self.life,
        )
        told = BlockEvents(
            self.height, time_ns, self.epoch, incarnation=self.life.incarnation, **events
        )
        if told.finalized:
            last = state_keys.last_block_key(self.runtime.id)
            told = replace(told, proven=self.prove((last,)))
        self.events.append(told)
        self._announce()

    def prove(self, keys, height: int = 0):
        chain, transactions, tree, *_ = self._kept[height or self.height]
        return build_proven_state(chain.last, transactions, prove_items(tree, keys))

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    # -- ConsensusApi --------------------------------------------------------------------------

    async def fetch_status(self) -> ConsensusStatus:
        return ConsensusStatus(
            CHAIN_ID, CHAIN_CONTEXT, self.height, self._chain.time_ns, self.epoch,
            self.tree.root, "small", (), True, self.life.incarnation,
        )  # fmt: skip

    async def fetch_genesis(self):
        return encode_record(make_genesis())

    async def fetch_runtime(self, runtime_id, height=0):
        return self.runtime if runtime_id == self.runtime.id else None

    async def fetch_round_header(self, runtime_id, round_):
        return self.round_headers[round_] if round_ < len(self.round_headers) else None

    async def fetch_round_epoch(self, runtime_id, round_):
        return None if round_ >= len(self.round_headers) else self.epoch

    async def report_incarnation(self, follower, incarnation):
        self.arrived[follower] = incarnation

    async def fetch_proven_state(self, keys, height=0):
        return self.prove(keys, height)

    async def fetch_committee(self, runtime_id, height=0):
        return self.committee

    async def fetch_mining(self, runtime_id, height=0):
        return USUAL

    async def fetch_nodes(self, height=0):
        return (*self.nodes.values(), *self.others)

    async def fetch_nonce(self, address):
        return 0

    async def submit_transaction(self, raw):
        result = await self.execute_transaction(raw)
        return bytes([result.code]) * 32

    async def execute_transaction(self, raw):
        signed = decode_record(SignedTransaction, raw)
        transaction = decode_record(Transaction, signed.untrusted_raw_value)
        match transaction.method:
            case Method.REGISTER_NODE:
                descriptor = decode_record(
                    NodeDescriptor,
                    decode_record(SignedDescriptor, transaction.body).untrusted_raw_value,
                )
                self.register(descriptor)
            case Method.EXECUTOR_COMMIT:
                for commitment in decode_record(ExecutorCommit, transaction.body).commitments:
                    self.commit(commitment)
        return TransactionResult(0)

    async def watch_news(self, about, from_height, incarnation=None):
        known = self.life.incarnation if incarnation is None else incarnation
        height = from_height
        while True:
            news = self._news
            while height <= self.height and known == self.life.incarnation:
                if is_news(self.events[height - 1], about):
                    yield self.events[height - 1]
                height += 1
            if known != self.life.incarnation:
                raise ChainRewound("the chain was rewound")
            await news.wait()


def _roots(commitment):
    results = commitment.header.results
    return None if results is None else (results.state_root, results.io_root)
