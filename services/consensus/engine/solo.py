"""
The engine `solo`: one validator, in process, a block whenever there is a reason for one.

Its headers, commits and validator sets are CometBFT's, so that one light client follows both
engines. It makes no proof block after a change of the app hash, since the last transaction of each
block proves the state in that very block (ADR 0003, ADR 0005).

A block passes these steps; after a crash at any of them `start` goes on from what is stored:

    prepare -> sign -> finalize -> store the decision -> commit -> settle the pool

The decision is stored only when the block was executed and its results were hashed: what a stranger
sent may break a process, and must not break every process that starts after it (ADR 0013).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from services.consensus.abci import (
    Application,
    Block,
    BlockResult,
    Genesis,
    Misbehavior,
    ValidatorPower,
)
from services.consensus.engine import chain_state as chains
from services.consensus.engine.block_log import DecidedBlock
from services.consensus.engine.block_steps import BlockSteps
from services.consensus.engine.chain_state import Chain
from services.consensus.engine.contract import Decision
from services.consensus.engine.pool import Pool, transaction_hash
from services.consensus.store import Store
from shared.api.consensus import UnknownHeight
from shared.crypto.signing import Signer
from shared.errors import Rejected, error_from
from shared.kit.clock import Clock
from shared.rules import headers
from shared.types.identity import NodeId

log = structlog.get_logger()

NAME = "solo"
CAPABILITIES = ("rewind", "mine", "exact_replay")
"""What this engine can do that others may not; see docs/services/consensus.md."""
MIN_BLOCK_SPACING_NS = 1_000_000
"""Time rises by at least this from block to block [ns]: the resolution of CometBFT's voting."""


class NotTheValidator(Rejected, module="engine", code=1):
    """The genesis names other validators than the one whose key this process holds."""


class StoresDiverged(Rejected, module="engine", code=2):
    """The application's state does not belong to the stored blocks; start from an older copy."""


class ProposalRefused(Rejected, module="engine", code=3):
    """The application refuses the block that it prepared itself: its rules disagree."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes that the genesis sets."""

    max_tx_bytes: int
    max_block_bytes: int


class SoloEngine:
    """Orders transactions into blocks. Not started until `start` has returned."""

    def __init__(
        self,
        application: Application,
        store: Store,
        genesis: Genesis,
        limits: Limits,
        signer: Signer,
        clock: Clock,
        *,
        process_proposals: bool = False,
    ) -> None:
        """
        Wire the engine; nothing is read or written yet.

        `process_proposals` asks the application to judge its own proposals, as other validators
        would: tests do, a network need not.
        """
        self.application = application
        self._store, self._genesis = store, genesis
        self._limits, self._signer, self._clock = limits, signer, clock
        self._process_proposals = process_proposals
        self._address = headers.validator_address(signer.public_key)
        self._misbehavior: list[Misbehavior] = []
        self._chain: Chain | None = None
        self._shift_ns = 0
        """How far time was ahead of the clock when the newest block was made [ns]."""
        self.pool = Pool(application.check_tx, limits.max_tx_bytes)
        self.steps = BlockSteps()

    @property
    def chain(self) -> Chain:
        """Where the chain stands."""
        if self._chain is None:
            raise RuntimeError("the engine was not started")
        return self._chain

    def start(self) -> None:
        """
        Bring application and stored blocks level: init, execute what was decided, or neither.

        Raises
        ------
        NotTheValidator, StoresDiverged
            See each class.
        """
        info = self.application.info()
        decided = self._store.blocks.load()
        if info.height == 0:
            self._chain = self._init_chain()
        else:
            self._chain = self._resume(info.height, info.app_hash)
        self._shift_ns = self.application.time_shift_ns()
        newest = self.chain.height if decided is None else decided.height
        if newest < self.chain.height:
            raise StoresDiverged(
                f"the application is at height {info.height}, the blocks at {newest}"
            )
        while self.chain.height < newest:
            self._replay(self.chain.height + 1)

    def submit(self, raw: bytes) -> bytes:
        """Put a transaction into the pool; its hash, or the error that the application gives."""
        result = self.pool.add(raw)
        if result.code != 0:
            raise error_from(result.codespace, result.code, result.log)
        return transaction_hash(raw)

    def report_misbehavior(self, misbehavior: Misbehavior) -> None:
        """Put an offence before the application in the next block; a dev control."""
        self._misbehavior.append(misbehavior)

    def now_ns(self) -> int:
        """Consensus time by now: that of the clock, and what dev controls have added [ns]."""
        return self._clock.now_ns() + self.application.time_shift_ns()

    def due_ns(self, beat_ns: int) -> int:
        """Consensus time of the next block without a transaction: the beat, or work that is due."""
        beat = self.chain.time_ns + beat_ns
        deadline = self.application.next_deadline_ns()
        return beat if deadline is None else min(beat, deadline)

    def missing_voters(self) -> frozenset[NodeId]:
        """Nodes whose votes the next block should wait for a moment, by what waits now."""
        return self.application.missing_voters(self.pool.oldest_first())

    def make_block(self) -> Decision:
        """Make the next block from what waits; it may be without transactions of the pool."""
        self.steps.begin()
        block = self._propose()
        accepts = self.application.process_proposal
        if self._process_proposals and not accepts(self._executable(block)):
            raise ProposalRefused(f"the proposal of height {block.height} was refused")
        result, chain = self._finalize(block)
        self.steps.end("finalize")
        self._store.blocks.save(block)
        self.steps.end("store")
        self._misbehavior.clear()
        decision = self._commit(block, result, chain)
        self.steps.end("commit")
        return decision

    # -- the steps -----------------------------------------------------------------------------

    def _propose(self) -> DecidedBlock:
        chain = self.chain
        misbehavior = tuple(self._misbehavior)
        proposal = Block(
            height=chain.height + 1,
            time_ns=self._next_time_ns(),
            txs=self.pool.oldest_first(),
            proposer=self._address,
            last_votes=chains.last_votes(chain.last),
            misbehavior=misbehavior,
            next_validators_hash=headers.validators_hash(chain.next_validators),
        )
        transactions = tuple(
            self.application.prepare_proposal(proposal, self._limits.max_block_bytes)
        )
        self.steps.end("prepare")
        header = chain.build_header(proposal.time_ns, transactions, misbehavior, self._address)
        light_block = chains.sign_block(
            self._signer,
            header,
            chain.validators,
            transactions,
            misbehavior,
            None if chain.last is None else chain.last.commit,
        )
        self.steps.end("sign")
        return DecidedBlock(light_block, transactions, misbehavior)

    def _next_time_ns(self) -> int:
        """
        Time of the next block [ns].

        It is the clock's. Blocks are ahead of it where it went back, or where they came faster
        than a block may; what the newest one moved time by counts from its own time then.
        """
        shift_ns = self.application.time_shift_ns()
        moved_ns = max(shift_ns - self._shift_ns, 0)
        self._shift_ns = shift_ns
        return max(self.now_ns(), self.chain.time_ns + moved_ns + MIN_BLOCK_SPACING_NS)

    def _finalize(self, block: DecidedBlock) -> tuple[BlockResult, Chain]:
        """What a block makes, and where the chain stands after it; nothing is stored."""
        result = self.application.finalize_block(self._executable(block))
        updates = self._applicable(result.validator_updates)
        if len(updates) < len(result.validator_updates):
            log.warning("validator_updates_unapplied", engine=NAME, height=block.height)
        return result, self.chain.after(block.light_block, result, updates)

    def _commit(self, block: DecidedBlock, result: BlockResult, chain: Chain) -> Decision:
        self.application.commit()
        self._chain = chain
        return Decision(block, result, tuple(self.pool.settle(block.transactions)))

    def _replay(self, height: int) -> None:
        """Execute a block that was decided before the start."""
        block = self._store.blocks.load(height)
        if block is None:
            raise StoresDiverged(f"height {height} is to be executed again, and has no block")
        self._shift_ns = self.application.time_shift_ns()
        log.info("block_replayed", height=height)
        self._commit(block, *self._finalize(block))

    def _executable(self, block: DecidedBlock) -> Block:
        return chains.block_to_execute(
            block.light_block, block.transactions, block.misbehavior, self.chain.last
        )

    def _applicable(self, updates: Iterable[ValidatorPower]) -> tuple[ValidatorPower, ...]:
        """Updates after which this process can still sign alone: of its own key's power."""
        own = self._signer.public_key
        return tuple(u for u in updates if u.public_key == own and u.power > 0)

    # -- the start -----------------------------------------------------------------------------

    def _init_chain(self) -> Chain:
        genesis = self._genesis
        init = self.application.init_chain(genesis)
        validators = chains.with_updates((), init.validators or genesis.validators)
        if {v.public_key for v in validators} != {self._signer.public_key}:
            raise NotTheValidator(
                f"this process signs as {self._signer.public_key.hex()}, the genesis names "
                + ", ".join(v.public_key.hex() for v in validators)
            )
        return Chain(
            chain_id=genesis.chain_id,
            height=genesis.initial_height - 1,
            time_ns=genesis.time_ns,
            last=None,
            validators=validators,
            next_validators=validators,
            app_hash=init.app_hash,
            last_results_hash=headers.results_hash(()),
            max_block_bytes=self._limits.max_block_bytes,
        )

    def _updates_of(self, height: int) -> tuple[ValidatorPower, ...]:
        try:
            return self._applicable(self._store.load_result(height).validator_updates)
        except UnknownHeight:
            # Forgotten; if there were any, the header that announces the set tells it.
            return ()

    def _resume(self, height: int, app_hash: bytes) -> Chain:
        block = self._store.blocks.load(height)
        if block is None:
            raise StoresDiverged(f"the application is at height {height}, which has no block")
        header, result = block.light_block.header, self._store.load_result(height)
        if result.app_hash != app_hash:
            raise StoresDiverged(f"the application has another state at height {height}")
        # The set of a height is that of the height before with the updates of two heights before.
        validators = block.light_block.validators
        if height > self._genesis.initial_height:
            validators = chains.with_updates(validators, self._updates_of(height - 1))
        if headers.validators_hash(validators) != header.next_validators_hash:
            raise StoresDiverged(f"the header of height {height} announces other validators")
        updates = self._applicable(result.validator_updates)
        return Chain(
            chain_id=header.chain_id,
            height=height,
            time_ns=header.time_ns,
            last=block.light_block,
            validators=validators,
            next_validators=chains.with_updates(validators, updates),
            app_hash=app_hash,
            last_results_hash=chains.results_hash(result),
            max_block_bytes=self._limits.max_block_bytes,
        )
