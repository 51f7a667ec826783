"""
A chain with one ParaTime for single enclaves: the real engine and rules, and a scripted committee.

Workers whose keys the chain holds vote for whatever roots a test names, so that roothash finalizes
them. What the enclaves under test say of themselves is registered by real transactions; they are
observers, so that every vote is the script's. One round of the committee comes after genesis: the
first that an enclave executes is `FIRST_ROUND`.
"""

from collections.abc import Iterable
from dataclasses import replace

from services.consensus.application import ConsensusApplication
from services.consensus.engine.chain_state import sign_block
from services.consensus.engine.solo import Limits
from services.consensus.proofs import build_proven_state, prove_items
from shared.crypto.address import staking_address
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.rules import state_keys
from shared.rules.headers import validator_address
from shared.rules.key_policy import policy_checksum
from shared.rules.meta import encode_meta
from shared.types.block import BlockHeader, HeaderType
from shared.types.commitment import (
    COMPUTE_RESULTS_HEADER,
    EXECUTOR_COMMITMENT,
    CommitmentFailure,
    CommitmentHeader,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.genesis import Genesis, GenesisValidator
from shared.types.keymanager import (
    ENCRYPTED_SECRET,
    INIT_RESPONSE,
    EncryptedSecret,
    InitResponse,
    KeyManagerStatus,
    PublishedSecret,
    SignedInitResponse,
    SignedPolicy,
    SignedPublishedSecret,
)
from shared.types.messages import Inbox, hash_messages
from shared.types.methods import AdvanceEpoch, ExecutorCommit, Method
from shared.types.proof import ProvenState
from shared.types.registry import (
    REGISTER_NODE,
    Committee,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    SignedDescriptor,
)
from shared.types.staking import Account
from shared.types.transaction import CONSENSUS_TRANSACTION, Fee, SignedTransaction, Transaction
from tests.support import mock_tee
from tests.support.chains import CHAIN_ID, POWER, SIGNER, SoloChain
from tests.support.keymanager import COMPUTE, KEY_MANAGER, KEY_MANAGER_ID, PARATIME_ID
from tests.support.world_genesis import (
    CONSENSUS,
    VERSION,
    identity_of,
    make_genesis,
    node_id_of,
)

WORKERS = ("worker-0", "worker-1", "worker-2")
MANAGER = "scripted key manager"
FIRST_ROUND = 2
LATER_NS = 60_000_000_000
"""The chain goes on a minute after its genesis: other chains of a test are younger."""
FEE = Fee(1_000_000, 1_000_000)


def chain_genesis(
    names: tuple[str, ...],
    balances=(),
    *,
    confidential: bool = True,
    key_manager: RuntimeDescriptor | None = None,
    policy: SignedPolicy | None = None,
    keep_rounds: int | None = None,
) -> Genesis:
    """Genesis of the faithful world, for the validator of `SoloChain`."""
    document = make_genesis(
        (*WORKERS, MANAGER, *names),
        balances=balances,
        confidential=confidential,
        keep_rounds=keep_rounds,
    )
    runtimes = tuple(
        replace(one, deployments=key_manager.deployments)
        if key_manager is not None and one.id == KEY_MANAGER_ID
        else one
        for one in document.runtimes
    )
    return replace(
        document,
        chain_id=CHAIN_ID,
        validators=(GenesisValidator(SIGNER.public_key, POWER),),
        runtimes=runtimes,
        policies=document.policies if policy is None else (policy,),
    )


class ParatimeChain:
    """One validator, one ParaTime, a committee of three scripted workers."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis, self.context = genesis, genesis.chain_context()
        limits = Limits(genesis.consensus.max_tx_bytes, genesis.consensus.max_block_bytes)
        self._solo = SoloChain(
            application=ConsensusApplication,
            document=encode_record(genesis),
            time_ns=genesis.time_ns,
            limits=limits,
        ).started()
        self._solo.clock.advance(LATER_NS)
        self._forged: dict[bytes, object] = {}
        for name in WORKERS:
            self._submit_registration(name, Role.COMPUTE, self._worker_runtime(name))
        self._submit_registration(MANAGER, Role.KEY_MANAGER, self._manager_runtime())
        self.make_block()
        self._publish_secret()
        assert self.head.round == FIRST_ROUND - 1

    # -- reading -----------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        return self._solo.engine.chain.height

    @property
    def head(self) -> BlockHeader:
        return self._load(BlockHeader, state_keys.last_block_key(PARATIME_ID))

    @property
    def round_headers(self) -> list[BlockHeader]:
        """Every block of the ParaTime, oldest first."""
        return list(self._solo.store.rounds.load_headers(PARATIME_ID, 0, self.head.round + 1))

    @property
    def epoch(self) -> int:
        return self._solo.store.load_events(self.height).epoch

    def prove(self, keys: Iterable[bytes]) -> ProvenState:
        """Prove values of the newest state, or of what is forged upon it."""
        if self._forged:
            return self._forge_block(tuple(keys))
        return self._solo.store.load_proven_state(tuple(keys))

    def prove_at(self, height: int, keys: Iterable[bytes]) -> ProvenState:
        """Prove values of the state after a height."""
        return self._solo.store.load_proven_state(tuple(keys), height)

    def height_of(self, round_: int) -> int:
        """Block that made a round final."""
        height = self._solo.store.rounds.load_height(PARATIME_ID, round_)
        assert height is not None
        return height

    def prove_head(self) -> ProvenState:
        """Prove the newest round and nothing else, as news of a block does."""
        return self.prove((state_keys.last_block_key(PARATIME_ID),))

    def _load(self, kind, key: bytes):
        value = self._solo.store.load_tree().get(key)
        assert value is not None
        return decode_record(kind, value)

    # -- what tests do -----------------------------------------------------------------------------

    def register(self, name: str, capability) -> None:
        """Register a node with what its enclave says of itself, as its host would."""
        runtime = NodeRuntime(PARATIME_ID, VERSION, capability)
        self._submit_registration(name, Role.OBSERVER, runtime)
        self.make_block()

    def finalize(self, state_root: bytes, io_root: bytes, messages: tuple[bytes, ...] = ()) -> None:
        """Have the committee agree on a round with these roots and messages."""
        round_, asked = self.head.round + 1, hash_messages(messages)
        results = ComputeResultsHeader(round_, self.head.hash(), io_root, state_root, asked)
        self._vote(results, messages=messages)
        assert (self.head.round, self.head.state_root) == (round_, state_root)

    def fail_round(self) -> None:
        """Have all but the scheduler say that they have no result: there is no majority."""
        round_ = self.head.round + 1
        results = ComputeResultsHeader(round_, self.head.hash(), b"i" * 32, b"s" * 32)
        self._vote(results, fails=True)
        assert self.head.header_type is HeaderType.ROUND_FAILED
        assert self.head.round == round_

    def begin_epoch(self) -> None:
        epoch, control = self.epoch, identity_of(CONSENSUS).dev_control
        assert control is not None
        self._submit(control, Method.ADVANCE_EPOCH, AdvanceEpoch())
        self.make_block()
        assert self.epoch == epoch + 1
        self._publish_secret()

    def rewind(self, height: int) -> None:
        """Go back to a height, as the loop of `solo` does: the first block begins another life."""
        self._solo.store.rollback(height)
        self._solo.engine = self._solo.new_engine()
        self._solo.engine.start()
        self.make_block()

    def make_block(self) -> None:
        decision = self._solo.engine.make_block()
        results = self._solo.store.load_result(decision.block.height).tx_results
        assert all(result.code == 0 for result in results), [one.log for one in results]
        assert len(self._solo.engine.pool) == 0

    # -- faults ------------------------------------------------------------------------------------

    def forge_policy(self, policy: SignedPolicy | None) -> None:
        """From now on the validator signs states with a policy that the rules would not take."""
        self.make_block()  # a height shows one state
        key = state_keys.key_manager_status_key(KEY_MANAGER_ID)
        self._forged = {key: replace(self._load(KeyManagerStatus, key), policy=policy)}

    def _forge_block(self, keys: tuple[bytes, ...]) -> ProvenState:
        """Sign the next height over a state that no rule made; it is not kept."""
        store, chain = self._solo.store, self._solo.engine.chain
        changes = {key: encode_record(record) for key, record in self._forged.items()}
        tree = store.load_tree().with_changes(changes)
        transactions = (encode_meta(tree.root, store.incarnation),)
        proposer = validator_address(SIGNER.public_key)
        header = chain.build_header(chain.time_ns + 1_000_000, transactions, (), proposer)
        assert chain.last is not None
        block = sign_block(SIGNER, header, chain.validators, transactions, (), chain.last.commit)
        return build_proven_state(block, transactions, prove_items(tree, keys))

    # -- the script --------------------------------------------------------------------------------

    def inbox(self) -> Inbox:
        """What consensus hands to the open round."""
        return self._load(Inbox, state_keys.inbox_key(PARATIME_ID)) or Inbox()

    def _vote(
        self,
        results: ComputeResultsHeader,
        *,
        fails: bool = False,
        messages: tuple[bytes, ...] = (),
    ) -> None:
        committee = self._load(Committee, state_keys.committee_key(PARATIME_ID))
        scheduler = next(
            node
            for node in committee.workers()
            if committee.scheduler_rank(results.round, node) == 0
        )
        for name in sorted(WORKERS, key=lambda one: node_id_of(one) != scheduler):
            has_result = not fails or node_id_of(name) == scheduler
            commitment = self._commitment(name, scheduler, results if has_result else None)
            if messages and node_id_of(name) == scheduler:
                commitment = replace(commitment, messages=messages)
            body = ExecutorCommit(PARATIME_ID, (commitment,))
            self._submit(identity_of(name).node, Method.EXECUTOR_COMMIT, body)
        self.make_block()

    def _commitment(
        self, name: str, scheduler: bytes, results: ComputeResultsHeader | None
    ) -> ExecutorCommitment:
        round_, node = self.head.round + 1, identity_of(name).node
        separated = self.context, PARATIME_ID, self._solo.store.incarnation
        if results is None:
            header = CommitmentHeader(scheduler, None, CommitmentFailure.UNKNOWN)
        else:
            word = mock_tee.rak(name).sign(
                COMPUTE_RESULTS_HEADER.for_runtime(*separated), encode_record(results)
            )
            header = CommitmentHeader(scheduler, results, CommitmentFailure.NONE, word)
        signature = node.sign(EXECUTOR_COMMITMENT.for_runtime(*separated), encode_record(header))
        return ExecutorCommitment(node.public_key, header, signature, round_)

    def _worker_runtime(self, name: str) -> NodeRuntime:
        return NodeRuntime(PARATIME_ID, VERSION, self._attested(name, COMPUTE))

    def _manager_runtime(self) -> NodeRuntime:
        said = InitResponse(False, b"", policy_checksum(self.genesis.policies[0]))
        context = INIT_RESPONSE.for_chain(self.context)
        signed = SignedInitResponse(said, mock_tee.rak(MANAGER).sign(context, encode_record(said)))
        capability = self._attested(MANAGER, KEY_MANAGER)
        return NodeRuntime(KEY_MANAGER_ID, VERSION, capability, encode_record(signed))

    def _attested(self, name: str, enclave):
        return mock_tee.attested(
            of=mock_tee.platform(name),
            identity=enclave,
            node_id=identity_of(name).node.public_key,
            height=self.height,
            signer=mock_tee.rak(name),
        )

    def _publish_secret(self) -> None:
        """Have an ephemeral secret stand in the state; its content is for key managers alone."""
        sealed = EncryptedSecret(bytes(32), bytes(32), {mock_tee.REK: b"for nobody"})
        secret = PublishedSecret(KEY_MANAGER_ID, self.epoch, sealed)
        context = ENCRYPTED_SECRET.for_chain(self.context)
        signed = SignedPublishedSecret(
            secret, mock_tee.rak(MANAGER).sign(context, encode_record(secret))
        )
        self._submit(identity_of(MANAGER).node, Method.PUBLISH_EPHEMERAL_SECRET, signed)
        self.make_block()

    def _submit_registration(self, name: str, role: Role, served: NodeRuntime) -> None:
        keys = identity_of(name)
        assert keys.consensus is not None
        descriptor = NodeDescriptor(
            keys.node.public_key,
            keys.entity.public_key,
            self.genesis.beacon.base_epoch + 2 if self.height == 0 else self.epoch + 2,
            keys.consensus.public_key,
            keys.tls.public_key,
            int(role),
            (f"{name}:1",),
            (served,),
        )
        raw = encode_record(descriptor)
        context = REGISTER_NODE.for_chain(self.context)
        signers = (keys.node, keys.consensus, keys.tls)
        signed = SignedDescriptor(raw, tuple(one.endorse(context, raw) for one in signers))
        self._submit(keys.node, Method.REGISTER_NODE, signed)

    def _submit(self, by: Signer, method: str, body: object) -> None:
        value = self._solo.store.load_tree().get(
            state_keys.account_key(staking_address(by.public_key))
        )
        nonce = 0 if value is None else decode_record(Account, value).nonce
        raw = encode_record(Transaction(nonce, method, encode_record(body), FEE))
        context = CONSENSUS_TRANSACTION.for_chain(self.context)
        self._solo.engine.submit(encode_record(SignedTransaction(raw, by.endorse(context, raw))))
