"""Key manager enclaves of one network in one process, with their mock CPUs and hosts."""

from dataclasses import replace
from pathlib import Path

from services.keymanager.enclave.program import KeyManagerProgram
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.encoding import cbor
from shared.errors import PeerUnavailable
from shared.tee.attestation import bind_rak
from shared.tee.config import EnclaveConfig
from shared.tee.runtime import EnclaveContext
from shared.tee.session_evidence import PeerPolicy, SessionIdentity
from shared.tee.session_peers import SessionClient
from shared.types.genesis import GenesisValidator
from shared.types.key_requests import decode_key_answer, encode_key_request
from shared.types.registry import (
    Deployment,
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    Version,
)
from tests.support import mock_tee
from tests.support.keymanager import (
    KEY_MANAGER,
    KEY_MANAGER_ID,
    SIGNER_KEYS,
    MemoryFiles,
    make_policy,
    sign_policy,
)
from tests.support.keymanager_chain import CHAIN_ID, ScriptedChain

VERSION = Version(0, 1, 0)


class Enclaves:
    """Starts enclaves on platforms of one network and relays between them."""

    def __init__(
        self, *, policy=None, has_dev_controls: bool = True, shared_seed: bytes | None = None
    ) -> None:
        runtime = RuntimeDescriptor(
            KEY_MANAGER_ID,
            b"o" * 32,
            RuntimeKind.KEY_MANAGER,
            (Deployment(VERSION, 0, mock_tee.constraints(KEY_MANAGER)),),
        )
        self.chain = ScriptedChain(runtime, start_ns=mock_tee.NOW_S * 1_000_000_000)
        self._has_dev_controls, self._shared_seed = has_dev_controls, shared_seed
        self.chain.status = replace(self.chain.status, policy=policy or sign_policy(make_policy()))
        self.running: dict[bytes, KeyManagerProgram] = {}
        self._starts = 0

    def start(self, name: str, files: MemoryFiles, identity=KEY_MANAGER) -> KeyManagerProgram:
        """Start, or restart, the enclave of a node on the node's own platform."""
        self._starts += 1
        config = EnclaveConfig(
            runtime_id=KEY_MANAGER_ID,
            kind=RuntimeKind.KEY_MANAGER,
            version=VERSION,
            chain_id=CHAIN_ID,
            validators=(GenesisValidator(self.chain.signer.public_key, 10),),
            root_ca_hash=sha256(mock_tee.pki().root_ca),
            key_manager=None,
            policy_signers=SIGNER_KEYS,
            policy_threshold=2,
            has_dev_controls=self._has_dev_controls,
        )
        program = KeyManagerProgram(
            EnclaveContext(
                config=config,
                platform=mock_tee.mock_cpu(identity, mock_tee.platform(name)),
                entropy=SeededEntropy(f"chance of start {self._starts}".encode().ljust(32)),
                directory=Path("/nonexistent"),
                host=self,
                shared_seed=self._shared_seed,
            ),
            files,
        )
        self.running[node_id(name)] = program
        return program

    def stop(self, name: str) -> None:
        del self.running[node_id(name)]

    def register(self, name: str) -> None:
        """Register a node as its host would."""
        program = self.running[node_id(name)]
        tee = program.attest(node_id(name))
        self.chain.register(
            NodeDescriptor(
                id=node_id(name),
                entity_id=b"o" * 32,
                expiration=9,
                consensus_key=bytes(32),
                tls_key=bytes(32),
                roles=int(Role.KEY_MANAGER),
                runtimes=(NodeRuntime(KEY_MANAGER_ID, VERSION, tee),),
            )
        )

    def call(self, method: str, body: bytes) -> bytes:
        """Relay between enclaves, as their hosts do. Fulfils `SyncTransport`."""
        assert method == "call_key_manager"
        asked = cbor.decode_loosely(body)
        peer = self.running.get(asked["node_id"])
        if peer is None:
            raise PeerUnavailable("that key manager is down")
        return cbor.encode_loosely(peer.call_session(asked["session_id"], asked["message"]))

    def show_block(self, **options):
        """Make a block and show it to every running enclave; their states."""
        proven = self.chain.block(**options)
        return [program.synchronize(proven) for program in self.running.values()]


def node_id(name: str) -> bytes:
    return name.encode().ljust(32, b"-")


class Asker:
    """An enclave of another service at the other end of a session."""

    def __init__(self, program: KeyManagerProgram, identity, platform=None) -> None:
        signer = mock_tee.rak(f"asker {identity.mr_enclave[:9]!r}"[:32])
        quoted = mock_tee.mock_cpu(identity, platform).quote(
            bind_rak(signer.public_key) + bytes(32)
        )
        policy = PeerPolicy(
            sha256(mock_tee.pki().root_ca),
            mock_tee.constraints().policy,
            mock_tee.NOW_S,
            (KEY_MANAGER,),
        )
        self._client = SessionClient(
            program.call_session,
            lambda: SessionIdentity(signer, quoted),
            lambda: policy,
            SeededEntropy(b"chance of an asker".ljust(32)),
        )

    def ask(self, method: str, **arguments):
        return decode_key_answer(method, self._client.ask(encode_key_request(method, **arguments)))
