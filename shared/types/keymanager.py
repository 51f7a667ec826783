"""Records of the key manager. Source: oasis-core go/keymanager/secrets @ f9f1fdc."""

from dataclasses import dataclass
from typing import Annotated

from shared.crypto.signing import Signature, register_context
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes32
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import Epoch, Hash, NodeId, PublicKey, RawSignature, RuntimeId

POLICY = register_context("qanat/keymanager: policy")
INIT_RESPONSE = register_context("qanat/keymanager: init response")
ENCRYPTED_SECRET = register_context("qanat/keymanager: encrypted secret")

Checksum = Annotated[bytes, AtMost(32)]
Identities = Annotated[tuple[EnclaveIdentity, ...], AtMost(64)]


@dataclass(frozen=True, slots=True)
class EnclavePolicy:
    """What one key-manager enclave may do, and for whom."""

    enclave: EnclaveIdentity
    may_query: Annotated[dict[Bytes32, Identities], AtMost(256)]
    """By runtime id: the enclaves that get that runtime's private keys."""
    may_replicate: Identities = ()
    """Other key-manager enclaves that get the secrets themselves."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who gets which keys."""

    serial: int
    id: RuntimeId
    """The key manager's runtime id."""
    enclaves: Annotated[tuple[EnclavePolicy, ...], AtMost(64)]
    master_secret_rotation_interval: int = 0
    """[epochs]; 0 never rotates."""
    max_ephemeral_secret_age: int = 10
    """[epochs]"""


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """
    An encoded `Policy` with its signers' signatures, context `POLICY.anywhere()`.

    Not bound to the chain, as upstream: genesis carries a policy, and the chain context is the hash
    of genesis. The body names the key manager, and the signers are pinned in the enclave.
    """

    untrusted_raw_value: bytes
    signatures: Annotated[tuple[Signature, ...], AtMost(16)]


@dataclass(frozen=True, slots=True)
class InitResponse:
    """What a key-manager enclave says of itself after initialization."""

    is_secure: bool
    """False: this is a mock."""
    checksum: Checksum
    """Checksum of the newest master secret, 32 bytes, or empty when there is none."""
    policy_checksum: Hash
    rsk: PublicKey | None = None
    """Runtime signing key: the public half of the key that signs released public keys."""
    next_checksum: Checksum = b""
    """Checksum of a proposed master secret that this enclave has stored, or empty."""
    next_rsk: PublicKey | None = None
    ephemeral_epochs: Annotated[tuple[Epoch, ...], AtMost(1_024)] = ()
    """Epochs whose ephemeral secrets this enclave holds."""


@dataclass(frozen=True, slots=True)
class SignedInitResponse:
    """`InitResponse` under the RAK."""

    response: InitResponse
    signature: RawSignature


@dataclass(frozen=True, slots=True)
class KeyManagerStatus:
    """Consensus state of one key manager."""

    id: RuntimeId
    is_initialized: bool = False
    is_secure: bool = False
    generation: int = 0
    rotation_epoch: Epoch | None = None
    checksum: bytes = b""
    nodes: tuple[NodeId, ...] = ()
    """The committee of this epoch."""
    policy: SignedPolicy | None = None
    rsk: PublicKey | None = None
    open_epochs: tuple[Epoch, ...] = ()
    """
    Earlier epochs whose ephemeral secrets some member held when this epoch began.

    What was encrypted to another epoch cannot be opened by anybody, and that is the same for all
    who ask; a member that lacks an open epoch's secret gets it from another one.
    """


@dataclass(frozen=True, slots=True)
class EncryptedSecret:
    """A secret for the committee: one ciphertext for each member's REK."""

    checksum: Hash
    pub_key: PublicKey
    """Ephemeral X25519 key of the sender."""
    ciphertexts: Annotated[dict[Bytes32, Annotated[bytes, AtMost(256)]], AtMost(64)]
    """By REK."""


@dataclass(frozen=True, slots=True)
class PublishedSecret:
    """A master or ephemeral secret on its way through consensus."""

    runtime_id: RuntimeId
    epoch: Epoch
    """Epoch for which it is meant."""
    secret: EncryptedSecret
    generation: int | None = None
    """Of a master secret; None marks an ephemeral one."""


@dataclass(frozen=True, slots=True)
class SignedPublishedSecret:
    """`PublishedSecret` under the RAK of the enclave that made it."""

    secret: PublishedSecret
    signature: RawSignature


@dataclass(frozen=True, slots=True)
class SignedPublicKey:
    """A public key that the key manager vouches for."""

    key: PublicKey
    checksum: Hash
    signature: RawSignature
    """By the RSK over key ‖ checksum ‖ runtime id ‖ pair id ‖ epoch ‖ expiration."""
    expiration: Epoch | None = None
    """None for long-term keys."""
