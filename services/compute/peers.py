"""Fellow nodes and key managers, as the consensus registry names them."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from shared.api.compute import ComputePeerApi, compute_peer
from shared.api.keymanager import KeyManagerApi, key_manager_client
from shared.encoding.contract import NoticeTransport, notify_all
from shared.errors import PeerUnavailable
from shared.kit.channel import Link
from shared.types.commitment import Proposal
from shared.types.identity import NodeId, RuntimeId
from shared.types.registry import NodeDescriptor

Connect = Callable[[str, str], NoticeTransport]
"""Makes the transport to a peer from its name, for errors, and its address."""
MAX_SESSIONS = 16
"""Sessions of the enclave that the relay remembers; it has one at a time."""


def connect_link(peer: str, address: str) -> NoticeTransport:
    """Connect over TCP, when first used and again when the connection broke."""
    return Link(peer, address)


class Peers:
    """Connections to the other nodes of one ParaTime."""

    def __init__(self, own_id: NodeId, runtime_id: RuntimeId, connect: Connect) -> None:
        self._own_id, self._runtime_id, self._connect = own_id, runtime_id, connect
        self._addresses: dict[bytes, str] = {}
        self._transports: dict[bytes, NoticeTransport] = {}
        self._clients: dict[bytes, ComputePeerApi] = {}

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
                transport = self._transports[node_id] = self._connect(name, address)
                self._clients[node_id] = compute_peer(transport)
        for gone in self._addresses.keys() - addresses.keys():
            del self._clients[gone], self._transports[gone]
        self._addresses = addresses

    def ordered(self, preferred: Sequence[NodeId]) -> list[ComputePeerApi]:
        """Give the peers to ask, those that are preferred first."""
        first = [node_id for node_id in preferred if node_id in self._clients]
        rest = [node_id for node_id in self._clients if node_id not in first]
        return [self._clients[node_id] for node_id in (*first, *rest)]

    def broadcast_proposal(self, proposal: Proposal, members: Iterable[NodeId]) -> None:
        """Send a proposal to the members of the committee, without waiting."""
        self._notify(dict.fromkeys(members), "propose", proposal)

    def broadcast_transactions(self, raws: tuple[bytes, ...]) -> None:
        """Send transactions to every peer, without waiting."""
        self._notify(self._transports, "gossip_transactions", raws)

    def send_transactions(self, raws: tuple[bytes, ...], node_id: NodeId) -> bool:
        """Send transactions to one peer, without waiting; say whether the peer is known."""
        self._notify((node_id,), "gossip_transactions", raws)
        return node_id in self._transports

    def _notify(self, node_ids: Iterable[NodeId], method: str, message: object) -> None:
        receivers = [self._transports[id_] for id_ in node_ids if id_ in self._transports]
        notify_all(ComputePeerApi, receivers, method, message)


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
