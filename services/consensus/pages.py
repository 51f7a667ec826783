"""What people may read of the chain; `Pages` says how it is shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Query

from services.consensus.api import ConsensusService
from services.consensus.engine.pool import transaction_hash
from services.consensus.node import ConsensusNode
from services.consensus.rules.roothash.round_state import RoundState
from shared.api.consensus import BlockEvents, ConsensusApi, ConsensusStatus, FinalizedRound
from shared.crypto.state_tree import StateTree
from shared.encoding.record import decode_record
from shared.errors import QanatError
from shared.kit.node_app import App
from shared.kit.pages import Hex, Pages, found, from_hex
from shared.rules import state_keys
from shared.rules.headers import header_hash
from shared.tee.attestation import verify_attestation
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader
from shared.types.genesis import Genesis
from shared.types.identity import Epoch, Hash, Height, NodeId, Round, RuntimeId
from shared.types.keymanager import KeyManagerStatus
from shared.types.registry import (
    Committee,
    NodeDescriptor,
    NodeRuntime,
    NodeStatus,
    RuntimeDescriptor,
)
from shared.types.staking import Account, Supply

MAX_NUMBER = 2**63 - 1
"""Of heights and rounds: what the database holds."""
VOTES_BLOCKS = 256
"""How far back the votes of a round are looked for [blocks]: they stand in events of blocks."""
Limit = Annotated[int, Query(ge=1, le=100)]
Before = Annotated[int | None, Query(ge=0, le=MAX_NUMBER)]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """A consensus block in a list."""

    height: Height
    time_ns: int
    epoch: Epoch
    transactions: int
    finalized: tuple[FinalizedRound, ...]


@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """What became of a transaction in a block."""

    hash: Hash
    size_bytes: int
    code: int
    module: str
    message: str
    gas_used: int


@dataclass(frozen=True, slots=True)
class BlockDetail:
    """A consensus block with all that it changed."""

    block_hash: Hash
    app_hash: bytes
    proposer: bytes
    events: BlockEvents
    transactions: tuple[TransactionOutcome, ...]


@dataclass(frozen=True, slots=True)
class ValidatorView:
    """Who signs blocks, and with what weight."""

    public_key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class PoolView:
    """What waits for a block."""

    transactions: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an enclave of a node claims, and what the verifier says of it now."""

    runtime_id: RuntimeId
    rak: bytes
    rek: bytes
    quote: bytes
    attested_height: Height
    is_accepted: bool
    reason: str
    """Why it is refused; empty where it is accepted."""
    is_mock_tee: bool = True


@dataclass(frozen=True, slots=True)
class NodeView:
    """A registered node."""

    descriptor: NodeDescriptor
    verdicts: tuple[Verdict, ...]
    status: NodeStatus | None = None


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round of a ParaTime, and who voted for and against its result."""

    header: BlockHeader
    epoch: Epoch | None = None
    votes: FinalizedRound | None = None
    """None where the block that finalized it is too old."""


def build_pages(service: ConsensusService, node: ConsensusNode, genesis: Genesis) -> App:
    """Make the read API of the consensus service."""
    pages = Pages("Qanat consensus", "consensus", (ConsensusApi,))
    reader = Reader(service, node, genesis)
    for path, kind, read in (
        ("/v1/status", ConsensusStatus, reader.status),
        ("/v1/genesis", Genesis, reader.genesis),
        ("/v1/blocks", tuple[BlockSummary, ...], reader.blocks),
        ("/v1/blocks/{height}", BlockDetail, reader.block),
        ("/v1/epoch", EpochState, reader.epoch),
        ("/v1/validators", tuple[ValidatorView, ...], reader.validators),
        ("/v1/nodes", tuple[NodeView, ...], reader.nodes),
        ("/v1/nodes/{node_id}", NodeView, reader.node),
        ("/v1/runtimes", tuple[RuntimeDescriptor, ...], reader.runtimes),
        ("/v1/runtimes/{runtime_id}", RuntimeDescriptor, reader.runtime),
        ("/v1/runtimes/{runtime_id}/committee", Committee, reader.committee),
        ("/v1/runtimes/{runtime_id}/open-round", RoundState, reader.open_round),
        ("/v1/runtimes/{runtime_id}/rounds", tuple[BlockHeader, ...], reader.rounds),
        ("/v1/runtimes/{runtime_id}/rounds/{round}", RoundView, reader.round),
        ("/v1/key-managers/{runtime_id}", KeyManagerStatus, reader.key_manager),
        ("/v1/staking", Supply, reader.supply),
        ("/v1/staking/{address}", Account, reader.account),
        ("/v1/pool", PoolView, reader.pool),
    ):
        pages.add(path, kind, read)
    return pages.build()


class Reader:
    """Reads what the pages show."""

    def __init__(self, service: ConsensusService, node: ConsensusNode, genesis: Genesis) -> None:
        self._service, self._node, self._genesis = service, node, genesis

    async def status(self) -> ConsensusStatus:
        """Where the chain stands."""
        return await self._service.fetch_status()

    def genesis(self) -> Genesis:
        """The document with which the chain began."""
        return self._genesis

    # -- blocks --------------------------------------------------------------------------------

    def blocks(self, limit: Limit = 20, before: Before = None) -> tuple[BlockSummary, ...]:
        """Newest blocks first."""
        newest = self._node.height if before is None else min(before - 1, self._node.height)
        heights = range(newest, max(newest - limit, 0), -1)
        return tuple(self._summary(height) for height in heights)

    def _summary(self, height: int) -> BlockSummary:
        events = self._node.store.load_events(height)
        count = len(self._node.engine.transactions(height) or ())
        return BlockSummary(events.height, events.time_ns, events.epoch, count, events.finalized)

    def block(self, height: Number) -> BlockDetail:
        """One block with its transactions and events."""
        engine = self._node.engine
        light_block = found(engine.light_block(height), f"block {height}")
        raws = found(engine.transactions(height), f"block {height}")
        result = self._node.store.load_result(height)
        header = light_block.header
        outcomes = zip(raws, result.tx_results, strict=True)
        return BlockDetail(
            block_hash=header_hash(header),
            app_hash=header.app_hash,
            proposer=header.proposer_address,
            events=self._node.store.load_events(height),
            transactions=tuple(
                TransactionOutcome(
                    hash=transaction_hash(raw),
                    size_bytes=len(raw),
                    code=one.code,
                    module=one.codespace,
                    message=one.log,
                    gas_used=one.gas_used,
                )
                for raw, one in outcomes
            ),
        )

    def epoch(self) -> EpochState:
        """The epoch, and when it began."""
        raw = found(self._tree().get(state_keys.EPOCH), "epoch")
        return decode_record(EpochState, raw)

    def validators(self) -> tuple[ValidatorView, ...]:
        """Who signed the newest block."""
        newest = found(self._node.engine.light_block(self._node.height), "block yet")
        return tuple(ValidatorView(one.public_key, one.power) for one in newest.validators)

    def pool(self) -> PoolView:
        """Transactions that wait for a block."""
        return PoolView(self._node.engine.waiting)

    # -- registry ------------------------------------------------------------------------------

    async def nodes(self) -> tuple[NodeView, ...]:
        """Registered nodes, with their quotes and what the verifier says of them."""
        return tuple(map(self._view, await self._service.fetch_nodes()))

    async def node(self, node_id: Hex) -> NodeView:
        """One registered node."""
        nodes = await self._service.fetch_nodes()
        wanted = from_hex(node_id)
        return self._view(found(next((n for n in nodes if n.id == wanted), None), "such node"))

    def _view(self, node: NodeDescriptor) -> NodeView:
        raw = self._tree().get(state_keys.node_status_key(node.id))
        return NodeView(
            node,
            tuple(self._judge(node.id, served) for served in node.runtimes if served.tee),
            None if raw is None else decode_record(NodeStatus, raw),
        )

    def _judge(self, node_id: NodeId, served: NodeRuntime) -> Verdict:
        tee = found(served.tee, "enclave")
        reason = ""
        try:
            runtime = self._find_runtime(served.id)
            deployment = next(d for d in runtime.deployments if d.version == served.version)
            verify_attestation(
                tee,
                node_id=node_id,
                constraints=deployment.tee,
                root_ca=self._genesis.registry.tee_root_ca,
                now_s=self._node.engine.standing.time_ns // 1_000_000_000,
                min_height=0,
                max_height=self._node.height,
            )
        except QanatError as error:
            reason = f"{type(error).__name__}: {error.message}"
        except StopIteration:
            reason = "its version is not deployed"
        return Verdict(
            runtime_id=served.id,
            rak=tee.rak,
            rek=tee.rek,
            quote=tee.attestation.quote,
            attested_height=tee.attestation.height,
            is_accepted=not reason,
            reason=reason,
        )

    def runtimes(self) -> tuple[RuntimeDescriptor, ...]:
        """ParaTimes and key managers."""
        items: Iterable[tuple[bytes, bytes]] = self._tree().items(state_keys.RUNTIMES)
        return tuple(decode_record(RuntimeDescriptor, value) for _, value in items)

    def runtime(self, runtime_id: Hex) -> RuntimeDescriptor:
        """One ParaTime or key manager."""
        return self._find_runtime(from_hex(runtime_id))

    def _find_runtime(self, runtime_id: RuntimeId) -> RuntimeDescriptor:
        raw = self._tree().get(state_keys.runtime_key(runtime_id))
        return decode_record(RuntimeDescriptor, found(raw, "such runtime"))

    # -- rounds --------------------------------------------------------------------------------

    async def committee(self, runtime_id: Hex) -> Committee:
        """Who executes a ParaTime in this epoch."""
        committee = await self._service.fetch_committee(from_hex(runtime_id))
        return found(committee, "committee")  # type: ignore[no-any-return]

    def open_round(self, runtime_id: Hex) -> RoundState:
        """Votes of the round that is not final yet."""
        raw = self._tree().get(state_keys.round_state_key(from_hex(runtime_id)))
        return decode_record(RoundState, found(raw, "open round"))

    async def rounds(
        self, runtime_id: Hex, limit: Limit = 20, before: Before = None
    ) -> tuple[BlockHeader, ...]:
        """Newest rounds of a ParaTime first."""
        id_ = from_hex(runtime_id)
        last = found(await self._service.fetch_last_block(id_), "such ParaTime")
        newest = last.round if before is None else min(before - 1, last.round)
        headers = (
            self._node.store.rounds.load_header(id_, round_)
            for round_ in range(newest, max(newest - limit, -1), -1)
        )
        return tuple(header for header in headers if header is not None)

    async def round(self, runtime_id: Hex, round: Number) -> RoundView:  # noqa: A002
        """One round, with the votes that made it final."""
        id_, store = from_hex(runtime_id), self._node.store
        header = found(store.rounds.load_header(id_, round), f"round {round}")
        epoch = await self._service.fetch_round_epoch(id_, Round(round))
        return RoundView(header, epoch, self._find_votes(id_, round))

    def _find_votes(self, runtime_id: RuntimeId, round_: int) -> FinalizedRound | None:
        newest = self._node.height
        for height in range(newest, max(newest - VOTES_BLOCKS, 0), -1):
            for finalized in self._node.store.load_events(height).finalized:
                if finalized.runtime_id == runtime_id and finalized.header.round == round_:
                    return finalized
        return None

    # -- key managers and staking --------------------------------------------------------------

    async def key_manager(self, runtime_id: Hex) -> KeyManagerStatus:
        """Status of a key manager."""
        status = await self._service.fetch_key_manager(from_hex(runtime_id))
        return found(status, "such key manager")  # type: ignore[no-any-return]

    def supply(self) -> Supply:
        """All tokens."""
        return decode_record(Supply, found(self._tree().get(state_keys.SUPPLY), "supply"))

    def account(self, address: Hex) -> Account:
        """A staking account; one that never was is empty."""
        raw = self._tree().get(state_keys.account_key(from_hex(address)))
        return Account() if raw is None else decode_record(Account, raw)

    def _tree(self) -> StateTree:
        return self._node.store.load_tree(None)
