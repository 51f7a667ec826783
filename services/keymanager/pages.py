"""What people may read of a key manager; `Pages` says how it is shown."""

from typing import Annotated

from fastapi import Query

from services.keymanager.api import KeyManagerEdge
from services.keymanager.node import KeyManagerNode
from shared.api.consensus import ConsensusApi
from shared.api.keymanager import KeyManagerApi, KeyManagerNodeStatus
from shared.encoding.record import decode_record
from shared.kit.node_app import App
from shared.kit.pages import Hex, Pages, found, from_hex
from shared.types.identity import Epoch
from shared.types.keymanager import KeyManagerStatus, Policy, SignedPublicKey


def build_pages(edge: KeyManagerEdge, node: KeyManagerNode, consensus: ConsensusApi) -> App:
    """Make the read API of a key manager."""
    pages = Pages("Qanat key manager", "keymanager", (KeyManagerApi,))
    reader = Reader(edge, node, consensus)
    for path, kind, read in (
        ("/v1/status", KeyManagerNodeStatus, reader.status),
        ("/v1/committee", KeyManagerStatus, reader.committee),
        ("/v1/policy", Policy, reader.policy),
        ("/v1/public-keys/{runtime_id}/{key_pair_id}", SignedPublicKey, reader.public_key),
    ):
        pages.add(path, kind, read)
    return pages.build()


class Reader:
    """Reads what the pages show."""

    def __init__(self, edge: KeyManagerEdge, node: KeyManagerNode, consensus: ConsensusApi) -> None:
        self._edge, self._node, self._consensus = edge, node, consensus

    def status(self) -> KeyManagerNodeStatus:
        """Where the node stands."""
        return self._node.status()

    async def committee(self) -> KeyManagerStatus:
        """What consensus holds of this key manager."""
        status = await self._consensus.fetch_key_manager(self._node.status().runtime_id)
        return found(status, "status of this key manager")  # type: ignore[no-any-return]

    async def policy(self) -> Policy:
        """The policy in force: which enclaves may ask for which keys."""
        signed = found((await self.committee()).policy, "policy")
        return decode_record(Policy, signed.untrusted_raw_value)

    async def public_key(
        self,
        runtime_id: Hex,
        key_pair_id: Hex,
        epoch: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    ) -> SignedPublicKey:
        """A public key of a ParaTime, long-term or of an epoch."""
        runtime, pair = from_hex(runtime_id), from_hex(key_pair_id)
        if epoch is None:
            return await self._edge.fetch_public_key(runtime, pair)
        return await self._edge.fetch_ephemeral_public_key(runtime, pair, Epoch(epoch))
