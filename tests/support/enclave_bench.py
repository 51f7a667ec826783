"""A chain, a key manager and compute enclaves in one process, driven by hand."""

from collections.abc import Callable
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
from shared.types.evm import Account, AccountQuery, EvmCall, EvmQuery
from shared.types.genesis import GenesisValidator
from shared.types.keymanager import EnclavePolicy
from shared.types.registry import (
    Deployment,
    RuntimeDescriptor,
    RuntimeKind,
    Version,
)
from tests.support import mock_tee
from tests.support.chains import CHAIN_ID, SIGNER
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
from tests.support.paratime_chain import FIRST_ROUND, ParatimeChain, chain_genesis
from tests.support.world_genesis import node_id_of

VERSION = Version(0, 1, 0)
NAMES = ("a", "b", "old", "new", "honest")


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
    debug_key: bytes | None = None,
    dev_control_key: bytes | None = None,
    stopwatch_ns: Callable[[], int] | None = None,
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
        debug_key=debug_key,
        dev_control_key=dev_control_key,
    )
    context = EnclaveContext(
        config=config,
        platform=mock_tee.mock_cpu(COMPUTE, mock_tee.platform(name)),
        entropy=SeededEntropy(f"chance of {name}".encode().ljust(32)),
        directory=directory or Path("/nonexistent"),
        host=host,
    )
    return ComputeProgram(context, in_memory=directory is None, stopwatch_ns=stopwatch_ns)


def register_program(chain: ParatimeChain, name: str, program: ComputeProgram) -> None:
    """Register a node with what its enclave says of itself, as its host would."""
    chain.register(name, program.attest(node_id_of(name)))


class Bench:
    """A chain, a key manager, and as many enclaves as a test starts."""

    def __init__(self, *, key_manager=None, descriptor=None, policy=None, keep_rounds=None) -> None:
        self.key_manager = key_manager or KeyManagerNode()
        self.chain = ParatimeChain(
            chain_genesis(
                NAMES,
                ((RICH, 1000 * WEI),),
                key_manager=descriptor,
                policy=policy,
                keep_rounds=keep_rounds,
            )
        )
        self.keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.INCARNATION,
            state_keys.EPOCH,
            state_keys.runtime_key(PARATIME_ID),
            state_keys.runtime_key(KEY_MANAGER_ID),
            state_keys.last_block_key(PARATIME_ID),
            state_keys.key_manager_status_key(KEY_MANAGER_ID),
            *(state_keys.node_key(node_id_of(name)) for name in NAMES),
        )

    def program(self, name: str, directory=None, **config):
        host = EnclaveHost(DirectKeyManager(self.key_manager))
        return make_program(name, host, directory, **config)

    def start(self, name: str = "a", directory=None, **config):
        program = self.program(name, directory, **config)
        self.show_chain(program)
        self.join(name, program)
        return program

    def show_chain(self, program) -> None:
        """Prove the newest block to an enclave, and give it what came before the first round."""
        if program.initialize(self.chain.prove(self.keys)).next_round == 0:
            program.apply(tuple(first_changes(self.chain)))

    def join(self, name: str, program) -> None:
        """Register an enclave, and prove to it that it is."""
        register_program(self.chain, name, program)
        program.initialize(self.chain.prove(self.keys))

    def finalize(self, executed):
        """Make a result final, and prove it."""
        header = executed.header
        self.chain.finalize(header.state_root, header.io_root, executed.messages)
        return self.chain.prove_head()

    def run(self, program, *batch):
        """Execute a batch and make it final; the round as peers would give it."""
        round_ = self.chain.head.round + 1
        executed = program.execute(round_, batch)
        program.advance(encode_record(self.finalize(executed)))
        block = RoundBlock(
            self.chain.head, tuple(batch[i] for i in executed.included), executed.results
        )
        return RoundChange(block, program.fetch_diff(round_))


def first_changes(chain: ParatimeChain) -> list[RoundChange]:
    """The rounds before the first that is executed: genesis, and the committee's."""
    return [RoundChange(RoundBlock(header), b"") for header in chain.round_headers[:FIRST_ROUND]]


def call(program, round_: int) -> bytes:
    args = encode_record(EvmCall(RICH, bytes(20), 100_000, 0, 0, b""))
    return program.query(EvmQuery.CALL, args, round_)


def account(program, round_: int) -> Account:
    args = encode_record(AccountQuery(RICH))
    return decode_record(Account, program.query(EvmQuery.ACCOUNT, args, round_))
