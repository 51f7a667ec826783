"""A small network for tests of consensus: genesis, keys, and an application without engine."""

from dataclasses import dataclass, replace

from services.consensus.abci import Block, ValidatorPower
from services.consensus.abci import Genesis as EngineGenesis
from services.consensus.application import ConsensusApplication
from services.consensus.engine.solo_loop import WRITTEN_TOGETHER
from services.consensus.rules.staking.ledger import measure_supply
from services.consensus.rules.state import CommittedState, State
from services.consensus.store import Store
from shared.crypto.address import staking_address
from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.headers import validator_address
from shared.rules.key_policy import policy_checksum
from shared.types.attestation import (
    Attestation,
    CapabilityTee,
    Collateral,
    CollateralEdition,
    EnclaveIdentity,
    TeeConstraints,
)
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader
from shared.types.commitment import (
    COMPUTE_RESULTS_HEADER,
    EXECUTOR_COMMITMENT,
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    RegistryParameters,
    RoothashParameters,
    StakingParameters,
)
from shared.types.keymanager import (
    INIT_RESPONSE,
    POLICY,
    EnclavePolicy,
    InitResponse,
    KeyManagerStatus,
    Policy,
    SignedInitResponse,
    SignedPolicy,
)
from shared.types.methods import ExecutorCommit, Method
from shared.types.registry import (
    REGISTER_NODE,
    Committee,
    Deployment,
    Entity,
    ExecutorParameters,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    SignedDescriptor,
    Version,
)
from shared.types.staking import Account, Supply
from shared.types.transaction import CONSENSUS_TRANSACTION, SignedTransaction, Transaction

PARATIME = b"\x80" + bytes(30) + b"\x01"
KEY_MANAGER = b"\xc0" + bytes(30) + b"\x02"
VERSION = Version(0, 1, 0)
ENCLAVE = EnclaveIdentity(b"a" * 32, b"s" * 32)
GENESIS_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
EPOCH_MS = 30_000
BASE_EPOCH = 2
BALANCE, STAKE = 10_000, 1_000
THRESHOLDS = {
    "entity": 100,
    "node-compute": 100,
    "node-keymanager": 100,
    "runtime-compute": 50,
    "runtime-keymanager": 50,
}
SLASHING = {"consensus-equivocation": 70}
RUNTIME_SLASHING = {
    "runtime-incorrect-results": 50,
    "runtime-equivocation": 40,
    "runtime-liveness": 30,
}
ATTEMPTS = 40
NO_COLLATERAL = Collateral("", b"", b"", "", "", b"", "", "", b"")


class BadQuote(Rejected, module="tests", code=90):
    """What the tests' verifier refuses."""


class ScriptedVerifier:
    """Accepts every attestation but those of refused RAKs, and checks the height alone."""

    def __init__(self) -> None:
        self.refused: set[bytes] = set()
        self.asked = 0
        self.edition = CollateralEdition("SGX 00", 1, 1, 17, 17)

    def __call__(
        self, capability, *, node_id, constraints, root_ca, now_s, min_height, max_height
    ) -> None:
        self.asked += 1
        assert constraints.enclaves == (ENCLAVE,)
        if capability.rak in self.refused:
            raise BadQuote("refused by the test")
        if not min_height <= capability.attestation.height <= max_height:
            raise BadQuote("too old, or from the future")
        return self.edition


def signer(name: str) -> Signer:
    return Signer(sha512_256(name.encode()))


@dataclass(frozen=True)
class Keys:
    """All keys of one node and its entity."""

    name: str
    node: Signer
    consensus: Signer
    tls: Signer
    entity: Signer
    rak: Signer

    @property
    def id(self) -> bytes:
        return self.node.public_key

    @property
    def address(self) -> bytes:
        """Of the entity, which holds the stake."""
        return staking_address(self.entity.public_key)


def keys_of(name: str) -> Keys:
    return Keys(
        name, *(signer(f"{name} {use}") for use in ("node", "consensus", "tls", "entity", "rak"))
    )


COMPUTE = tuple(keys_of(f"compute-{index}") for index in range(4))
MANAGERS = tuple(keys_of(f"keymanager-{index}") for index in range(3))
OWNER = keys_of("consensus-0")
CONTROL = signer("dev control")
POLICY_SIGNERS = tuple(signer(f"policy {index}") for index in range(2))


def make_policy(serial: int = 1, rotation: int = 0, *, by=POLICY_SIGNERS) -> SignedPolicy:
    policy = Policy(
        serial,
        KEY_MANAGER,
        (EnclavePolicy(ENCLAVE, {PARATIME: (ENCLAVE,)}),),
        master_secret_rotation_interval=rotation,
    )
    raw = encode_record(policy)
    return SignedPolicy(raw, tuple(one.endorse(POLICY.anywhere(), raw) for one in by))


def make_genesis(
    *, executor: ExecutorParameters | None = None, policy: SignedPolicy | None = None, **changes
) -> Genesis:
    everybody = (*COMPUTE, *MANAGERS, OWNER)
    deployments = (Deployment(VERSION, 0, TeeConstraints((ENCLAVE,))),)
    runtime_changes = changes.pop("paratime", {})
    genesis = Genesis(
        chain_id="qanat-test",
        time_ns=GENESIS_NS,
        validators=(GenesisValidator(OWNER.consensus.public_key, 10),),
        consensus=ConsensusParameters(),
        beacon=BeaconParameters(EPOCH_MS, BASE_EPOCH),
        staking=StakingParameters(THRESHOLDS, SLASHING),
        registry=RegistryParameters(),
        accounts=tuple(GenesisAccount(one.address, BALANCE, STAKE) for one in everybody),
        entities=tuple(Entity(one.entity.public_key, (one.id,)) for one in everybody),
        runtimes=(
            replace(
                RuntimeDescriptor(
                    PARATIME,
                    OWNER.entity.public_key,
                    RuntimeKind.COMPUTE,
                    deployments,
                    KEY_MANAGER,
                    executor=executor or ExecutorParameters(),
                    slashing=RUNTIME_SLASHING,
                    reward_bad_results_percent=20,
                    reward_equivocation_percent=50,
                    genesis=b"genesis of the runtime",
                ),
                **runtime_changes,
            ),
            RuntimeDescriptor(
                KEY_MANAGER,
                OWNER.entity.public_key,
                RuntimeKind.KEY_MANAGER,
                deployments,
                policy_signers=tuple(one.public_key for one in POLICY_SIGNERS),
                policy_threshold=len(POLICY_SIGNERS),
            ),
        ),
        policies=(policy or make_policy(),),
        dev_control_key=CONTROL.public_key,
        roothash=RoothashParameters(max_evidence_age_rounds=5, max_past_roots_stored=3),
    )
    return replace(genesis, **changes)


class World:
    """An application, and keys that drive it. Time moves by a millisecond with every block."""

    def __init__(self, genesis: Genesis | None = None, store: Store | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.chain_context = self.genesis.chain_context()
        self.store = store or Store(may_wait=2 * WRITTEN_TOGETHER)
        self.verifier = ScriptedVerifier()
        self.app = ConsensusApplication(self.store, self.verifier)
        self.height = self.genesis.initial_height - 1
        self.time_ns = self.genesis.time_ns
        self._used: dict[bytes, int] = {}
        self.init_result = self.app.init_chain(self.engine_genesis())
        self.block()

    def engine_genesis(self) -> EngineGenesis:
        g = self.genesis
        validators = tuple(ValidatorPower(v.public_key, v.power) for v in g.validators)
        return EngineGenesis(g.chain_id, g.time_ns, g.initial_height, validators, encode_record(g))

    def rewind(self, height: int) -> None:
        """Go back to a height: the next block begins another life of the chain."""
        self.store.rollback(height)
        self.app = ConsensusApplication(self.store, self.verifier)
        self.height = height
        self.block()

    # -- reading ---------------------------------------------------------------------------------

    @property
    def incarnation(self) -> int:
        return self.store.incarnation

    @property
    def state(self) -> State:
        return State(CommittedState(self.store.load_tree()))

    def load(self, kind, key):
        return self.state.load(kind, key)

    def account(self, who: Keys | bytes) -> Account:
        address = who.address if isinstance(who, Keys) else who
        return self.load(Account, state_keys.account_key(address)) or Account()

    @property
    def epoch(self) -> int:
        return self.load(EpochState, state_keys.EPOCH).epoch

    @property
    def committee(self) -> Committee | None:
        return self.load(Committee, state_keys.committee_key(PARATIME))

    @property
    def last(self) -> BlockHeader:
        return self.load(BlockHeader, state_keys.last_block_key(PARATIME))

    @property
    def key_manager(self) -> KeyManagerStatus:
        return self.load(KeyManagerStatus, state_keys.key_manager_status_key(KEY_MANAGER))

    @property
    def events(self):
        return self.store.load_events(self.height)

    def scheduler(self, rank: int = 0) -> Keys:
        round_ = self.last.round + 1
        return next(k for k in COMPUTE if self.committee.scheduler_rank(round_, k.id) == rank)

    def workers(self) -> list[Keys]:
        return [k for node in self.committee.workers() for k in COMPUTE if k.id == node]

    def backups(self) -> list[Keys]:
        return [k for node in self.committee.backups() for k in COMPUTE if k.id == node]

    # -- transactions ----------------------------------------------------------------------------

    def tx(
        self, by: Signer, method: str, body: object, *, nonce=None, fee=None, chain=None
    ) -> bytes:
        if nonce is None:
            nonce = self._used.get(by.public_key)
            if nonce is None:
                nonce = self.account(staking_address(by.public_key)).nonce
            self._used[by.public_key] = nonce + 1
        raw_body = body if isinstance(body, bytes) else encode_record(body)
        raw = encode_record(Transaction(nonce, method, raw_body, fee))
        context = CONSENSUS_TRANSACTION.for_chain(chain or self.chain_context)
        return encode_record(SignedTransaction(raw, by.endorse(context, raw)))

    def block(self, *txs: bytes, seconds: float = 0.001, misbehavior=()) -> tuple:
        """Prepare, process, finalize and commit a block; results without the last one."""
        self.height += 1
        self.time_ns += int(seconds * SECOND)
        proposer = validator_address(OWNER.consensus.public_key)
        block = Block(self.height, self.time_ns, txs, proposer, misbehavior=tuple(misbehavior))
        chosen = tuple(self.app.prepare_proposal(block, 1_000_000))
        decided = replace(block, txs=chosen)
        assert self.app.process_proposal(decided)
        result = self.app.finalize_block(decided)
        self.app.commit()
        self._used.clear()
        self.check_supply()
        return result.tx_results[:-1]

    def run(self, by: Signer, method: str, body: object, **options):
        """Execute one transaction in a block of its own; its result."""
        (result,) = self.block(self.tx(by, method, body, **options))
        return result

    def must(self, by: Signer, method: str, body: object, **options) -> None:
        result = self.run(by, method, body, **options)
        assert result.code == 0, result.log

    def check_supply(self) -> None:
        state = self.state
        assert measure_supply(state) == state.load(Supply, state_keys.SUPPLY).total

    # -- nodes -----------------------------------------------------------------------------------

    def capability(self, keys: Keys, height: int | None = None) -> CapabilityTee:
        at = max(self.height, 1) if height is None else height
        rek = sha512_256(b"rek" + keys.rak.public_key)
        return CapabilityTee(
            keys.rak.public_key, rek, Attestation(b"quote", NO_COLLATERAL, at, bytes(64))
        )

    def descriptor(self, keys: Keys, **changes) -> NodeDescriptor:
        is_manager = keys.name.startswith("keymanager")
        runtime = NodeRuntime(
            KEY_MANAGER if is_manager else PARATIME, VERSION, self.capability(keys)
        )
        if is_manager:
            runtime = replace(runtime, extra_info=encode_record(self.init_response(keys)))
        descriptor = NodeDescriptor(
            keys.id,
            keys.entity.public_key,
            self.epoch + 1,
            keys.consensus.public_key,
            keys.tls.public_key,
            int(Role.KEY_MANAGER if is_manager else Role.COMPUTE),
            ("127.0.0.1:1",),
            (runtime,),
        )
        return replace(descriptor, **changes)

    def init_response(self, keys: Keys, response: InitResponse | None = None) -> SignedInitResponse:
        policy = self.genesis.policies[0]
        response = response or InitResponse(False, b"", policy_checksum(policy))
        context = INIT_RESPONSE.for_chain(self.chain_context)
        return SignedInitResponse(response, keys.rak.sign(context, encode_record(response)))

    def signed(self, keys: Keys, descriptor: NodeDescriptor, *, chain=None) -> SignedDescriptor:
        raw = encode_record(descriptor)
        context = REGISTER_NODE.for_chain(chain or self.chain_context)
        signers = (keys.node, keys.consensus, keys.tls)
        return SignedDescriptor(raw, tuple(one.endorse(context, raw) for one in signers))

    def registration(self, keys: Keys, **changes) -> bytes:
        body = self.signed(keys, self.descriptor(keys, **changes))
        return self.tx(keys.node, Method.REGISTER_NODE, body)

    def register(self, *everybody: Keys) -> None:
        results = self.block(*(self.registration(keys) for keys in everybody))
        assert len(results) == len(everybody)
        assert all(result.code == 0 for result in results), [r.log for r in results]

    def next_epoch(self, *renewing: Keys) -> None:
        self.must(CONTROL, Method.ADVANCE_EPOCH, b"\xa0")
        if renewing:
            self.register(*renewing)

    @classmethod
    def running(cls, genesis: Genesis | None = None) -> "World":
        """
        A world with all four compute nodes in an epoch of their own.

        Where the committee may leave a node out, some backup worker is no worker: lots hang on the
        whole genesis, so names of the chain are tried until they fall like that.
        """
        document = genesis or make_genesis()
        for attempt in range(ATTEMPTS):
            world = cls(replace(document, chain_id=f"{document.chain_id}-{attempt}"))
            world.register(*COMPUTE)
            world.next_epoch(*COMPUTE)
            assert world.committee is not None
            workers = world.committee.workers()
            if len(workers) == len(COMPUTE) or not set(world.committee.backups()) <= set(workers):
                return world
        raise AssertionError(f"no such committee in {ATTEMPTS} attempts")

    # -- rounds ----------------------------------------------------------------------------------

    def results(self, root: bytes = b"r" * 32, **changes) -> ComputeResultsHeader:
        last = self.last
        results = ComputeResultsHeader(last.round + 1, last.hash(), b"i" * 32, root)
        return replace(results, **changes)

    def commitment(
        self,
        keys: Keys,
        root: bytes = b"r" * 32,
        *,
        scheduler: Keys | None = None,
        failure: CommitmentFailure = CommitmentFailure.NONE,
        chain: str | None = None,
        runtime_id: bytes = PARATIME,
        rak: Signer | None = None,
        messages: tuple[bytes, ...] | None = None,
        **changes,
    ) -> ExecutorCommitment:
        scheduler = scheduler or self.scheduler()
        round_ = self.last.round + 1
        if failure is CommitmentFailure.NONE:
            results = self.results(root, **changes)
            word = (rak or keys.rak).sign(
                COMPUTE_RESULTS_HEADER.for_runtime(
                    chain or self.chain_context, runtime_id, self.incarnation
                ),
                encode_record(results),
            )
            header = CommitmentHeader(scheduler.id, results, failure, word)
            round_ = results.round
        else:
            header = CommitmentHeader(scheduler.id, None, failure)
        context = EXECUTOR_COMMITMENT.for_runtime(
            chain or self.chain_context, runtime_id, self.incarnation
        )
        signature = keys.node.sign(context, encode_record(header))
        return ExecutorCommitment(keys.id, header, signature, round_, messages)

    def commit(self, keys: Keys, root: bytes = b"r" * 32, **options) -> bytes:
        """A transaction with one commitment, sent by the node itself."""
        body = ExecutorCommit(PARATIME, (self.commitment(keys, root, **options),))
        return self.tx(keys.node, Method.EXECUTOR_COMMIT, body)

    def vote(self, *votes: tuple[Keys, bytes], seconds: float = 0.001) -> None:
        """Put votes on the proposal of rank 0 into one block; all must be accepted."""
        results = self.block(*(self.commit(k, root) for k, root in votes), seconds=seconds)
        assert all(result.code == 0 for result in results), [r.log for r in results]

    def agree(self, root: bytes = b"r" * 32, **options) -> None:
        """Finalize a round by the votes of all workers."""
        round_ = self.last.round
        results = self.block(*(self.commit(keys, root, **options) for keys in self.workers()))
        assert all(result.code == 0 for result in results), [r.log for r in results]
        assert self.last.round == round_ + 1
