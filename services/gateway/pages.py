"""What people may read of the gateway beside JSON-RPC; `Pages` says how it is shown."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query

from services.gateway.index.rounds import IndexedRound
from services.gateway.node import GatewayNode
from shared.crypto.hashes import keccak256
from shared.kit.node_app import App
from shared.kit.pages import Pages, found
from shared.types.block import BlockHeader
from shared.types.identity import Hash, Incarnation, Round, RuntimeId

Limit = Annotated[int, Query(ge=1, le=100)]
Number = Annotated[int, Path(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class StatusView:
    """Where the gateway stands."""

    is_ready: bool
    waiting_for: str | None
    """What is missing where it is not ready."""
    tee: str
    runtime_id: RuntimeId
    round: Round | None
    """Newest round that is shown."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What clients may expect of the gateway."""

    profile: str
    """Also in the header `x-qanat-profile` of each answer."""
    chain_id: int
    is_confidential: bool
    has_ethereum_gas: bool
    """Whether the chain charges gas as Ethereum does; else for size and signature too."""
    answer: str
    """When `eth_sendRawTransaction` answers: `mined` or `admitted`."""
    has_dev_controls: bool
    logs_max_rounds: int
    methods: tuple[str, ...]
    """Names of the JSON-RPC methods that are served."""


@dataclass(frozen=True, slots=True)
class FinalityView:
    """What consensus has finalized, as the light client has verified it."""

    height: int
    """Newest consensus block that was followed."""
    incarnation: Incarnation
    """Life of the chain."""
    proven_round: int | None
    """Newest round that is proven; null before the first."""
    shown_round: int | None
    """Newest round with verified contents, which clients see; null before the first."""
    durable_round: int | None
    """Newest round in the database; null before the first."""
    first_round: int
    """First round of the index."""


@dataclass(frozen=True, slots=True)
class PeerView:
    """A compute node behind the gateway."""

    name: str
    address: str
    is_up: bool
    """Whether it delivers rounds."""
    round: int | None
    """Newest round that it delivered."""
    is_worker: bool
    probed_epoch: int | None
    """Epoch in which a client's call last went through it."""
    failure: str | None
    """Of the last such call; None where it went through."""


@dataclass(frozen=True, slots=True)
class PooledView:
    """A transaction that waits in a compute node's pool."""

    hash: Hash
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round as clients see it."""

    hash: Hash
    header: BlockHeader
    gas_used: int
    transactions: tuple[Hash, ...]


def build_pages(node: GatewayNode, methods: tuple[str, ...]) -> App:
    """Make the read API of a gateway."""
    pages = Pages("Qanat gateway", "gateway", ())
    reader = Reader(node, methods)
    for path, kind, read in (
        ("/v1/status", StatusView, reader.status),
        ("/v1/profile", ProfileView, reader.profile),
        ("/v1/finality", FinalityView, reader.finality),
        ("/v1/peers", tuple[PeerView, ...], reader.peers),
        ("/v1/pool", tuple[PooledView, ...], reader.pool),
        ("/v1/rounds", tuple[RoundView, ...], reader.rounds),
        ("/v1/rounds/{round}", RoundView, reader.round),
    ):
        pages.add(path, kind, read)
    return pages.build()


class Reader:
    """Reads what the pages show."""

    def __init__(self, node: GatewayNode, methods: tuple[str, ...]) -> None:
        self._node, self._methods = node, methods

    def status(self) -> StatusView:
        """Where the gateway stands."""
        node = self._node
        newest = node.index.newest
        return StatusView(
            node.readiness.is_ready,
            node.readiness.waiting_for,
            "MOCK",
            RuntimeId(node.settings.runtime_id),
            None if newest is None else Round(newest.number),
        )

    def profile(self) -> ProfileView:
        """What clients may expect: profile, chain id, methods."""
        settings = self._node.settings
        return ProfileView(
            settings.profile,
            settings.chain_id,
            settings.confidential,
            not self._node.charges_for_size,
            settings.answer,
            settings.unsafe_dev_controls,
            settings.logs_max_rounds,
            self._methods,
        )

    def finality(self) -> FinalityView:
        """What is proven to be final, and how much of it is shown."""
        finality, index = self._node.finality, self._node.index
        return FinalityView(
            finality.height,
            index.incarnation,
            _or_none(finality.head_round),
            None if index.newest is None else index.newest.number,
            _or_none(index.durable_number),
            index.first_number,
        )

    def peers(self) -> tuple[PeerView, ...]:
        """Compute nodes behind the gateway, and how they do."""
        health = {one["address"]: one for one in self._node.readiness.describe()}
        return tuple(
            PeerView(
                one.name,
                one.address,
                one.is_up,
                one.round if one.is_up else None,
                one.status is not None and one.status.is_worker,
                health[one.address]["epoch"],
                health[one.address]["failure"],
            )
            for one in self._node.nodes.members
        )

    async def pool(self, limit: Limit = 100) -> tuple[PooledView, ...]:
        """Transactions that wait in a node's pool, in the order in which they would run."""
        raws = await self._node.nodes.ask_favourite(lambda api: api.fetch_pending())
        return tuple(PooledView(keccak256(raw), len(raw)) for raw in raws[:limit])

    async def rounds(self, limit: Limit = 20) -> tuple[RoundView, ...]:
        """Newest rounds first."""
        newest = self._node.index.newest
        numbers = () if newest is None else range(newest.number, newest.number - limit, -1)
        shown = [await self._node.index.find_round(number) for number in numbers]
        return tuple(_view(one) for one in shown if one is not None)

    async def round(self, round: Number) -> RoundView:  # noqa: A002
        """One round."""
        return _view(found(await self._node.index.find_round(round), f"round {round}"))


def _or_none(number: int) -> int | None:
    return None if number < 0 else number


def _view(one: IndexedRound) -> RoundView:
    hashes = tuple(transaction.record.hash for transaction in one.transactions)
    return RoundView(one.hash, one.header, one.gas_used, hashes)
