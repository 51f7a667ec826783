"""
The messages between the key manager's host and its enclave: all that crosses the trust boundary.

Nothing here carries a secret in the clear. Private keys and secrets leave the enclave only inside
`call_session`, encrypted for an enclave that the policy names.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.encoding.record import Bytes32
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.identity import Epoch, Height, Incarnation, NodeId, PublicKey, RuntimeId
from shared.types.keymanager import SignedInitResponse, SignedPublicKey, SignedPublishedSecret
from shared.types.proof import ProvenState
from shared.types.registry import Version


@dataclass(frozen=True, slots=True)
class EnclaveDescription:
    """Which enclave this is."""

    runtime_id: RuntimeId
    version: Version
    identity: EnclaveIdentity
    rak: PublicKey
    family: str
    """Platform family, whose collateral's floor in consensus the enclave wants proven."""


@dataclass(frozen=True, slots=True)
class EnclaveState:
    """Where the enclave stands after it has verified a block."""

    incarnation: Incarnation
    """Life of the chain."""
    height: Height
    epoch: Epoch
    init_response: SignedInitResponse | None
    """For the node's registration; None while the master secret must be replicated first."""
    generations: int
    """Master secrets that it holds."""
    ephemeral_epochs: tuple[Epoch, ...]
    """Epochs whose ephemeral secrets it holds, in order."""
    lacks_master: bool
    """Consensus has a master secret that this enclave must replicate."""
    lacks_ephemeral: bool
    """The secret of an open epoch, this one or the next is published and not among its own."""
    is_fresh: bool
    """The registry is proven to hold this start of the enclave; before, it releases nothing."""
    policy_refusal: str = ""
    """Why the policy of consensus is not followed; the enclave goes on with the one before."""


class KeyManagerEnclaveApi(Protocol):
    """Messages of the host to the enclave; the host awaits what the enclave answers at once."""

    async def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        ...

    async def synchronize(self, proven: ProvenState) -> EnclaveState:
        """Verify a block and follow it: policy, master secret, proposal, ephemeral secret."""
        ...

    async def attest(self, node_id: NodeId) -> CapabilityTee:
        """Attest the enclave's keys for a node, at the height it has verified."""
        ...

    async def generate_master_secret(self) -> SignedPublishedSecret:
        """Draw a secret for the next generation, encrypted to the committee."""
        ...

    async def generate_ephemeral_secret(self, epoch: Epoch) -> SignedPublishedSecret:
        """Draw a secret for this epoch or the next, encrypted to the committee."""
        ...

    async def replicate(self, peer: NodeId) -> EnclaveState:
        """Ask another key manager, through the host, for what is lacking."""
        ...

    async def call_session(self, session_id: Bytes32, message: bytes) -> bytes:
        """Answer one message of an attested session."""
        ...

    async def fetch_public_key(
        self, runtime_id: RuntimeId, key_pair_id: Bytes32
    ) -> SignedPublicKey:
        """Long-term public key."""
        ...

    async def fetch_ephemeral_public_key(
        self, runtime_id: RuntimeId, key_pair_id: Bytes32, epoch: Epoch
    ) -> SignedPublicKey:
        """Public key of an epoch."""
        ...


class KeyManagerHostApi(Protocol):
    """Messages of the enclave to its host, while it serves one."""

    def call_key_manager(self, node_id: NodeId, session_id: Bytes32, message: bytes) -> bytes:
        """Carry one session message to another key manager; its answer."""
        ...
