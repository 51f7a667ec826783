"""
The EVM as a runtime. Fulfils `services.compute.enclave.runtime.Runtime`.

The one door to the native core: turns records into the core's objects and its errors into this
project's, and nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import evm_native

from runtimes.evm.calls import call, call_with_money, estimate_gas, estimate_gas_as_sender
from runtimes.evm.core_errors import errors_of_the_core
from runtimes.evm.figures import Figures
from runtimes.evm.first_state import FirstState
from runtimes.evm.owner import Viewers, forbid_public
from runtimes.evm.questions import Ground, ask_as_owner
from runtimes.evm.sdk_questions import SdkGround, answer_sdk
from runtimes.evm.sight import forbid_sight, prove, simulate, trace_round
from runtimes.evm.state_pages import read_page
from runtimes.evm.views import view_transaction
from runtimes.native_state import NativeState, errors_of_the_store
from shared.crypto.hashes import EMPTY_HASH
from shared.enclave.errors import StateRejected
from shared.enclave.key_client import RoundKeys
from shared.enclave.remembered import Remembered
from shared.enclave.round_context import RoundContext
from shared.enclave.sdk_host import SdkHost
from shared.encoding.record import decode_record, encode_record
from shared.errors import RuntimeRejected
from shared.rules.app_ids import app_key
from shared.tee.memory import give_back
from shared.types.evm import (
    SDK_QUERIES,
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
from shared.types.identity import Epoch, Hash, PublicKey, Round
from shared.types.messages import Inbox
from shared.types.runtime import CheckedTransaction, SpentSequence
from shared.types.sight import SealedView, SignedQuestion, ViewQuery

CACHE_MIB = 8
"""
Pages and nodes of the state kept in memory [MiB]; the file system caches the rest.

Twice as much is not faster, half as much is slower by 1 to 6 % of a transfer's CPU.
"""
REMEMBERED_ENVIRONMENTS = 16
"""Surroundings of rounds kept for queries; nearly all ask for the newest."""
FORBIDDEN = ("core", 22, "forbidden by node policy")
"""Source: oasis-sdk `runtime-sdk/src/modules/core/mod.rs` @ 00da39c, `Forbidden`."""


def open_runtime(
    module: str,  # noqa: ARG001 - the EVM has no modules of its own
    genesis: bytes,
    directory: Path | None,
    state_key: Callable[[bytes], bytes],
    *,
    has_dev_controls: bool = False,
    debug_key: PublicKey | None = None,
    dev_control_key: bytes | None = None,
    sdk_host: SdkHost | None = None,
) -> "EvmRuntime":
    """Open the EVM; see `services.compute.enclave.runtime.OpenRuntime`."""
    return EvmRuntime(
        FirstState(genesis, directory),
        directory,
        state_key,
        has_dev_controls=has_dev_controls,
        debug_key=debug_key,
        dev_control_key=dev_control_key,
        sdk_host=sdk_host,
    )


class EvmRuntime(NativeState):
    """The state of one EVM ParaTime, versioned by round, and the engine over it."""

    def __init__(
        self,
        first: FirstState,
        directory: Path | None,
        state_key: Callable[[bytes], bytes],
        *,
        has_dev_controls: bool = False,
        debug_key: PublicKey | None = None,
        dev_control_key: bytes | None = None,
        sdk_host: SdkHost | None = None,
    ) -> None:
        """
        Open the state.

        `directory` None keeps it in memory; `state_key` gives the storage key of a contract and is
        not asked on a chain that is not confidential.
        """
        super().__init__(directory, CACHE_MIB)
        self._first, self._genesis = first, first.parameters
        self._environments: Remembered[tuple[bytes, int, int], evm_native.BlockEnv] = Remembered(
            REMEMBERED_ENVIRONMENTS
        )
        self._state_key = state_key if self.is_confidential else None
        self._has_dev_controls = has_dev_controls
        self._viewers = Viewers(self._genesis.chain_id, debug_key)
        self._dev_control_key, self._sdk_host = dev_control_key, sdk_host
        self._figures = Figures()
        self._engine = self._make_engine("strict")
        self._dev_engine: evm_native.Engine | None = None
        """Of the profile `dev`, over the same store; made when somebody asks it."""

    def _make_engine(self, profile: Literal["strict", "dev"]) -> evm_native.Engine:
        genesis, host = self._genesis, self._sdk_host
        with errors_of_the_core:
            config = evm_native.ChainConfig(
                chain_id=genesis.chain_id,
                batch_gas_limit=genesis.batch_gas_limit,
                initial_min_gas_price=genesis.min_gas_price,
                confidential=genesis.confidential,
                profile=profile,
                charges_for_size=genesis.charges_for_size,
                dev_control_key=self._dev_control_key,
                sdk_context=None if host is None else host.signature_context,
            )
            return evm_native.Engine(
                config,
                self._store,
                state_key=self._state_key,
                subcall=self._figures,
                attested=host,
            )

    @property
    def is_confidential(self) -> bool:
        """Whether contracts have secrets."""
        return self._genesis.confidential

    @property
    def max_batch_weight(self) -> int:
        """Gas of one batch, at most [gas]."""
        return self._genesis.batch_gas_limit

    # -- versions ------------------------------------------------------------------------------

    def rollback(self, round_: Round) -> None:
        """Make an older round the newest."""
        super().rollback(round_)
        self._environments.clear()

    def close(self) -> None:
        """Close the state's file; nothing may be asked afterwards."""
        # The engines hold the file as well.
        del self._engine, self._dev_engine
        super().close()

    # -- execution -----------------------------------------------------------------------------

    def check(self, raws: Sequence[bytes], context: RoundContext) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions against the state of a round."""
        with errors_of_the_core:
            outcomes = self._engine.check(
                raws, version=context.parent.round, root=context.parent.state_root
            )
        return tuple(map(_checked, outcomes))

    def execute(
        self, context: RoundContext, batch: Sequence[bytes], inbox: Inbox | None = None
    ) -> "EvmPendingRound":
        """Execute a batch; what is not valid is left out, on every node alike."""
        handed = b"" if inbox is None else encode_record(inbox)
        environment, accounts = self._environment(context), self._first_accounts(context)
        with errors_of_the_core, self._figures.of(context.consensus):
            pending = self._engine.execute(
                environment, batch, genesis=accounts, inbox=handed, strict=False
            )
        return EvmPendingRound(pending, is_first=accounts is not None)

    def _first_accounts(self, context: RoundContext) -> list[Any] | None:
        """Give what the genesis puts in place before the first batch, and before no other."""
        if context.parent.state_root != EMPTY_HASH:
            return None
        return self._first.accounts()

    def read_spent(self, results: Sequence[bytes]) -> tuple[SpentSequence, ...]:
        """Read who sent each transaction, and under which nonce, from its result record."""
        try:
            return tuple(SpentSequence(*one) for one in evm_native.read_spent(results))
        except ValueError as error:
            raise StateRejected(str(error)) from None

    def _environment(self, context: RoundContext) -> evm_native.BlockEnv:
        """Give the surroundings of the round that follows a block, making them once."""
        return self._environments.get(context.identity, lambda: _build_environment(context))

    # -- queries -------------------------------------------------------------------------------

    def query(self, method: str, args: bytes, context: RoundContext) -> bytes:
        """Answer one of `EvmQuery`; see `Runtime.query`."""
        with self._figures.of(context.consensus):
            return self._answer(method, args, context)

    def _answer(self, method: str, args: bytes, context: RoundContext) -> bytes:
        version, root = context.parent.round, context.parent.state_root
        match method:
            case EvmQuery.CALL:
                wanted = self._read_call(args)
                return call(self._engine, self._environment(context), wanted, version)
            case EvmQuery.CALL_WITH_MONEY:
                return self._call_with_money(self._read_call(args), context)
            case EvmQuery.ESTIMATE_GAS:
                wanted = self._read_call(args)
                gas = estimate_gas(self._engine, self._environment(context), wanted, version)
                return encode_record(Amount(gas))
            case EvmQuery.ESTIMATE_GAS_AS_SENDER:
                gas = self._estimate_gas_as_sender(self._read_call(args), context)
                return encode_record(Amount(gas))
            case EvmQuery.ACCOUNT:
                of = decode_record(AccountQuery, args)
                with errors_of_the_core:
                    return encode_record(
                        Account(*self._engine.account(of.address, version, root=root))
                    )
            case EvmQuery.CODE:
                of = decode_record(AccountQuery, args)
                with errors_of_the_core:
                    return self._engine.code(of.address, version, root=root)
            case EvmQuery.STORAGE:
                where = decode_record(StorageQuery, args)
                with errors_of_the_core:
                    return self._engine.storage(where.address, where.slot, version, root=root)
            case EvmQuery.PROOF:
                keys, is_sealed = decode_record(ProofQuery, args), self.is_confidential
                return encode_record(
                    prove(self._engine, keys, version, root, is_confidential=is_sealed)
                )
            case EvmQuery.MIN_GAS_PRICE:
                with errors_of_the_core:
                    return encode_record(Amount(self._engine.min_gas_price(version, root=root)))
            case EvmQuery.PROVE_APP:
                with errors_of_the_core:
                    return self._store.prove((app_key(args),), version=version)
            case EvmQuery.TRACE:
                forbid_sight(is_confidential=self.is_confidential)
                query = decode_record(TraceQuery, args)
                environment, accounts = self._environment(context), self._first_accounts(context)
                return trace_round(self._engine, environment, query, accounts)
            case EvmQuery.STATE:
                forbid_sight(is_confidential=self.is_confidential)
                with errors_of_the_store:
                    page = read_page(self._store, decode_record(StateQuery, args), version, root)
                return encode_record(page)
            case EvmQuery.VIEW:
                return encode_record(self._view(decode_record(ViewQuery, args), context))
            case EvmQuery.ASK_AS_OWNER:
                return encode_record(
                    self._ask_as_owner(decode_record(SignedQuestion, args), context)
                )
            case EvmQuery.SIMULATE:
                forbid_sight(is_confidential=self.is_confidential)
                return simulate(self._engine, self._environment(context), args, version)
            case _ if method in SDK_QUERIES:
                ground = SdkGround(
                    self._engine,
                    lambda: self._environment(context),
                    context,
                    self.is_confidential,
                )
                return answer_sdk(ground, method, args)
            case _:
                raise RuntimeRejected("core", 3, f"invalid method: {method}")

    def _view(self, query: ViewQuery, context: RoundContext) -> SealedView:
        """Show a transaction to its sender, or to the network's owner; sealed to who asks."""
        forbid_public(is_confidential=self.is_confidential)
        accounts = self._first_accounts(context)
        return view_transaction(
            self._viewers,
            query,
            context,
            lambda batch, keys, epoch: trace_round(
                self._engine, _environment_of(context, keys, epoch), batch, accounts
            ),
        )

    def _call_with_money(self, wanted: EvmCall, context: RoundContext) -> bytes:
        """
        Run a call that nobody signed with the money that it sends.

        Sapphire refuses that. A contract that shows something to who pays enough would show it for
        nothing, so an enclave answers it only where the network's owner rules it anyway.
        """
        if not (self.is_confidential and self._has_dev_controls):
            raise RuntimeRejected(*FORBIDDEN)
        environment = self._environment(context)
        return call_with_money(self._engine, environment, wanted, context.parent.round)

    def _estimate_gas_as_sender(self, wanted: EvmCall, context: RoundContext) -> int:
        """
        Estimate with the sender that the call claims; one that fails is an error.

        What a contract would do for somebody else is a secret of his, so an enclave answers this
        only where its measured configuration says that the network's owner rules it anyway.
        """
        if self.is_confidential and not self._has_dev_controls:
            raise RuntimeRejected(*FORBIDDEN)
        environment = self._environment(context)
        return estimate_gas_as_sender(self._believing, environment, wanted, context.parent.round)

    @property
    def _believing(self) -> evm_native.Engine:
        """The engine of the profile `dev`, which believes who a call says to be from."""
        if self._dev_engine is None:
            self._dev_engine = self._make_engine("dev")
        return self._dev_engine

    def _ask_as_owner(self, signed: SignedQuestion, context: RoundContext) -> SealedView:
        """Answer the network's owner what nobody else may ask; sealed to him."""
        forbid_public(is_confidential=self.is_confidential)
        return ask_as_owner(
            self._viewers,
            signed,
            context,
            lambda: Ground(self._believing, self._environment(context), context.parent.round),
        )

    def _read_call(self, args: bytes) -> EvmCall:
        """Read a call; one that pretends code or storage is refused where that shows a secret."""
        wanted = decode_record(EvmCall, args)
        if wanted.pretence:
            forbid_sight(is_confidential=self.is_confidential)
        return wanted


class EvmPendingRound:
    """A round that was executed and is not visible yet."""

    def __init__(self, pending: evm_native.PendingBlock, *, is_first: bool) -> None:
        """`is_first` says that the genesis was put in place, which may have taken much memory."""
        self._pending: evm_native.PendingBlock | None = pending
        self._is_first = is_first
        self.state_root: Hash = pending.state_root
        self.io_root: Hash = pending.io_root
        self.included = pending.included
        self.refused = tuple(position for position, _ in pending.rejected)
        self.results = pending.results
        self.messages = pending.messages

    def persist(self) -> None:
        """Make it the newest version; once."""
        pending, self._pending = self._pending, None
        if pending is None:
            raise StateRejected("the round is the newest version already")
        with errors_of_the_core:
            pending.persist()
        if self._is_first:
            del pending
            give_back()


def _build_environment(context: RoundContext) -> evm_native.BlockEnv:
    """Contracts see the parent's number and time. Source: spec of Sapphire, header semantics."""
    return _environment_of(context, context.keys(), context.epoch)


def _environment_of(context: RoundContext, keys: RoundKeys, epoch: Epoch) -> evm_native.BlockEnv:
    parent = context.parent
    return evm_native.BlockEnv(
        round=parent.round + 1,
        parent_round=parent.round,
        parent_timestamp=parent.timestamp,
        grandparent_hash=parent.previous_hash,
        epoch=epoch,
        call_keys=keys.call_secrets,
        rng_key=keys.random_root,
        call_data_public_key=keys.call_data_public_key,
        state_root=parent.state_root,
    )


def _checked(outcome: evm_native.TxInfo | evm_native.CheckError) -> CheckedTransaction:
    if isinstance(outcome, evm_native.CheckError):
        return CheckedTransaction(outcome.hash, outcome.module, outcome.code, outcome.message)
    return CheckedTransaction(
        hash=outcome.hash,
        sender=outcome.sender,
        sequence=outcome.nonce,
        state_sequence=outcome.account_nonce,
        priority=outcome.gas_price,
        weight=outcome.gas,
    )
