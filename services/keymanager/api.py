"""The edges: `KeyManagerApi` in frames, and what `/health` shows."""

from typing import Any

from services.keymanager import metrics
from services.keymanager.node import KeyManagerNode
from shared.api.keymanager import KeyManagerNodeStatus
from shared.errors import PeerUnavailable
from shared.types.identity import Epoch, RuntimeId
from shared.types.keymanager import SignedPublicKey


class KeyManagerEdge:
    """Answers `KeyManagerApi`; sessions and public keys are the enclave's business."""

    def __init__(self, node: KeyManagerNode) -> None:
        self._node = node

    async def fetch_status(self) -> KeyManagerNodeStatus:
        """Where the node stands."""
        return self._node.status()

    async def call_session(self, session_id: bytes, message: bytes) -> bytes:
        """Hand one session message to the enclave, once it has had the chance to catch up."""
        if not self._node.is_open:
            raise PeerUnavailable("the key manager has just started")
        metrics.session_messages.inc()
        return await self._node.enclave.call_session(session_id, message)

    async def fetch_public_key(self, runtime_id: RuntimeId, key_pair_id: bytes) -> SignedPublicKey:
        """Long-term public key; anybody may ask."""
        return await self._node.enclave.fetch_public_key(runtime_id, key_pair_id)

    async def fetch_ephemeral_public_key(
        self, runtime_id: RuntimeId, key_pair_id: bytes, epoch: Epoch
    ) -> SignedPublicKey:
        """Public key of an epoch; anybody may ask."""
        return await self._node.enclave.fetch_ephemeral_public_key(runtime_id, key_pair_id, epoch)


async def check_health(node: KeyManagerNode) -> tuple[bool, dict[str, Any]]:
    """Say whether the node is ready, and what a person should see."""
    status = node.status()
    return status.is_ready, {
        "service": "keymanager",
        "node": status.name,
        "node_id": status.node_id.hex(),
        "runtime_id": status.runtime_id.hex(),
        "tee": "MOCK",
        "mr_enclave": status.mr_enclave.hex(),
        "epoch": status.epoch,
        "generation": status.generation,
        "waits_for": node.waits_for(),
    }
