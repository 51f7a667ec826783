"""What people may read of a compute node; `Pages` says how it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query

from services.compute.node import ComputeNode
from shared.api.compute import ComputeApi, ComputePeerApi, ComputeStatus
from shared.crypto.hashes import sha512_256
from shared.kit.node_app import App
from shared.kit.pages import Hex, Pages, found, from_hex
from shared.kit.service import Service
from shared.types.block import BlockHeader
from shared.types.identity import Hash, NodeId, Round, RuntimeId
from shared.types.registry import Committee

MAX_NUMBER = 2**63 - 1
Limit = Annotated[int, Query(ge=1, le=100)]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True, slots=True)
class PooledView:
    """A transaction that waits: its size, not its text, which may be an envelope."""

    digest: Hash
    """SHA-512/256 of the raw bytes."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PeerView:
    """A fellow node of the ParaTime."""

    node_id: NodeId
    address: str


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round as this node holds it."""

    header: BlockHeader
    transactions: tuple[PooledView, ...]
    results_bytes: int


Nodes = Callable[[], Mapping[RuntimeId, ComputeNode]]
"""Gives the ParaTimes that are open, by runtime id."""


def build_pages(parts: Mapping[str, Service], nodes: Nodes) -> App:
    """Make the read API of a compute node."""
    pages = Pages("Qanat compute node", "compute", (ComputeApi, ComputePeerApi))
    reader = Reader(parts, nodes)
    for path, kind, read in (
        ("/v1/paratimes", tuple[ComputeStatus, ...], reader.paratimes),
        ("/v1/paratimes/{runtime_id}", ComputeStatus, reader.paratime),
        ("/v1/paratimes/{runtime_id}/pool", tuple[PooledView, ...], reader.pool),
        ("/v1/paratimes/{runtime_id}/peers", tuple[PeerView, ...], reader.peers),
        ("/v1/paratimes/{runtime_id}/committee", Committee, reader.committee),
        ("/v1/paratimes/{runtime_id}/rounds", tuple[BlockHeader, ...], reader.rounds),
        ("/v1/paratimes/{runtime_id}/rounds/{round}", RoundView, reader.round),
    ):
        pages.add(path, kind, read)
    return pages.build()


class Reader:
    """Reads what the pages show."""

    def __init__(self, parts: Mapping[str, Service], nodes: Nodes) -> None:
        self._parts, self._nodes = parts, nodes

    def _node(self, runtime_id: str) -> ComputeNode:
        node: ComputeNode = found(self._nodes().get(from_hex(runtime_id)), "such ParaTime here")
        return node

    async def paratimes(self) -> tuple[ComputeStatus, ...]:
        """ParaTimes of this node, and where it stands in each."""
        return tuple([await self._status(part) for part in self._parts.values()])

    async def paratime(self, runtime_id: Hex) -> ComputeStatus:
        """Where the node stands in one ParaTime."""
        part = self._parts.get(from_hex(runtime_id).hex())
        return await self._status(found(part, "such ParaTime here"))

    async def _status(self, part: Service) -> ComputeStatus:
        _, edge = part.find("fetch_status")
        status: ComputeStatus = await edge.fetch_status()
        return status

    def pool(self, runtime_id: Hex, limit: Limit = 100) -> tuple[PooledView, ...]:
        """Transactions that wait, in the order in which they would run."""
        return _views(self._node(runtime_id).admission.pending()[:limit])

    def peers(self, runtime_id: Hex) -> tuple[PeerView, ...]:
        """Fellow nodes, as the registry names them."""
        addresses = self._node(runtime_id).fellows()
        return tuple(PeerView(id_, address) for id_, address in sorted(addresses.items()))

    def committee(self, runtime_id: Hex) -> Committee:
        """Who executes the ParaTime in this epoch."""
        committee: Committee = found(self._node(runtime_id).committee, "committee")
        return committee

    def rounds(self, runtime_id: Hex, limit: Limit = 20) -> tuple[BlockHeader, ...]:
        """Newest rounds that this node holds first."""
        feed = self._node(runtime_id).feed
        newest = feed.next_round - 1
        blocks = (feed.find(Round(n)) for n in range(newest, max(newest - limit, -1), -1))
        return tuple(block.header for block in blocks if block is not None)

    def round(self, runtime_id: Hex, round: Number) -> RoundView:  # noqa: A002
        """One round that this node holds."""
        block = found(self._node(runtime_id).feed.find(Round(round)), f"round {round}")
        return RoundView(block.header, _views(block.transactions), sum(map(len, block.results)))


def _views(raws: tuple[bytes, ...]) -> tuple[PooledView, ...]:
    return tuple(PooledView(sha512_256(raw), len(raw)) for raw in raws)
