"""Fellow nodes and key managers, as the consensus registry names them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from shared.api.compute import ComputePeerApi, compute_peer
from shared.api.keymanager import KeyManagerApi, key_manager_client
from shared.encoding.contract import Transport
from shared.errors import PeerUnavailable, QanatError
from shared.kit.channel import Link
from shared.types.commitment import Proposal
from shared.types.identity import NodeId, RuntimeId
from shared.types.registry import NodeDescriptor

log = structlog.get_logger()

Connect = Callable[[str, str], Transport]
"""Makes the transport to a peer from its name, for errors, and its address."""
MAX_SESSIONS = 16
"""Sessions of the enclave that the relay remembers; it has one at a time."""


def connect_link(peer: str, address: str) -> Transport:
    """Connect over TCP, when first used and again when the connection broke."""
    return Link(peer, address)


class Peers:
    """Connections to the other nodes of one ParaTime."""

    def __init__(self, own_id: NodeId, runtime_id: RuntimeId, connect: Connect) -> None:
        self._own_id, self._runtime_id, self._connect = own_id, runtime_id, connect
        self._addresses: dict[bytes, str] = {}
        self._clients: dict[bytes, ComputePeerApi] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def learn(self, nodes: Iterable[NodeDescriptor]) -> None:
        """Take the nodes of this ParaTime from the registry; those that left are forgotten."""
        addresses = {
            node.id: node.addresses[0]
            for node in nodes
            if node.addresses
            and node.id != self._own_id
            and any(served.id == self._runtime_id for served in node.runtimes)
        }
        for node_id, address in addresses.items():
            if self._addresses.get(node_id) != address:
                name = f"compute node {node_id.hex()[:8]}"
                self._clients[node_id] = compute_peer(self._connect(name, address))
        for gone in self._addresses.keys() - addresses.keys():
            del self._clients[gone]
        self._addresses = addresses

    def ordered(self, preferred: Sequence[NodeId]) -> list[ComputePeerApi]:
        """Give the peers to ask, those that are preferred first."""
        first = [node_id for node_id in preferred if node_id in self._clients]
        rest = [node_id for node_id in self._clients if node_id not in first]
        return [self._clients[node_id] for node_id in (*first, *rest)]

    def broadcast_proposal(self, proposal: Proposal, members: Iterable[NodeId]) -> None:
        """Send a proposal to the members of the committee, without waiting."""
        for node_id in dict.fromkeys(members):
            client = self._clients.get(node_id)
            if client is not None:
                self._send(client.propose(proposal))

    def broadcast_transactions(self, raws: tuple[bytes, ...]) -> None:
        """Send transactions to every peer, without waiting."""
        for client in self._clients.values():
            self._send(client.gossip_transactions(raws))

    def _send(self, call: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_forgiving(call))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _forgiving(call: Awaitable[None]) -> None:
    """Let a broadcast fail for one peer: the protocol does without it."""
    try:
        await call
    except QanatError as error:
        log.debug("peer_not_reached", reason=error.message)


class KeyManagers:
    """
    Relays the enclave's sessions to key managers. Fulfils `ComputeHostApi`.

    A session stays with one node; a new session goes to the next one after a failure.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._clients: dict[str, KeyManagerApi] = {}
        self._addresses: tuple[str, ...] = ()
        self._choice = 0
        self._sessions: OrderedDict[bytes, str] = OrderedDict()

    def learn(self, nodes: Iterable[NodeDescriptor], key_manager: RuntimeId | None) -> None:
        """Take the nodes of the key manager from the registry."""
        self._addresses = tuple(
            sorted(
                node.addresses[0]
                for node in nodes
                if node.addresses and any(served.id == key_manager for served in node.runtimes)
            )
        )

    async def call_key_manager(self, session_id: bytes, message: bytes) -> bytes:
        """Carry one message; raises `PeerUnavailable` where no key manager can be reached."""
        address = self._sessions.get(session_id)
        if address is None:
            if not self._addresses:
                raise PeerUnavailable("no key manager is registered")
            address = self._addresses[self._choice % len(self._addresses)]
            self._sessions[session_id] = address
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        client = self._clients.get(address)
        if client is None:
            transport = self._connect("the key manager", address)
            client = self._clients[address] = key_manager_client(transport)
        try:
            return await client.call_session(session_id, message)
        except PeerUnavailable:
            self._choice += 1
            raise
