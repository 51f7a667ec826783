"""A ParaTime in Python. Fulfils `services.compute.enclave.runtime.Runtime`."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import evm_native

from runtimes.native_state import NativeState, errors_of_the_store
from runtimes.python import errors
from runtimes.python.accounts import Accounts
from runtimes.python.authentication import Authentic, address_of, authenticate, verify_form
from runtimes.python.core import (
    MAX_TX_BYTES,
    QUERY_GAS,
    Core,
    EstimateGas,
    Gas,
    MinGasPrice,
    ReadOnlyTransaction,
    RuntimeInfo,
)
from runtimes.python.execution import Execution, Limits
from runtimes.python.loading import load_paratime
from runtimes.python.metering import Meter
from runtimes.python.module import BadModule, Method, ParaTime
from runtimes.python.overlay import MAX_ITEMS, Overlay, Sealer
from shared.crypto.hashes import EMPTY_HASH
from shared.enclave.round_context import RoundContext
from shared.enclave.sdk_host import SdkHost
from shared.encoding.record import decode_record, encode_record
from shared.errors import RuntimeRejected
from shared.types.identity import Hash
from shared.types.messages import Inbox
from shared.types.runtime import CheckedTransaction, SpentSequence
from shared.types.sdk_transaction import (
    SdkGenesis,
    Transaction,
    TransactionRecord,
    encode_transaction,
    signature_context,
)

CACHE_MIB = 8
STATE_KEY_NAME = b"qanat/python: state"
"""Name of the state's key at the key manager: one for the ParaTime."""


def open_runtime(
    module: str,
    genesis: bytes,
    directory: Path | None,
    state_key: Callable[[bytes], bytes],
    *,
    has_dev_controls: bool = False,  # noqa: ARG001 - answers are the same everywhere
    debug_key: bytes | None = None,  # noqa: ARG001 - a program shows what it shows
    dev_control_key: bytes | None = None,  # noqa: ARG001 - nobody edits the state
    sdk_host: SdkHost | None = None,  # noqa: ARG001 - it has no apps
) -> "PythonRuntime":
    """Open a program; see `services.compute.enclave.runtime.OpenRuntime`."""
    return PythonRuntime(
        load_paratime(module),
        decode_record(SdkGenesis, genesis),
        directory,
        state_key,
    )


class PythonRuntime(NativeState):
    """A program and its state, versioned by round."""

    def __init__(
        self,
        program: ParaTime,
        genesis: SdkGenesis,
        directory: Path | None,
        state_key: Callable[[bytes], bytes],
    ) -> None:
        """
        Open the state.

        `directory` None keeps it in memory; `state_key` is not asked where there are no secrets.
        """
        if program.confidential != genesis.confidential:
            raise BadModule(
                f"program {program.name} says confidential={program.confidential}, "
                f"the network {genesis.confidential}"
            )
        super().__init__(directory, CACHE_MIB)
        self._program, self._genesis, self._state_key = program, genesis, state_key
        self._accounts = Accounts()
        self._modules = (Core(), self._accounts, *program.modules)
        for module in self._modules:
            for one in module.fields():
                one.bind(module.name)
        self._methods: dict[str, Method] = {
            method.name: method for module in self._modules for method in module.methods()
        }
        self._public = frozenset(module.name for module in self._modules if module.is_public)
        self._limits = Limits(genesis.batch_gas_limit, genesis.min_gas_price)
        self._sealer: Sealer | None = None
        self._lock = threading.Lock()

    @property
    def is_confidential(self) -> bool:
        """Whether the program keeps secrets."""
        return self._program.confidential

    @property
    def max_batch_weight(self) -> int:
        """Gas of one batch, at most [gas]."""
        return self._limits.batch_gas

    # -- execution -----------------------------------------------------------------------------

    def check(self, raws: Sequence[bytes], context: RoundContext) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions against the state of a round."""
        execution = self._begin(context)
        return tuple(self._check(execution, raw) for raw in raws)

    def _check(self, execution: Execution, raw: bytes) -> CheckedTransaction:
        try:
            authentic = self._authenticate(raw, execution.context)
        except RuntimeRejected as error:
            return CheckedTransaction(None, error.module, error.code, error.message)
        nonce, fee = execution.next_nonce(authentic.sender), authentic.transaction.ai.fee
        try:
            if authentic.nonce < nonce:
                raise errors.invalid_nonce()
            execution.admit(authentic)
        except RuntimeRejected as error:
            return CheckedTransaction(authentic.hash, error.module, error.code, error.message)
        return CheckedTransaction(
            hash=authentic.hash,
            sender=authentic.sender,
            sequence=authentic.nonce,
            state_sequence=nonce,
            priority=fee.amount[0] // fee.gas,
            weight=fee.gas,
        )

    def execute(
        self,
        context: RoundContext,
        batch: Sequence[bytes],
        inbox: Inbox | None = None,  # noqa: ARG002 - no module here asks anything of consensus
    ) -> "PythonPendingRound":
        """Execute a batch; what is not valid is left out, on every node alike."""
        execution = self._begin(context)
        if context.parent.state_root == EMPTY_HASH:
            execution.start(self._modules, self._genesis.balances)
        included, refused = [], []
        for position, raw in enumerate(batch):
            try:
                if execution.run(self._authenticate(raw, context)):
                    included.append(position)
            except RuntimeRejected:
                execution.state.drop()
                refused.append(position)
        parent = context.parent
        with errors_of_the_store:
            staged = self._store.stage(
                execution.state.sealed_changes(), version=parent.round, root=parent.state_root
            )
        io_root = self.io_root([batch[position] for position in included], execution.results)
        return PythonPendingRound(
            staged, io_root, tuple(included), tuple(refused), tuple(execution.results)
        )

    def read_spent(self, results: Sequence[bytes]) -> tuple[SpentSequence, ...]:
        """Read who sent each transaction, and under which nonce, from its record."""
        records = (decode_record(TransactionRecord, result) for result in results)
        return tuple(SpentSequence(record.sender, record.nonce) for record in records)

    # -- queries -------------------------------------------------------------------------------

    def query(self, method: str, args: bytes, context: RoundContext) -> bytes:
        """Answer a question of `core`, `accounts` or the program; see `Runtime.query`."""
        execution = self._begin(context)
        match method:
            case "core.RuntimeInfo":
                return encode_record(self._info())
            case "core.MinGasPrice":
                return encode_record(MinGasPrice({b"": self._limits.min_gas_price}))
            case "core.CallDataPublicKey":
                if not self.is_confidential:
                    raise errors.invalid_method(method)
                return context.keys().call_data_public_key
            case "core.EstimateGas":
                wanted = decode_record(EstimateGas, args)
                return encode_record(Gas(self._estimate(wanted, execution)))
            case "core.ExecuteReadOnlyTx":
                raw = decode_record(ReadOnlyTransaction, args).tx
                return execution.read(self._authenticate(raw, context), QUERY_GAS)
            case _:
                return execution.ask(method, args, QUERY_GAS)

    def _estimate(self, wanted: EstimateGas, execution: Execution) -> int:
        transaction = Transaction(wanted.v, wanted.call, wanted.ai)
        verify_form(transaction)
        sender = address_of(wanted.ai.si[0].address_spec.signature)
        # A signature and the arrays around it add some 80 bytes.
        return execution.estimate(wanted.call, sender, len(encode_transaction(transaction)) + 80)

    def _info(self) -> RuntimeInfo:
        calls = tuple(sorted(m.name for m in self._methods.values() if not m.is_query))
        queries = tuple(sorted(m.name for m in self._methods.values() if m.is_query))
        return RuntimeInfo(self._program.name, self.is_confidential, calls, queries)

    # -- what an execution works on ------------------------------------------------------------

    def _authenticate(self, raw: bytes, context: RoundContext) -> Authentic:
        if len(raw) > MAX_TX_BYTES:
            raise errors.malformed_transaction(f"longer than {MAX_TX_BYTES} bytes")
        return authenticate(raw, signature_context(context.runtime_id, context.chain_context))

    def _begin(self, context: RoundContext) -> Execution:
        version, root = context.parent.round, context.parent.state_root

        def read(key: bytes) -> bytes | None:
            with errors_of_the_store:
                return self._store.get(key, version=version, root=root)

        def scan(prefix: bytes) -> list[tuple[bytes, bytes]]:
            with errors_of_the_store:
                return self._store.scan(prefix, limit=MAX_ITEMS + 1, version=version, root=root)

        state = Overlay(
            read_tree=read,
            scan_tree=scan,
            round=version + 1,
            seal=self._seal if self.is_confidential else None,
            public=self._public,
            meter=Meter(0),
        )
        keys = context.keys if self.is_confidential else None
        return Execution(context, self._methods, self._accounts, state, self._limits, keys)

    def _seal(self) -> Sealer:
        if self._sealer is None:
            with self._lock:
                if self._sealer is None:
                    self._sealer = Sealer(self._state_key(STATE_KEY_NAME))
        return self._sealer


class PythonPendingRound:
    """A round that was executed and is not visible yet."""

    def __init__(
        self,
        staged: evm_native.Staged,
        io_root: Hash,
        included: tuple[int, ...],
        refused: tuple[int, ...],
        results: tuple[bytes, ...],
    ) -> None:
        self._staged = staged
        self.state_root: Hash = staged.root
        self.io_root, self.included, self.refused = io_root, included, refused
        self.results = results
        self.messages: tuple[bytes, ...] = ()

    def persist(self) -> None:
        """Make it the newest version."""
        with errors_of_the_store:
            self._staged.persist()
