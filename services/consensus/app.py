"""Wiring: the only place where the parts of the consensus service are made and joined."""

import asyncio
from typing import Any

from services.consensus.abci import Genesis as EngineGenesis
from services.consensus.abci import ValidatorPower
from services.consensus.api import ChainIdentity, ConsensusService
from services.consensus.application import ConsensusApplication
from services.consensus.config import Settings
from services.consensus.engine.solo import Limits, SoloEngine
from services.consensus.engine.solo_loop import WRITTEN_TOGETHER, SoloLoop
from services.consensus.node import ConsensusNode
from services.consensus.store import Store
from shared.api.consensus import ConsensusApi
from shared.api.control import CableControlApi
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record
from shared.kit.cable import Cable
from shared.kit.clock import Clock, SystemClock
from shared.kit.dev_controls import load_dev_token, names_of
from shared.kit.front import Door
from shared.kit.identity import known_keys, load_identity
from shared.kit.node_app import App, NodeApp
from shared.kit.process import mark_serving
from shared.kit.server import NodeServer
from shared.kit.service import Service
from shared.rules import state_keys
from shared.types.genesis import Genesis
from shared.types.mining import TimeShift


def build_node(
    document: bytes, store: Store, signer: Signer, clock: Clock, *, process_proposals: bool = False
) -> ConsensusNode:
    """Make the node of a network whose genesis document this is, and bring its stores level."""
    genesis = decode_record(Genesis, document)
    engine_genesis = EngineGenesis(
        chain_id=genesis.chain_id,
        time_ns=genesis.time_ns,
        initial_height=genesis.initial_height,
        validators=tuple(ValidatorPower(v.public_key, v.power) for v in genesis.validators),
        document=document,
    )
    limits = Limits(genesis.consensus.max_tx_bytes, genesis.consensus.max_block_bytes)

    def make_engine() -> SoloEngine:
        return SoloEngine(
            ConsensusApplication(store),
            store,
            engine_genesis,
            limits,
            signer,
            clock,
            process_proposals=process_proposals,
        )

    return ConsensusNode(store, SoloLoop(store, make_engine))


def build_service(
    node: ConsensusNode, document: bytes, dev_control: Signer | None = None
) -> ConsensusService:
    """
    Make the object that answers other services.

    `dev_control` is used only where the genesis names it.
    """
    genesis = decode_record(Genesis, document)
    if dev_control is not None and dev_control.public_key != genesis.dev_control_key:
        dev_control = None
    identity = ChainIdentity(genesis.outline(), document, genesis.chain_context(), dev_control)
    return ConsensusService(node, identity)


def newest_clock_ns(store: Store) -> int:
    """Clock time of the newest block: its own, without what dev controls had added [Unix ns]."""
    raw = store.load_tree().get(state_keys.TIME_SHIFT) if store.height else None
    shift_ns = 0 if raw is None else decode_record(TimeShift, raw).shift_ns
    return max(store.newest_time_ns() - shift_ns, 0)


async def serve_consensus(settings: Settings) -> None:
    """Run the service until it is cancelled."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keys = load_identity(settings.data_dir)
    document = settings.genesis.read_bytes()
    named = known_keys(decode_record(Genesis, document))
    store = Store(settings.database(), may_wait=2 * WRITTEN_TOGETHER)
    node = build_node(document, store, keys.consensus, SystemClock(newest_clock_ns(store)))
    dev_control = keys.dev_control if settings.unsafe_dev_controls else None
    service = build_service(node, document, dev_control)

    async def health() -> tuple[bool, dict[str, Any]]:
        status = await service.fetch_status()
        return node.is_healthy(), {
            "service": "consensus",
            "node": settings.node_name,
            "tee": "MOCK",
            "engine": status.engine,
            "capabilities": status.capabilities,
            "height": status.height,
            "epoch": status.epoch,
        }

    def load_pages() -> App:
        from services.consensus.pages import build_pages

        return build_pages(service, node, decode_record(Genesis, document))

    cable = Cable()
    served = Service(
        (ConsensusApi, service),
        (CableControlApi, cable),
        knows=lambda key: key in named or service.is_registered(key),
    )
    token = load_dev_token(settings.data_dir) if settings.unsafe_dev_controls else None
    names = names_of(settings.advertise)
    server = NodeServer(
        Door(served, signer=keys.consensus, dev_token=token, names=names, cable=cable),
        settings.listen_host,
        settings.port,
        NodeApp("consensus", served, health, load_pages, token, names, keys.consensus),
    )
    mark_serving()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.run())
            tasks.create_task(node.maintain(settings.keep_heights))
            tasks.create_task(server.serve())
    finally:
        store.close()
