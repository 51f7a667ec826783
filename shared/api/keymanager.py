"""A key manager node, as compute nodes and other key managers see it."""

from dataclasses import dataclass
from typing import Protocol

from shared.encoding.contract import Transport, client_of, peers_only
from shared.encoding.record import Bytes32
from shared.types.identity import Epoch, Hash, NodeId, RuntimeId
from shared.types.keymanager import SignedPublicKey


@dataclass(frozen=True, slots=True)
class KeyManagerNodeStatus:
    """Where a key manager node stands."""

    name: str
    node_id: NodeId
    runtime_id: RuntimeId
    is_ready: bool
    """Initialized, registered, and holding this epoch's ephemeral secret."""
    generation: int
    epoch: Epoch
    mr_enclave: Hash
    is_mock_tee: bool


class KeyManagerApi(Protocol):
    """
    Messages of a key manager node.

    `call_session` carries bytes that only the two enclaves can read (`shared.tee.session`); the
    hosts on both sides relay them.
    """

    async def fetch_status(self) -> KeyManagerNodeStatus:
        """Where the node stands."""
        ...

    @peers_only
    async def call_session(self, session_id: Bytes32, message: bytes) -> bytes:
        """Hand one message of an attested session to the enclave; its answer."""
        ...

    async def fetch_public_key(
        self, runtime_id: RuntimeId, key_pair_id: Bytes32
    ) -> SignedPublicKey:
        """Long-term public key; anybody may ask."""
        ...

    async def fetch_ephemeral_public_key(
        self, runtime_id: RuntimeId, key_pair_id: Bytes32, epoch: Epoch
    ) -> SignedPublicKey:
        """Public key of an epoch; anybody may ask."""
        ...


def key_manager_client(transport: Transport) -> KeyManagerApi:
    """Make a client."""
    return client_of(KeyManagerApi, transport)
