"""
The application under an engine: ABCI methods on one side, the rules on the other.

A block is executed once. `prepare_proposal` keeps what it made, and `process_proposal` and
`finalize_block` of the same block take it; `commit` alone writes.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import structlog

from services.consensus.abci import (
    AppInfo,
    Block,
    BlockResult,
    Genesis,
    InitResult,
    QueryResult,
    TxResult,
    UnknownQuery,
)
from services.consensus.block_execution import Execution, execute_block, key_of, refusal_of
from services.consensus.opened import OpenedTransactions
from services.consensus.rules.beacon.epoch import epoch_end_ns
from services.consensus.rules.beacon.time_travel import time_shift_ns
from services.consensus.rules.block import (
    RuleFailed,
    is_bug,
)
from services.consensus.rules.context import AttestationVerifier, BlockContext
from services.consensus.rules.events import Event
from services.consensus.rules.genesis import InvalidGenesis, apply_genesis
from services.consensus.rules.parameters import Parameters, load_parameters
from services.consensus.rules.roothash.agreement import next_deadline_ns
from services.consensus.rules.roothash.gathering import missing_voters
from services.consensus.rules.staking.ledger import load_account
from services.consensus.rules.state import CommittedState, State
from services.consensus.rules.transactions import OpenedTransaction, verify_admission
from services.consensus.store import Store
from shared.crypto.hashes import sha256
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.meta import MAX_META_BYTES, decode_meta, encode_meta
from shared.tee.attestation import verify_attestation
from shared.types import genesis as documents
from shared.types.identity import NodeId

log = structlog.get_logger()

APP_VERSION = 1
"""Version of the rules, in every header."""
TX_OVERHEAD_BYTES = 8
"""Most that a block's encoding adds to a transaction: field tag and length."""
KEPT_EXECUTIONS = 4
"""Candidates for one height that are kept until one is committed."""
KEPT_SUSPECTS = 1_000
"""Hashes of transactions that broke a block; more than fit beside each other in the pool's life."""


class RootMismatch(RuntimeError):
    """A decided block leads to another state here: rules or state differ between validators."""


class ConsensusApplication:
    """Fulfils `services.consensus.abci.Application`. One thread, one call at a time."""

    def __init__(
        self, store: Store, verify_attestation: AttestationVerifier = verify_attestation
    ) -> None:
        """Begin with the newest state that the store holds."""
        self._store, self._verify_attestation = store, verify_attestation
        self._tree = store.load_tree()
        self._committed = CommittedState(self._tree)
        self._incarnation = store.incarnation
        self._chain_context = ""
        # Entries and events of `init_chain`, until the first block carries them into the store.
        self._first_changes: dict[bytes, bytes | None] = {}
        self._first_events: tuple[Event, ...] = ()
        self._opened = OpenedTransactions()
        self._next_nonces: dict[bytes, int] = {}
        # Hashes of transactions with which no block could be made here, oldest first.
        self._suspects: OrderedDict[bytes, None] = OrderedDict()
        self._executions: list[Execution] = []
        self._finalized: tuple[Block, Execution] | None = None
        if store.height:
            self._chain_context = self._read_chain_context()

    # -- the life of a chain -------------------------------------------------------------------

    def info(self) -> AppInfo:
        """Say where the last persisted commit stands."""
        height = self._store.height
        return AppInfo(height, self._tree.root if height else b"", APP_VERSION)

    def init_chain(self, genesis: Genesis) -> InitResult:
        """Make the first state; nothing is written before the first commit."""
        document = decode_record(documents.Genesis, genesis.document)
        if (document.chain_id, document.time_ns) != (genesis.chain_id, genesis.time_ns):
            raise InvalidGenesis("the engine was started with another document")
        self._chain_context = document.chain_context()
        state = State(CommittedState(StateTree.empty()))
        context = self._context(genesis.initial_height, genesis.time_ns, bytes(20))
        apply_genesis(state, context, document)
        self._first_changes, self._first_events = state.changes(), state.events
        self._tree = StateTree.empty().with_changes(self._first_changes)
        self._committed = CommittedState(self._tree)
        return InitResult(self._tree.root)

    def query(self, path: str, data: bytes, height: int) -> QueryResult:
        """
        Read state.

        Path `state` gives the committed value of the key in `data`; path `nonce` the big-endian
        nonce that the account in `data` must use next, counting what waits in the pool.
        """
        if path == "nonce":
            nonce = self._next_nonces.get(data)
            if nonce is None:
                nonce = load_account(State(self._committed), data).nonce
            return QueryResult(self._store.height, nonce.to_bytes(8, "big"))
        if path != "state":
            raise UnknownQuery(f"no query {path!r}; there are `state` and `nonce`")
        tree = self._store.load_tree(height) if height else self._tree
        return QueryResult(height or self._store.height, tree.get(data))

    def next_deadline_ns(self) -> int | None:
        """Consensus time of the next work without a transaction: epoch or round [ns]."""
        state = State(self._committed)
        round_deadline = next_deadline_ns(state)
        epoch_end = epoch_end_ns(state)
        return epoch_end if round_deadline is None else min(epoch_end, round_deadline)

    def time_shift_ns(self) -> int:
        """Say how far consensus time is ahead of the clock, by dev controls [ns]."""
        return time_shift_ns(State(self._committed))

    def missing_voters(self, waiting: Iterable[bytes]) -> frozenset[NodeId]:
        """Nodes whose votes the next block should wait for a moment; see `gathering`."""
        state = State(self._committed)
        parameters = load_parameters(state)
        try:
            return missing_voters(state, (self._open(tx, parameters) for tx in waiting))
        except BaseException as error:
            # Advice only: no stranger's transaction stops the loop that asks for it.
            if not is_bug(error):
                raise
            log.error("missing_voters_failed", exc_info=error)
            return frozenset()

    # -- the pool ------------------------------------------------------------------------------

    def check_tx(self, tx: bytes, recheck: bool) -> TxResult:  # noqa: ARG002
        """
        Filter: signature, and nonce and fee on top of what waits already.

        A recheck is the same check: the commit before it has forgotten what waits.
        """
        try:
            opened = self._admit(tx)
        except Rejected as error:
            return refusal_of(error)
        except BaseException as error:
            if not is_bug(error):
                raise
            log.error("transaction_check_failed", tx_hash=sha256(tx).hex(), exc_info=error)
            return refusal_of(RuleFailed())
        return TxResult(0, gas_wanted=opened.fee.gas)

    def _admit(self, tx: bytes) -> OpenedTransaction:
        if sha256(tx) in self._suspects:
            raise RuleFailed
        state = State(self._committed)
        opened = self._open(tx, load_parameters(state))
        address = opened.caller.address
        nonce = self._next_nonces.get(address)
        if nonce is None:
            nonce = load_account(state, address).nonce
        verify_admission(state, opened, nonce)
        self._next_nonces[address] = nonce + 1
        return opened

    # -- blocks --------------------------------------------------------------------------------

    def prepare_proposal(self, block: Block, max_bytes: int) -> list[bytes]:
        """Choose those candidates that have a place in the block, and add its state root."""
        left = max_bytes - MAX_META_BYTES - TX_OVERHEAD_BYTES

        def fits(tx: bytes) -> bool:
            nonlocal left
            if len(tx) + TX_OVERHEAD_BYTES > left:
                return False
            left -= len(tx) + TX_OVERHEAD_BYTES
            return True

        execution = self._choose(block, tuple(filter(fits, block.txs)))
        return [*execution.transactions, encode_meta(execution.tree.root, self._incarnation)]

    def _choose(self, block: Block, candidates: Sequence[bytes]) -> Execution:
        """Execute candidates; without those with which no block can be made, should there be."""
        try:
            return self._execute(block, candidates, must_fit=False)
        except Exception as error:
            if not candidates:
                raise
            log.error("block_failed", height=block.height, exc_info=error)
        # Where a block without any fails as well, it is no candidate's fault.
        self._execute(block, (), must_fit=False)
        return self._execute(block, self._sound(block, (), candidates), must_fit=False)

    def _sound(
        self, block: Block, before: Sequence[bytes], candidates: Sequence[bytes]
    ) -> tuple[bytes, ...]:
        """Those candidates that a block can hold behind others; the rest becomes suspect."""
        try:
            self._execute(block, (*before, *candidates), must_fit=False)
        except Exception:  # noqa: BLE001 - whatever it is, the candidate is left out and named
            if len(candidates) > 1:
                half = len(candidates) // 2
                first = self._sound(block, before, candidates[:half])
                return first + self._sound(block, (*before, *first), candidates[half:])
            self._suspect(candidates[0])
            return ()
        return tuple(candidates)

    def _suspect(self, tx: bytes) -> None:
        hash_ = sha256(tx)
        log.error("transaction_breaks_blocks", tx_hash=hash_.hex())
        self._suspects[hash_] = None
        if len(self._suspects) > KEPT_SUSPECTS:
            self._suspects.popitem(last=False)

    def process_proposal(self, block: Block) -> bool:
        """Accept a block whose transactions all have a place, and whose root is ours."""
        try:
            self._executed(block)
        except (Rejected, RootMismatch):
            return False
        except Exception as error:
            log.error("proposal_failed", height=block.height, exc_info=error)
            return False
        return True

    def finalize_block(self, block: Block) -> BlockResult:
        """Execute a decided block, or take what was kept of it; persists nothing."""
        execution = self._executed(block)
        self._finalized = block, execution
        return execution.result()

    def commit(self) -> int:
        """Persist the finalized block in one transaction, and become the state after it."""
        if self._finalized is None:
            raise RuntimeError("commit without finalize_block")
        block, execution = self._finalized
        self._store.save_block(
            block.height,
            result=execution.result(),
            tree=execution.tree,
            changes=self._first_changes | execution.changes,
            events=execution.events,
            finalized_rounds=[one.header for one in execution.finalized],
        )
        self._tree = execution.tree
        self._committed.advance(execution.tree, execution.records)
        self._opened.forget(execution.transactions)
        self._first_changes, self._first_events = {}, ()
        self._next_nonces, self._executions, self._finalized = {}, [], None
        return 0

    # -- execution -----------------------------------------------------------------------------

    def _executed(self, block: Block) -> Execution:
        """Execution of a block that carries its root; raises `Rejected` or `RootMismatch`."""
        *transactions, meta = block.txs or (b"",)
        carried = decode_meta(meta)
        if carried.incarnation != self._incarnation:
            raise RootMismatch(
                f"height {block.height} is of incarnation {carried.incarnation}, "
                f"{self._incarnation} here"
            )
        key = key_of(block, tuple(transactions))
        execution = next((kept for kept in self._executions if kept.key == key), None)
        if execution is None:
            execution = self._execute(block, transactions, must_fit=True)
        if execution.tree.root != carried.state_root:
            raise RootMismatch(f"height {block.height}: {execution.tree.root.hex()} here")
        return execution

    def _execute(self, block: Block, candidates: Iterable[bytes], *, must_fit: bool) -> Execution:
        """Execute candidates on top of the committed state; see `execute_block`."""
        execution = execute_block(
            block,
            candidates,
            State(self._committed),
            self._context(block.height, block.time_ns, block.proposer),
            tree=self._tree,
            open_transaction=self._open,
            happened=self._first_events,
            must_fit=must_fit,
        )
        self._executions = [*self._executions[1 - KEPT_EXECUTIONS :], execution]
        return execution

    def _open(self, tx: bytes, parameters: Parameters) -> OpenedTransaction:
        return self._opened.open(tx, self._chain_context, parameters.consensus)

    def _context(self, height: int, time_ns: int, proposer: bytes) -> BlockContext:
        return BlockContext(
            height,
            time_ns,
            self._chain_context,
            proposer,
            self._verify_attestation,
            self._incarnation,
        )

    def _read_chain_context(self) -> str:
        return State(self._committed).load_required(bytes, state_keys.CHAIN_CONTEXT).decode()
