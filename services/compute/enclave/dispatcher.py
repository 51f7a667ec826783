"""
The program that runs in a compute node's enclave.

It builds on no state but the one that consensus is proven to have finalized last. A round that it
executes is kept on disk before it is signed, and is tentative until a header confirms it or takes
it back.
"""

import threading
from collections.abc import Mapping
from pathlib import Path

from services.compute.enclave.errors import NoGenesis, NotInitialized, NotLevel, WrongRound
from services.compute.enclave.evm import BlockEnv, Evm
from services.compute.enclave.finality import Finality, read_required
from services.compute.enclave.history import HeaderHistory
from services.compute.enclave.keys import KeyRing, RoundKeys
from services.compute.enclave.ledger import GENESIS, Ledger
from services.compute.enclave.protocol import (
    AccountState,
    CheckedTransaction,
    ComputeHostApi,
    EnclaveDescription,
    EnclaveQuery,
    EnclaveState,
    EpochPublicKey,
    ExecutedBatch,
    RoundChange,
)
from shared.crypto.hashes import sha512_256
from shared.encoding.record import decode_record, encode_record
from shared.rules import state_keys
from shared.rules.light_client import LightClient
from shared.tee.program import EnclaveProgram
from shared.tee.quote import parse_quote
from shared.tee.runtime import EnclaveContext
from shared.tee.session import PeerPolicy, SessionIdentity
from shared.tee.session_peers import SessionClient
from shared.tee.transport import sync_client_of
from shared.types.block import BlockHeader
from shared.types.commitment import COMPUTE_RESULTS_HEADER, ComputeResultsHeader
from shared.types.identity import Epoch, Round
from shared.types.key_requests import ChainView
from shared.types.proof import ProvenState, Validator
from shared.types.registry import Deployment, EvmGenesis, RuntimeDescriptor

REMEMBERED_ENVIRONMENTS = 16
"""Surroundings of rounds kept for queries; nearly all ask for the newest."""


class ComputeProgram(EnclaveProgram):
    """Answers `ComputeEnclaveApi`."""

    def __init__(self, context: EnclaveContext, *, in_memory: bool = False) -> None:
        """Begin without any view of the chain; `in_memory` keeps nothing on disk, for tests."""
        self._validators = [Validator(v.public_key, v.power) for v in context.config.validators]
        super().__init__(context, self._new_light_client(context), state_keys.CHAIN_CONTEXT)
        self._context, self._in_memory = context, in_memory
        config = context.config
        host = sync_client_of(ComputeHostApi, context.host)
        session = SessionClient(
            host.call_key_manager,
            lambda: SessionIdentity(self.rak, self.quoted()),
            self._key_manager_policy,
            context.entropy,
        )
        self._keys = KeyRing(
            session, config.runtime_id, lambda: self.chain_context, self._chain_view
        )
        self._finality = Finality(config.runtime_id)
        self._key_manager: RuntimeDescriptor | None = None
        self._genesis: EvmGenesis | None = None
        self._opened: tuple[Evm, Ledger] | None = None
        self._environments: dict[tuple[int, int], BlockEnv] = {}
        self._environments_lock = threading.Lock()
        self._identity = parse_quote(self.quoted().quote).identity

    def _new_light_client(self, context: EnclaveContext) -> LightClient:
        return LightClient(context.config.chain_id, self._validators)

    def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        return EnclaveDescription(
            runtime_id=self.config.runtime_id,
            key_manager=self.config.key_manager,
            version=self.config.version,
            identity=self._identity,
            rak=self.rak.public_key,
        )

    # -- following the chain -------------------------------------------------------------------

    def initialize(self, proven: ProvenState) -> EnclaveState:
        """
        Verify the chain context, epoch, ParaTime, key manager and last block; open the state.

        Raises
        ------
        Rejected
            What the light client refuses, `IncompleteProof`, or `NoGenesis`.
        """
        values = self.observe(proven).values
        runtime = read_required(
            RuntimeDescriptor, values, state_keys.runtime_key(self.config.runtime_id)
        )
        if runtime.genesis is None:
            raise NoGenesis("the ParaTime carries no EVM genesis")
        if self._opened is None:
            self._genesis = decode_record(EvmGenesis, runtime.genesis)
            self._opened = self._open(self._genesis)
        return self._follow(values, ())

    def _open(self, genesis: EvmGenesis) -> tuple[Evm, Ledger]:
        directory: Path | None = None if self._in_memory else self.directory
        state_key = self._keys.state_key if genesis.confidential else None
        evm = Evm(genesis, None if directory is None else directory / "state.redb", state_key)
        history = HeaderHistory(None if directory is None else directory / "headers.db")
        return evm, Ledger(evm, history, self._finality)

    def advance(self, proven: ProvenState, headers: tuple[BlockHeader, ...] = ()) -> EnclaveState:
        """
        Verify a newly finalized round and take it up.

        Raises
        ------
        Rejected
            What the light client refuses, `IncompleteProof`, or `BrokenHeaderChain`.
        """
        return self._follow(self.observe(proven).values, headers)

    def _follow(
        self, values: Mapping[bytes, bytes | None], headers: tuple[BlockHeader, ...]
    ) -> EnclaveState:
        key_manager = self.config.key_manager
        if key_manager is not None and state_keys.runtime_key(key_manager) in values:
            self._key_manager = read_required(
                RuntimeDescriptor, values, state_keys.runtime_key(key_manager)
            )
        self._ledger.apply_proof(values, headers)
        return self._state()

    def apply(self, changes: tuple[RoundChange, ...]) -> EnclaveState:
        """Take up finalized rounds that were executed elsewhere; see `Ledger.apply_changes`."""
        self._ledger.apply_changes(changes)
        return self._state()

    def rollback(self, round: Round) -> EnclaveState:  # noqa: A002
        """Forget later rounds, and the heights that the light client has seen."""
        self._ledger.rollback(round)
        self._light_client = self._new_light_client(self._context)
        with self._environments_lock:
            self._environments.clear()
        return self._state()

    def _state(self) -> EnclaveState:
        ledger = self._ledger
        return EnclaveState(
            height=self.latest.height,
            epoch=self._finality.epoch,
            head=self._finality.head,
            next_round=ledger.next_round,
            is_level=ledger.is_level,
        )

    # -- keys ----------------------------------------------------------------------------------

    def prepare_epoch(self, epoch: Epoch) -> None:
        """Fetch the keys of an epoch; raises what the key manager refuses with."""
        if self._is_confidential:
            self._keys.prepare(epoch)

    def fetch_call_data_key(self) -> EpochPublicKey:
        """Key of the current epoch."""
        if not self._is_confidential:
            raise NoGenesis("this ParaTime is not confidential: it has no calldata key")
        keys = self._keys.prepare(self._finality.epoch)
        return EpochPublicKey(keys.epoch, keys.public_key)

    def _chain_view(self) -> ChainView:
        return ChainView(self.latest.height, self.latest.time_ns)

    def _key_manager_policy(self) -> PeerPolicy:
        deployment: Deployment | None = None
        if self._key_manager is not None:
            deployment = self._key_manager.active_deployment(self._finality.epoch)
        if deployment is None:
            raise NotInitialized("no active deployment of a key manager is proven")
        return PeerPolicy(
            root_ca_hash=self.config.root_ca_hash,
            quote_policy=deployment.tee.policy,
            now_s=self.now_s,
            enclaves=deployment.tee.enclaves,
        )

    # -- execution -----------------------------------------------------------------------------

    def check(self, raws: tuple[bytes, ...]) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions in the state of the newest round that is final and here."""
        return self._evm.check(raws, version=self._ledger.newest.round)

    def execute(self, round: Round, batch: tuple[bytes, ...]) -> ExecutedBatch:  # noqa: A002
        """
        Execute a batch on the newest finalized round, persist the new state, and sign the result.

        Whatever was executed for this round before is taken back.

        Raises
        ------
        NotLevel, WrongRound
            The state to build on is not here, or the batch is for another round.
        """
        ledger, evm = self._ledger, self._evm
        if not ledger.is_level:
            raise NotLevel(f"round {self._finality.head.round} is not here yet")
        head = self._finality.head
        if round != head.round + 1:
            raise WrongRound(f"round {round}, expected {head.round + 1}")
        ledger.discard_tentative()
        pending = evm.execute(
            self._environment(head),
            batch,
            is_first=head.state_root == evm.root_at(GENESIS),
        )
        pending.persist()
        header = ComputeResultsHeader(
            round=round,
            previous_hash=self._finality.head_hash,
            io_root=pending.io_root,
            state_root=pending.state_root,
        )
        return ExecutedBatch(
            header=header,
            rak_signature=self.rak.sign(COMPUTE_RESULTS_HEADER.anywhere(), encode_record(header)),
            included=pending.included,
            refused=tuple(position for position, _ in pending.rejected),
            results=pending.results,
        )

    def _environment(self, parent: BlockHeader) -> BlockEnv:
        """Surroundings of the round after a block, with the keys of the current epoch."""
        epoch = self._finality.epoch
        key = parent.round, epoch
        env = self._environments.get(key)
        if env is None:
            env = self._evm.environment(parent, epoch, self._round_keys(parent, epoch))
            with self._environments_lock:
                self._environments[key] = env
                while len(self._environments) > REMEMBERED_ENVIRONMENTS:
                    del self._environments[next(iter(self._environments))]
        return env

    def _round_keys(self, parent: BlockHeader, epoch: Epoch) -> RoundKeys:
        if self._is_confidential:
            return self._keys.round_keys(epoch, parent.hash())
        # Without a key manager nothing is secret, randomness included.
        return RoundKeys({}, sha512_256(parent.hash()), b"")

    # -- queries -------------------------------------------------------------------------------

    def fetch_diff(self, round: Round) -> bytes:  # noqa: A002
        """Change of state of a final round."""
        self._ledger.find(round)
        return self._evm.diff_at(round)

    def call(self, query: EnclaveQuery) -> bytes:
        """Run a query; raises `RuntimeRejected`."""
        return self._evm.call(self._environment(self._ledger.find(query.round)), query)

    def estimate_gas(self, query: EnclaveQuery) -> int:
        """Estimate gas; raises `RuntimeRejected`."""
        return self._evm.estimate_gas(self._environment(self._ledger.find(query.round)), query)

    def fetch_account(self, address: bytes, round: Round) -> AccountState:  # noqa: A002
        """Nonce and balance after a round."""
        return self._evm.account(address, self._ledger.find(round).round)

    def fetch_code(self, address: bytes, round: Round) -> bytes:  # noqa: A002
        """Code after a round."""
        return self._evm.code(address, self._ledger.find(round).round)

    def fetch_storage(self, address: bytes, slot: bytes, round: Round) -> bytes:  # noqa: A002
        """What strict Sapphire shows of a slot after a round."""
        return self._evm.storage(address, slot, self._ledger.find(round).round)

    def fetch_min_gas_price(self) -> int:
        """Least gas price in the next round [wei]."""
        return self._evm.min_gas_price(self._ledger.newest.round)

    # -- what is open --------------------------------------------------------------------------

    def close(self) -> None:
        """Close the files, so that another program may open them."""
        if self._opened is not None:
            evm, ledger = self._opened
            self._opened = None
            ledger.close()
            evm.close()

    @property
    def _is_confidential(self) -> bool:
        return self._genesis is not None and self._genesis.confidential

    @property
    def _evm(self) -> Evm:
        if self._opened is None:
            raise NotInitialized("the enclave has not been shown the chain yet")
        return self._opened[0]

    @property
    def _ledger(self) -> Ledger:
        if self._opened is None:
            raise NotInitialized("the enclave has not been shown the chain yet")
        return self._opened[1]
