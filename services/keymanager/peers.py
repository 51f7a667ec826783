"""Other key managers, as the enclave reaches them through its host."""

import asyncio
from collections.abc import Callable

from shared.api.keymanager import KeyManagerApi, key_manager_client
from shared.crypto.signing import Signer
from shared.encoding.contract import Transport
from shared.errors import PeerUnavailable
from shared.kit.cable import Cable
from shared.kit.dialing import Credentials
from shared.kit.link import Link
from shared.types.identity import NodeId
from shared.types.registry import NodeDescriptor

CALL_TIMEOUT_S = 1.0
"""How long another key manager may take for one message [s]; it is a matter of milliseconds."""
Connect = Callable[[str, str, NodeId], Transport]
"""Makes the transport to a peer from its name, for errors, its address, and the key it proves."""


def connect_by(signer: Signer, cable: Cable | None = None) -> Connect:
    """Connect over TCP; both ends prove their node keys."""

    def connect(peer: str, address: str, node_id: NodeId) -> Transport:
        expected = frozenset((node_id,))
        return Link(peer, address, credentials=Credentials(signer), expected=expected, cable=cable)

    return connect


class KeyManagerPeers:
    """
    Carries session messages to other key managers. Fulfils `KeyManagerHostApi`.

    Addresses are those that the nodes registered; connections are kept.
    """

    def __init__(self, connect: Connect) -> None:
        """`connect` makes the transport to a peer."""
        self._connect = connect
        self._addresses: dict[bytes, str] = {}
        self._clients: dict[str, KeyManagerApi] = {}

    def learn(self, members: tuple[NodeDescriptor, ...]) -> None:
        """Take the addresses from registered descriptors."""
        for member in members:
            if member.addresses:
                self._addresses[member.id] = member.addresses[0]

    async def call_key_manager(self, node_id: NodeId, session_id: bytes, message: bytes) -> bytes:
        """Carry one message; raises `PeerUnavailable` where the node cannot be reached."""
        address = self._addresses.get(node_id)
        if address is None:
            raise PeerUnavailable(f"key manager {node_id.hex()} has no registered address")
        client = self._clients.get(address)
        if client is None:
            transport = self._connect(f"key manager {node_id.hex()[:8]}", address, node_id)
            client = self._clients[address] = key_manager_client(transport)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await client.call_session(session_id, message)
        except TimeoutError:
            raise PeerUnavailable(f"key manager {node_id.hex()} does not answer") from None
