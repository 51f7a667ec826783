"""
Consensus for tests of the gateway: signed blocks with proofs, one for each round of a `FakeChain`.

The light client of the product verifies them. Fulfils what the gateway asks of `ConsensusApi`.
"""

import asyncio
from types import SimpleNamespace

from services.consensus.abci import BlockResult
from services.consensus.engine.chain_state import Chain, sign_block
from services.consensus.proofs import build_proven_state, prove_items
from shared.api.consensus import (
    START_SNAPSHOT,
    BlockEvents,
    ChainRewound,
    FinalizedRound,
    Reverted,
    Snapshot,
    UnknownSnapshot,
)
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.record import encode_record
from shared.errors import PeerUnavailable
from shared.gateways.finality import TrustRoot
from shared.rules import headers, state_keys
from shared.rules.dev_transactions import DEV_TRANSACTION
from shared.rules.incarnations import FIRST_LIFE, with_start
from shared.rules.meta import encode_meta
from shared.types.block import BlockHeader
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    Genesis,
    GenesisValidator,
    RegistryParameters,
    StakingParameters,
)
from shared.types.incarnation import IncarnationStart
from shared.types.mining import Mining, TimeShift
from shared.types.proof import Validator
from shared.types.registry import Entity
from tests.support.fake_compute import RUNTIME_ID, SIGNER, START_S, FakeChain
from tests.support.turns import until

SECOND = 1_000_000_000
VALIDATORS = (Validator(SIGNER.public_key, 10),)
GENESIS = Genesis(
    chain_id="qanat-test",
    time_ns=START_S * SECOND,
    validators=(GenesisValidator(SIGNER.public_key, 10),),
    consensus=ConsensusParameters(),
    beacon=BeaconParameters(epoch_interval_ms=60_000, base_epoch=2),
    staking=StakingParameters({}, {}),
    registry=RegistryParameters(),
    accounts=(),
    entities=(Entity(SIGNER.public_key, (SIGNER.public_key,)),),
    runtimes=(),
    policies=(),
    dev_control_key=SIGNER.public_key,
)

TRUST_ROOT = TrustRoot(
    GENESIS.chain_id,
    GENESIS.chain_context(),
    VALIDATORS,
    dev_control_key=SIGNER.public_key,
)


class FakeConsensus:
    """One validator that finalizes what a chain has."""

    def __init__(
        self,
        chain: FakeChain,
        signer: Signer = SIGNER,
        *,
        runtime_id: bytes = RUNTIME_ID,
        chain_context: str = TRUST_ROOT.chain_context,
    ) -> None:
        self.chain, self._signer, self._runtime_id = chain, signer, runtime_id
        self.is_cut_off = False
        self.interval_ms: int | None = None
        self.moved_ms = self.step_s = 0
        self.chosen_s: list[int] = []
        self.intervals_s: list[int] = []
        self.reported: dict[str, int] = {}
        self.snapshots: dict[int, int] = {}
        """Round by id."""
        self._snapshot_count = 0
        self.oldest_header = 0
        """First round whose header is kept."""
        self._seen_rewinds = len(chain.rewinds)
        self._kept: list[tuple[Chain, tuple[bytes, ...], StateTree]] = []
        self._rounds: list[int] = []
        """Round that each block finalizes."""
        self.life = FIRST_LIFE
        self._signed = Chain(
            GENESIS.chain_id, 0, START_S * SECOND, None, VALIDATORS, VALIDATORS, b"", b"", 1_000_000
        )
        self._tree = StateTree.empty()
        self._write({state_keys.CHAIN_CONTEXT: chain_context.encode()})

    def _write(self, changes) -> None:
        self._tree = self._tree.with_changes(changes)

    def _sync(self) -> None:
        """Make a block for each round that has none, anew after a rewind."""
        for number in self.chain.rewinds[self._seen_rewinds :]:
            self._rewind(number)
        self._seen_rewinds = len(self.chain.rewinds)
        following = self._rounds[-1] + 1 if self._rounds else 0
        for block in self.chain.blocks[following:]:
            self._make_block(block.header)

    def _rewind(self, number: int) -> None:
        """Go back to the block that made a round, and begin a new life with an empty block."""
        height = max(h for h, made in enumerate(self._rounds, 1) if made <= number)
        del self._kept[height:], self._rounds[height:]
        self._signed, _, self._tree = self._kept[-1]
        start = IncarnationStart(self.life.incarnation + 1, height, {self._runtime_id: number})
        self.life = with_start(self.life, start)
        self._write({state_keys.INCARNATION: encode_record(self.life)})
        self._make_block(self._header(self._rounds[-1]))

    def _make_block(self, header: BlockHeader) -> None:
        self._write({state_keys.last_block_key(self._runtime_id): encode_record(header)})
        transactions = (encode_meta(self._tree.root, self.life.incarnation),)
        signed = self._signed
        proposer = headers.validator_address(self._signer.public_key)
        unsigned = signed.build_header(signed.time_ns + SECOND, transactions, (), proposer)
        last_commit = None if signed.last is None else signed.last.commit
        block = sign_block(self._signer, unsigned, VALIDATORS, transactions, (), last_commit)
        self._signed = signed.after(block, BlockResult(self._tree.root, ()), ())
        self._kept.append((self._signed, transactions, self._tree))
        self._rounds.append(header.round)

    def _prove(self, keys, height: int):
        signed, transactions, tree = self._kept[height - 1]
        return build_proven_state(signed.last, transactions, prove_items(tree, keys))

    def _enter(self) -> None:
        if self.is_cut_off:
            raise PeerUnavailable("consensus does not answer")
        self._sync()

    def _header(self, number: int) -> BlockHeader:
        return self.chain.blocks[number].header

    # -- ConsensusApi --------------------------------------------------------------------------

    async def fetch_proven_state(self, keys, height=0):
        self._enter()
        return self._prove(keys, height or len(self._kept))

    async def fetch_oldest_round(self, runtime_id):
        return 0

    async def fetch_round_headers(self, runtime_id, first, count):
        assert runtime_id == self._runtime_id
        self._enter()
        end = min(first + count, len(self.chain.blocks))
        return tuple(map(self._header, range(max(first, self.oldest_header), end)))

    async def take_snapshot(self) -> Snapshot:
        self._enter()
        self._snapshot_count += 1
        self.snapshots[self._snapshot_count] = self._rounds[-1]
        return Snapshot(
            self._snapshot_count, len(self._kept), self.life.incarnation, self.chain.epoch, 0
        )

    async def remember_start(self) -> None:
        self._enter()
        self.snapshots.setdefault(START_SNAPSHOT, self._rounds[-1])

    async def drop_snapshot(self, snapshot_id):
        if self.snapshots.pop(snapshot_id, None) is None:
            raise UnknownSnapshot(f"there is no snapshot {snapshot_id}")

    async def revert(self, snapshot_id, patience_ms=5_000):
        if snapshot_id not in self.snapshots:
            raise UnknownSnapshot(f"there is no snapshot {snapshot_id}")
        self.snapshots = {i: made for i, made in self.snapshots.items() if i <= snapshot_id}
        self.chain.rewind(self.snapshots[snapshot_id])
        self.chain.mine()
        self._sync()
        await until(
            lambda: self.reported.get("gateway") == self.life.incarnation, patience_ms / 1000
        )
        return Reverted(len(self._kept), self.life.incarnation, ("gateway",), ())

    async def fetch_mining(self, runtime_id, height=0):
        return Mining(self.chain.is_automatic, self.interval_ms, step_s=self.step_s)

    async def set_mining(self, runtime_id, automine, interval_ms, step_s=None):
        self.step_s = self.step_s if step_s is None else step_s
        if automine is not None:
            self.chain.is_automatic = automine
        self.interval_ms = self.interval_ms if interval_ms is None else interval_ms

    async def mine_waiting(self, runtime_id):
        return self.chain.mine().header.round

    async def sign_dev_transaction(self, body):
        return SIGNER.sign(DEV_TRANSACTION.anywhere(), body)

    async def mine_rounds(self, runtime_id, count, interval_s=0):
        self.intervals_s.append(interval_s)
        return [self.chain.skip_round().header.round for _ in range(count)][-1]

    async def set_next_timestamp(self, runtime_id, timestamp_s):
        self.chosen_s.append(timestamp_s)
        return self.chain.skip_round().header.round

    async def move_time(self, by_ms):
        self.moved_ms += by_ms
        self._write({state_keys.TIME_SHIFT: encode_record(TimeShift(self.moved_ms * 10**6))})
        self.chain.skip_round()
        return self._signed.time_ns + self.moved_ms * 10**6

    async def fetch_state(self, keys, height=0):
        return tuple(map(self._tree.get, keys))

    async def fetch_last_block(self, runtime_id, height=0):
        return self.chain.newest

    async def fetch_status(self):
        time_ns = self._signed.time_ns + self.moved_ms * 10**6
        return SimpleNamespace(time_ns=time_ns)

    async def report_incarnation(self, follower, incarnation):
        self.reported[follower] = incarnation

    async def watch_news(self, about, from_height, incarnation=None, is_urgent=False):
        assert about == self._runtime_id
        height = from_height
        while True:
            changed = asyncio.ensure_future(self.chain.wait_for_change())
            await asyncio.sleep(0)
            try:
                self._enter()
                if incarnation is not None:
                    self._expect_life(incarnation)
                while height <= len(self._kept):
                    yield self._events(height)
                    height += 1
                await changed
            finally:
                changed.cancel()

    def _expect_life(self, incarnation: int) -> None:
        if incarnation != self.life.incarnation:
            raise ChainRewound("the chain was rewound")

    def _events(self, height: int) -> BlockEvents:
        header = self._header(self._rounds[height - 1])
        return BlockEvents(
            height,
            self._kept[height - 1][0].time_ns,
            self.chain.epoch,
            incarnation=self.life.incarnation,
            finalized=(FinalizedRound(self._runtime_id, header),),
            proven=encode_record(
                self._prove((state_keys.last_block_key(self._runtime_id),), height)
            ),
        )
