"""A chain, a key manager and compute enclaves in one process, driven by hand."""

from pathlib import Path

from services.compute.enclave.dispatcher import ComputeProgram
from services.compute.enclave.protocol import ComputeHostApi
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.encoding.contract import serve_call_now
from shared.encoding.record import decode_record, encode_record
from shared.errors import PeerUnavailable
from shared.rules import state_keys
from shared.tee.config import EnclaveConfig
from shared.tee.runtime import EnclaveContext
from shared.types.block import RoundBlock, RoundChange
from shared.types.evm import Account, AccountQuery, EvmCall, EvmGenesis, EvmQuery
from shared.types.genesis import GenesisValidator
from shared.types.keymanager import EnclavePolicy
from shared.types.registry import (
    Deployment,
    ExecutorParameters,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    SchedulerParameters,
    Version,
)
from tests.support import mock_tee
from tests.support.compute_nodes import RICH, WEI
from tests.support.keymanager import (
    COMPUTE,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    PARATIME_ID,
    SIGNER_KEYS,
    MemoryFiles,
    make_policy,
    sign_policy,
)
from tests.support.keymanager_enclaves import Enclaves
from tests.support.small_chain import CHAIN_ID, SIGNER, SmallChain
from tests.support.world_genesis import node_id_of

VERSION = Version(0, 1, 0)
START_NS = mock_tee.NOW_S * 1_000_000_000
EVM_CHAIN_ID = 0x5AFD
NAMES = ("a", "b", "old", "new", "honest")


def paratime(balances=(), *, confidential=True, **scheduler) -> RuntimeDescriptor:
    genesis = EvmGenesis(
        chain_id=EVM_CHAIN_ID,
        balances=tuple((address, amount.to_bytes(32, "big")) for address, amount in balances),
        confidential=confidential,
    )
    return RuntimeDescriptor(
        PARATIME_ID,
        b"o" * 32,
        RuntimeKind.COMPUTE,
        (Deployment(VERSION, 0, mock_tee.constraints(COMPUTE)),),
        key_manager=KEY_MANAGER_ID,
        executor=ExecutorParameters(),
        scheduler=SchedulerParameters(**scheduler),
        genesis=encode_record(genesis),
    )


def key_manager_runtime(*enclaves) -> RuntimeDescriptor:
    return RuntimeDescriptor(
        KEY_MANAGER_ID,
        b"o" * 32,
        RuntimeKind.KEY_MANAGER,
        (Deployment(VERSION, 0, mock_tee.constraints(*enclaves or (KEY_MANAGER,))),),
    )


def key_manager_policy(key_manager=KEY_MANAGER, compute=COMPUTE, signers=()):
    enclaves = (EnclavePolicy(key_manager, {PARATIME_ID: (compute,)}, ()),)
    return sign_policy(make_policy(enclaves=enclaves), *signers)


class KeyManagerNode:
    """One key manager enclave with secrets for the epochs that tests use."""

    def __init__(self, epochs=(2, 3, 4), identity=KEY_MANAGER) -> None:
        enclaves = self._enclaves = Enclaves(policy=key_manager_policy(identity))
        self.program = enclaves.start("km", MemoryFiles(), identity)
        enclaves.show_block()
        enclaves.register("km")
        enclaves.show_block()
        master = self.program.generate_master_secret()
        enclaves.chain.publish(master)
        enclaves.show_block()
        enclaves.chain.accept_master(master)
        enclaves.show_block()
        self._before = {}
        self._publish(epochs)
        self.is_down = False
        self.calls = 0

    def _publish(self, epochs) -> None:
        enclaves = self._enclaves
        for epoch in epochs:
            self._before[epoch] = enclaves.chain.snapshot()
            enclaves.chain.epoch = epoch
            enclaves.show_block()
            enclaves.chain.publish(self.program.generate_ephemeral_secret(epoch))
            enclaves.show_block()

    def replace_secrets(self, first: int) -> None:
        """Go back to before an epoch, and live it and the later ones once more."""
        self._enclaves.chain.rewind(self._before[first])
        self._publish([epoch for epoch in sorted(self._before) if epoch >= first])

    def call_session(self, session_id: bytes, message: bytes) -> bytes:
        self.calls += 1
        if self.is_down:
            raise PeerUnavailable("the key manager is down")
        return self.program.call_session(session_id, message)


class EnclaveHost:
    """The host as an enclave program calls it."""

    def __init__(self, key_managers) -> None:
        self._key_managers = key_managers

    def call(self, method: str, body):
        return serve_call_now(ComputeHostApi, self._key_managers, method, body)


class DirectKeyManager:
    """`ComputeHostApi` straight to a key manager's enclave."""

    def __init__(self, key_manager: KeyManagerNode) -> None:
        self._key_manager = key_manager

    def call_key_manager(self, session_id: bytes, message: bytes) -> bytes:
        return self._key_manager.call_session(session_id, message)


def make_program(
    name: str,
    host,
    directory: Path | None = None,
    *,
    key_manager=KEY_MANAGER_ID,
    has_dev_controls: bool = True,
) -> ComputeProgram:
    """Start the compute enclave of a node; without a directory it keeps nothing."""
    config = EnclaveConfig(
        runtime_id=PARATIME_ID,
        kind=RuntimeKind.COMPUTE,
        version=VERSION,
        chain_id=CHAIN_ID,
        validators=(GenesisValidator(SIGNER.public_key, 10),),
        root_ca_hash=sha256(mock_tee.pki().root_ca),
        key_manager=key_manager,
        policy_signers=SIGNER_KEYS,
        policy_threshold=2,
        runtime="evm",
        has_dev_controls=has_dev_controls,
    )
    context = EnclaveContext(
        config=config,
        platform=mock_tee.mock_cpu(COMPUTE, mock_tee.platform(name)),
        entropy=SeededEntropy(f"chance of {name}".encode().ljust(32)),
        directory=directory or Path("/nonexistent"),
        host=host,
    )
    return ComputeProgram(context, in_memory=directory is None)


def register_program(chain: SmallChain, name: str, program: ComputeProgram) -> None:
    """Register a node with what its enclave says of itself, as its host would."""
    chain.register(
        NodeDescriptor(
            id=node_id_of(name),
            entity_id=b"o" * 32,
            expiration=9,
            consensus_key=bytes(32),
            tls_key=bytes(32),
            roles=int(Role.COMPUTE),
            runtimes=(NodeRuntime(PARATIME_ID, VERSION, program.attest(node_id_of(name))),),
        )
    )


class Bench:
    """A chain, a key manager, and as many enclaves as a test starts."""

    def __init__(self, *, key_manager=None, descriptor=None, policy=None) -> None:
        self.key_manager = key_manager or KeyManagerNode()
        runtime = paratime(((RICH, 1000 * WEI),))
        self.chain = SmallChain(
            runtime,
            key_manager=descriptor or key_manager_runtime(),
            policy=policy or key_manager_policy(),
            start_ns=START_NS + 60_000_000_000,
        )
        self.keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.INCARNATION,
            state_keys.EPOCH,
            state_keys.runtime_key(runtime.id),
            state_keys.runtime_key(runtime.key_manager),
            state_keys.last_block_key(runtime.id),
            state_keys.key_manager_status_key(runtime.key_manager),
            *(state_keys.node_key(node_id_of(name)) for name in NAMES),
        )

    def program(self, name: str, directory=None, **config):
        host = EnclaveHost(DirectKeyManager(self.key_manager))
        return make_program(name, host, directory, **config)

    def start(self, name: str = "a", directory=None):
        program = self.program(name, directory)
        program.initialize(self.chain.prove(self.keys))
        self.join(name, program)
        return program

    def join(self, name: str, program) -> None:
        """Register an enclave, and prove to it that it is."""
        register_program(self.chain, name, program)
        program.initialize(self.chain.prove(self.keys))

    def finalize(self, executed):
        """Make a result final, and prove it."""
        self.chain.finalize((executed.header.state_root, executed.header.io_root))
        return self.chain.events[-1].proven

    def run(self, program, *batch):
        """Execute a batch and make it final; the round as peers would give it."""
        round_ = self.chain.head.round + 1
        executed = program.execute(round_, batch)
        program.advance(self.finalize(executed))
        block = RoundBlock(
            self.chain.head, tuple(batch[i] for i in executed.included), executed.results
        )
        return RoundChange(block, program.fetch_diff(round_))


def genesis_change(chain) -> RoundChange:
    return RoundChange(RoundBlock(chain.round_headers[0]), b"")


def call(program, round_: int) -> bytes:
    args = encode_record(EvmCall(RICH, bytes(20), 100_000, 0, 0, b""))
    return program.query(EvmQuery.CALL, args, round_)


def account(program, round_: int) -> Account:
    args = encode_record(AccountQuery(RICH))
    return decode_record(Account, program.query(EvmQuery.ACCOUNT, args, round_))
