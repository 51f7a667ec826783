"""Fellow nodes and key managers, as the consensus registry names them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from shared.api.compute import ComputePeerApi, FellowNodeApi, compute_peer
from shared.api.keymanager import KeyManagerApi, key_manager_client
from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer
from shared.encoding.contract import NoticeTransport, notify_all
from shared.errors import PeerUnavailable
from shared.kit.cable import Cable
from shared.kit.dialing import Credentials
from shared.kit.link import Link
from shared.types.commitment import ExecutorCommitment, Proposal
from shared.types.identity import NodeId, RuntimeId
from shared.types.registry import Committee, NodeDescriptor

Connect = Callable[[str, str, NodeId], NoticeTransport]
"""Makes the transport to a peer from its name, for errors, its address, and the key it proves."""
MAX_SESSIONS = 16
"""Sessions of the enclave that the relay remembers; it has a few at a time."""
KEY_MANAGER_TIMEOUT_S = 1.0
"""
How long a key manager may take for one message [s].

It is a matter of milliseconds; a round that must ask another one still ends in time.
"""
SUSPICION_S = 10.0
"""How long no new session goes to a key manager that did not answer, while another may [s]."""


def connect_by(
    signer: Signer, runtime_id: RuntimeId | None = None, cable: Cable | None = None
) -> Connect:
    """
    Connect over TCP, when first used and again when the connection broke.

    Both ends prove their node keys. `runtime_id` names the ParaTime of a host that is asked.
    """
    part = "" if runtime_id is None else runtime_id.hex()

    def connect(peer: str, address: str, node_id: NodeId) -> NoticeTransport:
        credentials, expected = Credentials(signer), frozenset((node_id,))
        return Link(
            peer, address, part=part, credentials=credentials, expected=expected, cable=cable
        )

    return connect


class Peers:
    """Connections to the other nodes of one ParaTime."""

    def __init__(self, own_id: NodeId, runtime_id: RuntimeId, connect: Connect) -> None:
        self.own_id, self._runtime_id, self._connect = own_id, runtime_id, connect
        self._addresses: dict[bytes, str] = {}
        self._transports: dict[bytes, NoticeTransport] = {}
        self._clients: dict[bytes, FellowNodeApi] = {}

    def learn(self, nodes: Iterable[NodeDescriptor]) -> None:
        """Take the nodes of this ParaTime from the registry; those that left are forgotten."""
        addresses = {
            node.id: node.addresses[0]
            for node in nodes
            if node.addresses
            and node.id != self.own_id
            and any(served.id == self._runtime_id for served in node.runtimes)
        }
        for node_id, address in addresses.items():
            if self._addresses.get(node_id) != address:
                name = f"compute node {node_id.hex()[:8]}"
                transport = self._transports[node_id] = self._connect(name, address, node_id)
                self._clients[node_id] = compute_peer(transport)
        for gone in self._addresses.keys() - addresses.keys():
            del self._clients[gone], self._transports[gone]
        self._addresses = addresses

    def is_known(self, node_id: NodeId) -> bool:
        """Say whether a node is registered for this ParaTime, as far as this node has heard."""
        return node_id in self._addresses

    @property
    def everybody(self) -> tuple[NodeId, ...]:
        """Ids of all peers."""
        return tuple(self._transports)

    def addresses(self) -> dict[NodeId, str]:
        """Give where each of them is."""
        return dict(self._addresses)

    def ordered(self, preferred: Sequence[NodeId]) -> list[FellowNodeApi]:
        """Give the peers to ask, those that are preferred first."""
        first = [node_id for node_id in preferred if node_id in self._clients]
        rest = [node_id for node_id in self._clients if node_id not in first]
        return [self._clients[node_id] for node_id in (*first, *rest)]

    def propose(self, proposal: Proposal, committee: Committee | None) -> None:
        """Send a proposal to the workers of the committee, without waiting."""
        if committee is not None:
            self.send_proposal(proposal, committee.workers())

    def hand_to_backups(self, proposal: Proposal, committee: Committee | None) -> None:
        """
        Send a proposal to backup workers: only now may they have to execute it.

        Nearly every round ends without them, so that they are left in peace until then.
        """
        if committee is not None:
            workers = committee.workers()
            self.send_proposal(proposal, (id_ for id_ in committee.backups() if id_ not in workers))

    def send_proposal(self, proposal: Proposal, node_ids: Iterable[NodeId]) -> None:
        """Send a proposal to nodes, without waiting."""
        self._notify(node_ids, "propose", proposal)

    def send_vote(self, vote: ExecutorCommitment, scheduler_id: NodeId) -> bool:
        """Send a vote to who gathers them, without waiting; say whether that peer is known."""
        self._notify((scheduler_id,), "collect_vote", vote)
        return scheduler_id in self._transports

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
    Relays the enclave's sessions to key managers.

    A session stays with one key manager, and each new one goes to the next that is not under
    suspicion: an enclave opens another session only where the last one was of no use. Every node
    begins with another key manager.
    """

    def __init__(self, connect: Connect, own_id: NodeId = b"") -> None:
        self._connect, self._own_id = connect, own_id
        self._clients: dict[str, KeyManagerApi] = {}
        self._addresses: tuple[str, ...] = ()
        self._ids: dict[str, NodeId] = {}
        self._choice = 0
        self._suspected_until: dict[str, float] = {}
        self._sessions: OrderedDict[bytes, str] = OrderedDict()

    def learn(self, nodes: Iterable[NodeDescriptor], key_manager: RuntimeId | None) -> None:
        """Take the nodes of the key manager from the registry."""
        ids = {
            node.addresses[0]: node.id
            for node in nodes
            if node.addresses and any(served.id == key_manager for served in node.runtimes)
        }
        self._addresses = tuple(sorted(ids, key=self._lot))
        self._suspected_until = {
            address: until
            for address, until in self._suspected_until.items()
            if address in self._addresses
        }
        for address in list(self._clients):
            if ids.get(address) != self._ids[address]:
                del self._clients[address]
        self._ids = ids

    def _lot(self, address: str) -> bytes:
        return sha512_256(self._own_id + address.encode())

    async def call_key_manager(self, session_id: bytes, message: bytes) -> bytes:
        """
        Carry one message.

        Raises
        ------
        PeerUnavailable
            No key manager can be reached, or the one of this session did not answer in time; the
            next session is with another.
        """
        address = self._sessions.get(session_id)
        if address is None or address not in self._addresses:
            address = self._sessions[session_id] = self._choose()
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        client = self._clients.get(address)
        if client is None:
            transport = self._connect("the key manager", address, self._ids[address])
            client = self._clients[address] = key_manager_client(transport)
        try:
            async with asyncio.timeout(KEY_MANAGER_TIMEOUT_S):
                answer = await client.call_session(session_id, message)
        except TimeoutError:
            self._suspect(address)
            raise PeerUnavailable(f"the key manager at {address} does not answer") from None
        except PeerUnavailable:
            self._suspect(address)
            raise
        self._suspected_until.pop(address, None)
        return answer

    def _choose(self) -> str:
        """Give the next address in turn that is not suspected, or the next one where all are."""
        if not self._addresses:
            raise PeerUnavailable("no key manager is registered")
        now_s = asyncio.get_running_loop().time()
        count = len(self._addresses)
        turns = [self._addresses[(self._choice + step) % count] for step in range(count)]
        trusted = [one for one in turns if self._suspected_until.get(one, now_s) <= now_s]
        chosen = (trusted or turns)[0]
        self._choice = self._addresses.index(chosen) + 1
        return chosen

    def _suspect(self, address: str) -> None:
        now_s = asyncio.get_running_loop().time()
        self._suspected_until[address] = now_s + SUSPICION_S
