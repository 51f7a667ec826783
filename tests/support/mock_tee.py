"""A mock network's hardware for tests: one PKI, platforms, enclaves with a CPU at hand."""

import functools
import shutil
from pathlib import Path

from qanat import cpu
from qanat.cpu.platform_server import PlatformServer
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.tee.attestation import bind_rak, make_attestation
from shared.tee.config import EnclaveConfig
from shared.tee.session_evidence import PeerPolicy, SessionIdentity
from shared.types.attestation import EnclaveIdentity, QuotePolicy, TeeConstraints
from shared.types.genesis import GenesisValidator
from shared.types.proof import BlockId, Commit, Header, LightBlock, MetaProof, ProvenState
from shared.types.registry import RuntimeKind, Version

NOW_S = 1_750_000_000
NODE_ID = b"n" * 32
REK = b"e" * 32
ENCLAVE = EnclaveIdentity(b"a" * 32, b"s" * 32)
OTHER_ENCLAVE = EnclaveIdentity(b"b" * 32, b"s" * 32)
TOY = Path(__file__).parent / "toy_enclave"


def entropy(name: str = "tests") -> SeededEntropy:
    return SeededEntropy(name.encode().ljust(32, b"."))


@functools.cache
def pki(name: str = "network") -> cpu.NetworkPki:
    return cpu.create_network_pki(entropy(name), NOW_S * 1_000_000_000)


@functools.cache
def platform(name: str = "node-0", network: str = "network") -> cpu.PlatformFile:
    return pki(network).create_platform(name)


def mock_cpu(identity=ENCLAVE, of=None) -> PlatformServer:
    return PlatformServer(of or platform(), identity, b"")


def rak(name: str = "rak") -> Signer:
    return Signer(name.encode().ljust(32, b"."))


def attested(*, of=None, identity=ENCLAVE, node_id=NODE_ID, height=5, signer=None, rek=REK):
    return make_attestation(
        mock_cpu(identity, of),
        entropy(),
        rak=signer or rak(),
        rek=rek,
        node_id=node_id,
        height=height,
    )


def constraints(*enclaves, **policy) -> TeeConstraints:
    policy = {"tcb_validity_days": cpu.TCB_VALIDITY_DAYS} | policy
    return TeeConstraints(enclaves or (ENCLAVE,), QuotePolicy(**policy))


def session_identity(name="initiator", identity=ENCLAVE, of=None) -> SessionIdentity:
    signer = rak(name)
    quoted = mock_cpu(identity, of).quote(bind_rak(signer.public_key) + bytes(32))
    return SessionIdentity(signer, quoted)


def peer_policy(*enclaves, now_s=NOW_S, network="network") -> PeerPolicy:
    return PeerPolicy(
        sha256(pki(network).root_ca), constraints().policy, now_s, tuple(enclaves) or None
    )


def enclave_config(**fields) -> EnclaveConfig:
    values = {
        "runtime_id": bytes([0x80]) + bytes(31),
        "kind": RuntimeKind.COMPUTE,
        "version": Version(0, 1, 0),
        "chain_id": "tests",
        "validators": (GenesisValidator(b"v" * 32, 1),),
        "root_ca_hash": bytes(32),
        "key_manager": None,
        "policy_signers": (),
        "policy_threshold": 0,
    }
    return EnclaveConfig(**(values | fields))


def lay_out_toy(root: Path) -> Path:
    """Make a directory of code with the toy's enclave in it; its `shared` is the real one."""
    service = root / "services" / "toy"
    service.mkdir(parents=True)
    (root / "services" / "__init__.py").touch()
    (service / "__init__.py").touch()
    shutil.copytree(TOY, service / "enclave", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "shared").symlink_to(cpu.code_root() / "shared")
    return root


def save_config(path: Path, **fields) -> Path:
    path.write_bytes(encode_record(enclave_config(**fields)))
    return path


def proven(items: dict[bytes, bytes | None], *, height=5, time_ns=NOW_S * 1_000_000_000):
    """State that only a light client which believes everything believes."""
    empty = BlockId(b"")
    header = Header(
        11, 1, "tests", height, time_ns, empty, b"", b"", bytes(32), bytes(32), bytes(32),
        b"", b"", b"", bytes(20),
    )  # fmt: skip
    block = LightBlock(header, Commit(height, 0, empty, ()), ())
    return ProvenState(block, MetaProof(b"", 1, ()), tuple(items.items()), b"")
