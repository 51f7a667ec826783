"""
The program that runs in a compute node's enclave.

It builds on no state but the one that consensus is proven to have finalized last. A round that it
executes is kept on disk before it is signed, and is tentative until a header confirms it or takes
it back.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from services.compute.enclave.errors import NoGenesis, NotLevel, WrongInbox, WrongRound
from services.compute.enclave.protocol import (
    AppliedRounds,
    ComputeHostApi,
    EnclaveDescription,
    EnclaveState,
    EpochPublicKey,
    ExecutedBatch,
    StageTimes,
)
from services.compute.enclave.runtime import Runtime, find_runtime
from shared.crypto.hashes import sha3_256, sha512_256
from shared.enclave.consensus_view import ConsensusReader
from shared.enclave.errors import NotInitialized
from shared.enclave.finality import Finality
from shared.enclave.history import ChainedHeader, HeaderHistory
from shared.enclave.key_client import KeyRing, RoundKeys
from shared.enclave.key_manager_view import KeyManagerView
from shared.enclave.ledger import Ledger
from shared.enclave.program import EnclaveProgram, VerifiedState
from shared.enclave.proven import read_required
from shared.enclave.round_context import Hindsight, RoundContext
from shared.enclave.sdk_host import SdkHost
from shared.enclave.set_aside import SetAside
from shared.enclave.state import Pruned
from shared.encoding.record import encode_record
from shared.errors import BadRequest, QanatError
from shared.rules import state_keys
from shared.rules.attested_apps import InstanceJudge
from shared.rules.incarnations import FIRST_LIFE, last_shared_secret, read_incarnation
from shared.tee.quote import parse_quote
from shared.tee.runtime import EnclaveContext, failed_by_a_bug
from shared.tee.session_evidence import PeerPolicy, SessionIdentity
from shared.tee.session_peers import SessionClient
from shared.tee.transport import sync_client_of
from shared.types.block import BlockHeader, RoundChange, results_of
from shared.types.commitment import COMPUTE_RESULTS_HEADER, ComputeResultsHeader
from shared.types.identity import Epoch, Incarnation, Round
from shared.types.key_requests import ChainView, FreshnessUnproven
from shared.types.messages import Inbox, hash_inbox, hash_messages
from shared.types.proof import ProvenBytes, ProvenState, Validator
from shared.types.queries import MAX_QUERIES, Query, QueryAnswer
from shared.types.registry import RuntimeDescriptor
from shared.types.runtime import CheckedTransaction
from shared.types.sdk_transaction import signature_context

KEY_MANAGER_SESSIONS = 2
"""So that another key manager is at hand where one is gone, or lacks a secret."""
TOGETHER_NS = 2_000_000
"""After this time no further question of one message is answered by the thread that has it."""
TOGETHER_BYTES = 1024 * 1024
"""Nor after so many bytes of answers."""
HEADERS_FILE = "headers.db"
HEADERS_KEY = b"qanat/headers: tag of a row (insecure mock)"


class ComputeProgram(EnclaveProgram):
    """Answers `ComputeEnclaveApi`."""

    def __init__(
        self,
        context: EnclaveContext,
        *,
        in_memory: bool = False,
        stopwatch_ns: Callable[[], int] | None = None,
    ) -> None:
        """
        Begin without any view of the chain.

        `in_memory` keeps nothing on disk, for tests. `stopwatch_ns` times executions for who asks,
        and ends what takes long; nothing else here knows the hour but from consensus.
        """
        super().__init__(context)
        self._in_memory = in_memory
        self._elapsed_ns = stopwatch_ns or (lambda: 0)
        # How long secrets took to handle is told only where the owner may see inside anyway.
        self._stopwatch_ns = stopwatch_ns if context.config.has_dev_controls else None
        config = context.config
        host = sync_client_of(ComputeHostApi, context.host)
        sessions = tuple(
            SessionClient(
                host.call_key_manager,
                lambda: SessionIdentity(self.rak, self.quoted()),
                self._key_manager_policy,
                context.entropy,
            )
            for _ in range(KEY_MANAGER_SESSIONS)
        )
        self._keys = KeyRing(sessions, config.runtime_id, self)
        self._finality = Finality(config.runtime_id)
        self._life = FIRST_LIFE
        self._consensus = ConsensusReader(
            config.runtime_id, self._new_light_client, host.fetch_round_state
        )
        self._opened: tuple[Runtime, Ledger] | None = None
        self._identity = parse_quote(self.quoted().quote).identity
        self._key_manager = KeyManagerView(config, self._identity)

    def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        return EnclaveDescription(
            runtime_id=self.config.runtime_id,
            key_manager=self.config.key_manager,
            version=self.config.version,
            identity=self._identity,
            rak=self.rak.public_key,
            family=self.family,
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
            raise NoGenesis("the ParaTime carries no genesis")
        if self._opened is None:
            self._opened = self._open(runtime.genesis, runtime.keep_rounds)
        return self._follow(values, ())

    def _open(self, genesis: bytes, keep_rounds: int | None) -> tuple[Runtime, Ledger]:
        directory: Path | None = None if self._in_memory else self.directory
        open_runtime, module = find_runtime(self.config.runtime or "")
        runtime = open_runtime(
            module,
            genesis,
            directory,
            self._keys.state_key,
            has_dev_controls=self.config.has_dev_controls,
            debug_key=self.config.debug_key,
            dev_control_key=self.config.dev_control_key,
            sdk_host=self._sdk_host(),
        )
        history = HeaderHistory(
            None if directory is None else directory / HEADERS_FILE,
            self.platform.seal_key(sha3_256(HEADERS_KEY)),
        )
        ledger = Ledger(
            self.config.runtime_id,
            runtime,
            history,
            self._finality,
            SetAside(directory),
            keep_rounds,
        )
        return runtime, ledger

    def _sdk_host(self) -> SdkHost:
        config = self.config
        judge = InstanceJudge(
            runtime_id=config.runtime_id,
            chain_id=config.chain_id,
            validators=[Validator(v.public_key, v.power) for v in config.validators],
            root_ca_hash=config.root_ca_hash,
            follows_rewinds=config.has_dev_controls,
        )
        context = signature_context(config.runtime_id, self.chain_context)
        return SdkHost(context, self._keys.long_term_pair, judge.judge)

    def advance(self, proven: ProvenBytes, headers: tuple[BlockHeader, ...] = ()) -> EnclaveState:
        """
        Verify a newly finalized round and take it up.

        Raises
        ------
        Rejected
            What the light client refuses, `IncompleteProof`, `BrokenHeaderChain`, or what is no
            proof at all.
        """
        return self._follow(self.observe_encoded(proven).values, headers)

    def _follow(
        self, values: Mapping[bytes, bytes | None], headers: tuple[BlockHeader, ...]
    ) -> EnclaveState:
        self._key_manager.follow(values)
        if state_keys.INCARNATION in values:
            self._life = read_incarnation(values)
        # The rounds on disk may be of a life that this start of the enclave has not seen.
        self._ledger.enter(read_incarnation(values))
        self._ledger.apply_proof(values, headers)
        return self._state()

    def apply(self, changes: tuple[RoundChange, ...]) -> AppliedRounds:
        """Take up finalized rounds that were executed elsewhere; see `Ledger.apply_changes`."""
        taken_up = self._ledger.apply_changes(changes)
        results = [result for change in taken_up for result in results_of(change.block)]
        return AppliedRounds(self._state(), self._runtime.read_spent(results))

    def prune(self, keep_from: Round) -> Pruned:
        """Forget states below a round, as far as proven state lets; see `Ledger.prune`."""
        return self._ledger.prune(keep_from)

    def enter_incarnation(self, verified: VerifiedState, known: Incarnation) -> None:
        """Drop the keys of epochs that are void; rounds follow in `_follow`."""
        self._key_manager.forget_policy()
        if self.config.key_manager is not None:
            life = read_incarnation(verified.values)
            self._keys.forget_after(last_shared_secret(life, known, self.config.key_manager))

    def _state(self) -> EnclaveState:
        ledger = self._ledger
        return EnclaveState(
            incarnation=self.latest.incarnation,
            height=self.latest.height,
            epoch=self._finality.epoch,
            head=self._finality.head,
            next_round=ledger.next_round,
            is_level=ledger.is_level,
        )

    # -- keys ----------------------------------------------------------------------------------

    def prepare_epoch(self, epoch: Epoch) -> None:
        """Fetch the keys of an epoch; raises what the key manager refuses with."""
        if self._runtime.is_confidential:
            self._keys.prepare(epoch)

    def fetch_call_data_key(self) -> EpochPublicKey:
        """Key of the current epoch."""
        if not self._runtime.is_confidential:
            raise NoGenesis("this ParaTime is not confidential: it has no calldata key")
        keys = self._keys.prepare(self._finality.epoch)
        return EpochPublicKey(keys.epoch, keys.public_key)

    def key_view(self) -> ChainView:
        """Give the newest verified block, once this start is proven to be registered."""
        if self.registered is None:
            raise FreshnessUnproven("this start of the enclave is not proven to be registered yet")
        return ChainView(self.latest.height, self.latest.time_ns, self.latest.incarnation)

    def open_epochs(self) -> tuple[Epoch, ...]:
        """Earlier epochs of which there are keys; they stay the same for an epoch."""
        return self._key_manager.open_epochs

    def _key_manager_policy(self) -> PeerPolicy:
        return PeerPolicy(
            root_ca_hash=self.config.root_ca_hash,
            quote_policy=self._key_manager.quote_policy(self._finality.epoch),
            now_s=self.now_s,
            enclaves=self._key_manager.answering(),
            editions=self.required_editions(self._finality.epoch),
        )

    # -- execution -----------------------------------------------------------------------------

    def check(self, raws: tuple[bytes, ...]) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions in the state of the newest round that is final and here."""
        return self._runtime.check(raws, self._round_context(self._ledger.newest_final()))

    def execute(
        self,
        round: Round,  # noqa: A002
        batch: tuple[bytes, ...],
        inbox: Inbox | None = None,
        is_timed: bool = False,
    ) -> ExecutedBatch:
        """
        Execute a batch on the newest finalized round, persist the new state, and sign the result.

        Whatever was executed for this round before is taken back. `is_timed` asks how long the
        stages took, which enclaves without dev controls do not tell.

        Raises
        ------
        NotLevel, WrongRound, WrongInbox
            The state to build on is not here, the batch is for another round, or consensus hands
            something else to it.
        """
        ledger, runtime = self._ledger, self._runtime
        if not ledger.is_level:
            raise NotLevel(f"round {self._finality.head.round} is not here yet")
        head = self._finality.head
        if round != head.round + 1:
            raise WrongRound(f"round {round}, expected {head.round + 1}")
        if hash_inbox(inbox or Inbox()) != head.in_msgs_hash:
            raise WrongInbox("consensus hands something else to this round")
        ledger.discard_tentative()
        stopwatch_ns = self._stopwatch_ns if is_timed else None
        read_ns = stopwatch_ns or (lambda: 0)
        begun_ns = read_ns()
        pending = runtime.execute(self._round_context(ledger.newest_final()), batch, inbox)
        executed_ns = read_ns()
        pending.persist()
        persisted_ns = read_ns()
        header = ComputeResultsHeader(
            round=round,
            previous_hash=self._finality.head_hash,
            io_root=pending.io_root,
            state_root=pending.state_root,
            messages_hash=hash_messages(pending.messages),
        )
        rak_signature = self.rak.sign(self._results_domain(), encode_record(header))
        signed_ns = read_ns()
        return ExecutedBatch(
            header=header,
            rak_signature=rak_signature,
            included=pending.included,
            refused=pending.refused,
            results=pending.results,
            spent=runtime.read_spent(pending.results[: len(pending.included)]),
            messages=pending.messages,
            stages=None
            if stopwatch_ns is None
            else StageTimes(
                execute_ns=executed_ns - begun_ns,
                persist_ns=persisted_ns - executed_ns,
                sign_ns=signed_ns - persisted_ns,
            ),
        )

    def _results_domain(self) -> bytes:
        return COMPUTE_RESULTS_HEADER.for_runtime(
            self.chain_context, self.config.runtime_id, self.latest.incarnation
        )

    def _round_context(self, parent: ChainedHeader) -> RoundContext:
        epoch = self._finality.epoch
        return RoundContext(
            parent.header,
            epoch,
            (parent.hash, epoch, self.latest.incarnation),
            lambda: self._round_keys(parent.hash, epoch),
            self.config.runtime_id,
            self.chain_context,
            lambda: self._hindsight(parent),
            self._consensus.after(parent.header.round, self._life),
        )

    def _hindsight(self, parent: ChainedHeader) -> Hindsight:
        return Hindsight(
            self.now_s,
            lambda: self._ledger.find(Round(parent.header.round + 1)).header,
            lambda epoch: self._round_keys(parent.hash, epoch),
        )

    def _round_keys(self, parent_hash: bytes, epoch: Epoch) -> RoundKeys:
        if self._runtime.is_confidential:
            return self._keys.round_keys(epoch, parent_hash)
        # Without a key manager nothing is secret, randomness included.
        return RoundKeys({}, sha512_256(parent_hash), b"")

    # -- queries -------------------------------------------------------------------------------

    def fetch_diff(self, round: Round) -> bytes:  # noqa: A002
        """Change of state of a final round."""
        return self._ledger.read_change(round)

    def query(self, method: str, args: bytes, round: Round) -> bytes:  # noqa: A002
        """Ask the runtime about the state after a round; see `Runtime.query`."""
        return self._runtime.query(method, args, self._round_context(self._ledger.find(round)))

    def query_all(
        self,
        queries: tuple[Query, ...],
        round: Round,  # noqa: A002
    ) -> tuple[QueryAnswer, ...]:
        """Ask the runtime several questions; answers in order, until they have taken long."""
        if len(queries) > MAX_QUERIES:
            raise BadRequest(f"{len(queries)} questions in one message, not {MAX_QUERIES} at most")
        began_ns, size_bytes = self._elapsed_ns(), 0
        context = self._round_context(self._ledger.find(round))
        answers: list[QueryAnswer] = []
        for query in queries:
            answers.append(self._answer(query, context))
            size_bytes += len(answers[-1].output)
            if self._elapsed_ns() - began_ns > TOGETHER_NS or size_bytes > TOGETHER_BYTES:
                break
        return tuple(answers)

    def _answer(self, query: Query, context: RoundContext) -> QueryAnswer:
        """Answer one of several: what it fails with is its own."""
        try:
            return QueryAnswer(self._runtime.query(query.method, query.args, context))
        except QanatError as error:
            return QueryAnswer.failed(error)
        except Exception as bug:  # noqa: BLE001 - the others are answered all the same
            return QueryAnswer.failed(failed_by_a_bug("query", bug))

    def fetch_max_batch_weight(self) -> int:
        """Sum of the weights of one batch, at most."""
        return self._runtime.max_batch_weight

    # -- what is open --------------------------------------------------------------------------

    def close(self) -> None:
        """Close the files, so that another program may open them."""
        if self._opened is not None:
            runtime, ledger = self._opened
            self._opened = None
            ledger.close()
            runtime.close()

    @property
    def _runtime(self) -> Runtime:
        if self._opened is None:
            raise NotInitialized("the enclave has not been shown the chain yet")
        return self._opened[0]

    @property
    def _ledger(self) -> Ledger:
        if self._opened is None:
            raise NotInitialized("the enclave has not been shown the chain yet")
        return self._opened[1]
