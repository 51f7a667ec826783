"""
A small application, for tests of engines, stores and light clients.

A transaction is `<nonce> <key> <value>`: the nonce counts all accepted transactions of the chain.
The key `validator` makes its value the power of a key (`<hex>:<power>`); `round` finalizes the next
round of one ParaTime; `due` makes work that is due at a time [ns].
"""

import dataclasses
from collections.abc import Sequence

from services.consensus.abci import (
    AppInfo,
    Block,
    BlockResult,
    Genesis,
    InitResult,
    QueryResult,
    TxResult,
    UnknownQuery,
    ValidatorPower,
)
from services.consensus.store import Store
from shared.api.consensus import BlockEvents, FinalizedRound
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record, encode_record
from shared.rules.meta import MAX_META_BYTES, NotMeta, decode_meta, encode_meta
from shared.rules.state_keys import last_block_key
from shared.types.block import BlockHeader, HeaderType

RUNTIME = b"\x80" + bytes(31)
NONCE = b"nonce"
DUE = b"due"
SLASHED = b"slashed"
BAD_NONCE, BAD_FORM = 1, 2


def transaction(nonce: int, key: str, value: str = "") -> bytes:
    return f"{nonce} {key} {value}".encode()


@dataclasses.dataclass
class _Execution:
    tree: StateTree
    changes: dict[bytes, bytes | None]
    result: BlockResult
    events: BlockEvents
    headers: tuple[BlockHeader, ...]


class CounterApplication:
    """Fulfils `Application`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tree = store.load_tree()
        self._genesis_changes: dict[bytes, bytes | None] = {}
        self._pending_nonce = self._nonce(self._tree)
        self._finalized: _Execution | None = None

    def info(self) -> AppInfo:
        height = self._store.height
        return AppInfo(height, self._tree.root if height else b"", 1)

    def init_chain(self, genesis: Genesis) -> InitResult:
        self._genesis_changes = {NONCE: b"0", b"document": genesis.document}
        self._tree = StateTree.empty().with_changes(self._genesis_changes)
        return InitResult(self._tree.root)

    def check_tx(self, tx: bytes, recheck: bool) -> TxResult:
        try:
            nonce, _, _ = _parse(tx)
        except ValueError as error:
            return TxResult(BAD_FORM, log=str(error), codespace="counter")
        if nonce != self._pending_nonce:
            return TxResult(BAD_NONCE, log=f"nonce {nonce}", codespace="counter")
        self._pending_nonce += 1
        return TxResult(0)

    def prepare_proposal(self, block: Block, max_bytes: int) -> Sequence[bytes]:
        size = MAX_META_BYTES
        chosen = []
        for tx in block.txs:
            if size + len(tx) > max_bytes:
                break
            size += len(tx)
            chosen.append(tx)
        execution = self._execute(block, chosen)
        return [*chosen, encode_meta(execution.result.app_hash, self._store.incarnation)]

    def process_proposal(self, block: Block) -> bool:
        if not block.txs:
            return False
        *txs, last = block.txs
        try:
            root = decode_meta(last).state_root
        except NotMeta:
            return False
        return self._execute(block, txs).result.app_hash == root

    def finalize_block(self, block: Block) -> BlockResult:
        *txs, meta = block.txs
        execution = self._execute(block, txs)
        assert decode_meta(meta).state_root == execution.result.app_hash
        execution.result = dataclasses.replace(
            execution.result, tx_results=(*execution.result.tx_results, TxResult(0))
        )
        self._finalized = execution
        return execution.result

    def commit(self) -> int:
        done = self._finalized
        assert done is not None
        self._store.save_block(
            done.events.height,
            result=done.result,
            tree=done.tree,
            changes=self._genesis_changes | done.changes,
            events=done.events,
            finalized_rounds=done.headers,
        )
        self._tree, self._finalized, self._genesis_changes = done.tree, None, {}
        self._pending_nonce = self._nonce(self._tree)
        return 0

    def query(self, path: str, data: bytes, height: int) -> QueryResult:
        if path != "state":
            raise UnknownQuery(path)
        tree = self._store.load_tree(height or None)
        return QueryResult(height or self._store.height, tree.get(data))

    def next_deadline_ns(self) -> int | None:
        due = self._tree.get(DUE)
        return None if due is None else int(due)

    shift_ns = 0
    """How far a test has moved time."""

    def time_shift_ns(self) -> int:
        return self.shift_ns

    def missing_voters(self, waiting):
        return frozenset()

    def _execute(self, block: Block, txs: Sequence[bytes]) -> _Execution:
        changes: dict[bytes, bytes | None] = {}
        tree, nonce = self._tree, self._nonce(self._tree)
        results, updates, headers = [], [], []
        due = tree.get(DUE)
        if due is not None and int(due) <= block.time_ns:
            changes |= {DUE: None, b"done": due}
        for offence in block.misbehavior:
            changes[SLASHED + offence.address] = str(offence.height).encode()
        for tx in txs:
            try:
                given, key, value = _parse(tx)
            except ValueError as error:
                results.append(TxResult(BAD_FORM, log=str(error), codespace="counter"))
                continue
            if given != nonce:
                results.append(TxResult(BAD_NONCE, log=f"nonce {given}", codespace="counter"))
                continue
            nonce += 1
            changes[NONCE] = str(nonce).encode()
            if key == "validator":
                public_key, power = value.split(":")
                updates.append(ValidatorPower(bytes.fromhex(public_key), int(power)))
            elif key == "round":
                headers.append(self._next_round(tree, block, len(headers)))
                changes[last_block_key(RUNTIME)] = encode_record(headers[-1])
            else:
                changes[key.encode()] = value.encode()
            results.append(TxResult(0, gas_used=1))
        tree = tree.with_changes(changes)
        result = BlockResult(tree.root, tuple(results), tuple(updates))
        events = BlockEvents(
            block.height,
            block.time_ns,
            0,
            finalized=tuple(FinalizedRound(RUNTIME, header) for header in headers),
            incarnation=self._store.incarnation,
        )
        return _Execution(tree, changes, result, events, tuple(headers))

    def _next_round(self, tree: StateTree, block: Block, offset: int) -> BlockHeader:
        raw = tree.get(last_block_key(RUNTIME))
        round_ = offset + (1 if raw is None else decode_record(BlockHeader, raw).round + 1)
        time_s = block.time_ns // 1_000_000_000
        return BlockHeader(
            0, RUNTIME, round_, time_s, HeaderType.NORMAL, bytes(32), bytes(32), bytes(32)
        )

    @staticmethod
    def _nonce(tree: StateTree) -> int:
        return int(tree.get(NONCE) or b"0")


def _parse(tx: bytes) -> tuple[int, str, str]:
    nonce, key, value = tx.decode().split(" ", 2)
    return int(nonce), key, value
