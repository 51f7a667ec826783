"""The loop: owns the index, the compute nodes and the tasks that keep them current."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import structlog

from services.gateway import metrics
from services.gateway.config import Settings
from services.gateway.dev_controls import DevControlApi
from services.gateway.encryption import EncryptionWatch, read_required
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.fees import FeeTracker
from services.gateway.index.recent import RecentRounds
from services.gateway.index.rounds import IndexedRound, IndexedTransaction
from services.gateway.readiness import Probe, Readiness
from services.gateway.send_traces import SendTraces
from services.gateway.store import BlockStore
from services.gateway.submitter import Submitter
from services.gateway.turns import Turns
from shared.api.evm import EvmQueries
from shared.crypto.hashes import sha3_256
from shared.errors import QanatError
from shared.gateways.awake import Awake
from shared.gateways.compute_nodes import ComputeNodes
from shared.gateways.finality import Finality, FinalityApi, TrustRoot
from shared.gateways.follower import Follower
from shared.types.identity import RuntimeId

START_POLL_S = 0.01
"""Between two looks whether the network is ready for the first time [s]."""
log = structlog.get_logger()

LOG_LATER_S = 0.005
"""How long after a round its lines are written to the log [s]."""
PRICE_INTERVAL_S = 0.1
"""Shortest time between two questions for the minimum gas price [s]."""


class GatewayConsensus(FinalityApi, DevControlApi, Protocol):
    """The part of `ConsensusApi` that the gateway asks."""


class GatewayNode:
    """Everything behind the JSON-RPC edge."""

    def __init__(
        self,
        settings: Settings,
        store: BlockStore,
        nodes: ComputeNodes,
        consensus: GatewayConsensus,
        trust_root: TrustRoot,
        probe: Probe,
    ) -> None:
        self.settings, self.nodes, self.consensus = settings, nodes, consensus
        self.index = ChainIndex(store, RecentRounds(settings.recent_rounds, settings.recent_bytes))
        self.fees = FeeTracker(
            history_rounds=settings.fee_history_rounds,
            window_rounds=settings.gas_price_window_rounds,
            margin_wei=settings.gas_price_margin_wei,
            default_price_wei=settings.default_gas_price_wei,
        )
        self.awake = Awake(nodes)
        self.submitter = Submitter(nodes, self.index.until_mined)
        self.finality = Finality(
            settings.node_name, settings.runtime_id, trust_root, consensus, nodes, self.index
        )
        self.send_traces = SendTraces(RuntimeId(settings.runtime_id), self.index)
        self.follower = Follower(settings.runtime_id, self.index, nodes, self.finality)
        self.readiness = Readiness(nodes, self.index, probe)
        self.readiness.is_start_remembered = not settings.unsafe_dev_controls
        self.chain_context = trust_root.chain_context
        """Hash of the genesis document, hex."""
        self.encryption = EncryptionWatch(read_required(settings.require_encryption))
        self.turns = Turns()
        """Of senders for whom the gateway fills in nonces."""
        self.dev_control_key = trust_root.dev_control_key
        """Who edits the state; None where nobody may."""
        self.charges_for_size = trust_root.charges_for_size
        """Whether a transaction pays for its size and signature, as on Sapphire."""
        self.is_automine = True
        """Whether a transaction that a pool took will soon be in a block."""
        self._may_price_move = asyncio.Event()
        self._may_price_move.set()
        self.index.listen(self._notice)
        self.index.listen(self.submitter.accepted.apply_round)
        self.index.listen_to_rewinds(lambda number, _: self.fees.rollback(number))
        self.index.listen_to_rewinds(lambda *_: self.submitter.accepted.clear())

    def _notice(self, round_: IndexedRound) -> None:
        self.fees.add(round_)
        if round_.transactions or self.fees.min_price_wei > self.settings.default_gas_price_wei:
            self._may_price_move.set()
        metrics.rounds_indexed.inc()
        metrics.newest_round.set(round_.number)
        if round_.transactions:
            metrics.transactions_indexed.inc(len(round_.transactions))
            # Who waits for a receipt gets it first.
            asyncio.get_running_loop().call_later(LOG_LATER_S, _log_round, round_)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.TaskGroup]:
        """Run the tasks for as long as the context is open; a task that fails ends it."""
        await self.index.open(self.settings.fee_history_rounds)
        await self._warm_fees()
        try:
            async with asyncio.TaskGroup() as tasks:
                started = [tasks.create_task(self.follower.follow(n)) for n in self.nodes.members]
                started += [
                    tasks.create_task(work)
                    for work in (
                        self.index.write_rounds(),
                        self.finality.follow(),
                        self.follower.early.follow(),
                        self.readiness.watch(),
                        self.submitter.offer_again(),
                        self._follow_min_price(),
                        self._remember_start(),
                    )
                ]
                try:
                    yield tasks
                finally:
                    for task in started:
                        task.cancel()
        finally:
            await self.index.close()

    async def _remember_start(self) -> None:
        """Have consensus remember where the network was first ready, before anybody hears it is."""
        if self.readiness.is_start_remembered:
            return
        # What is waited for comes from the index, the streams and the probes.
        while self.readiness.waiting_for_nodes is not None:  # noqa: ASYNC110
            await asyncio.sleep(START_POLL_S)
        try:
            await self.consensus.remember_start()
        except QanatError as error:
            log.warning("start_not_remembered", error=error.message)
        self.readiness.is_start_remembered = True

    @property
    def instance_id(self) -> bytes:
        """What is known by this lasts as long as the chain is not rewound, 32 bytes."""
        return sha3_256(f"{self.chain_context} {self.index.incarnation}".encode())

    async def learn_mining(self) -> None:
        """Ask consensus whether transactions are mined at once: a revert may have changed it."""
        mining = await self.consensus.fetch_mining(RuntimeId(self.settings.runtime_id))
        self.is_automine = mining.automine

    async def _warm_fees(self) -> None:
        newest = self.index.newest
        if newest is None:
            return
        first = max(newest.number - self.settings.fee_history_rounds + 1, 0)
        for number in range(first, newest.number + 1):
            round_ = await self.index.find_round(number)
            if round_ is not None:
                self.fees.add(round_)

    async def _follow_min_price(self) -> None:
        """
        Ask a node for its minimum price after rounds that may have moved it.

        It rises by transactions, and falls to the floor round by round; at most ten questions a
        second.
        """
        while True:
            await self._may_price_move.wait()
            self._may_price_move.clear()
            try:
                price = await EvmQueries(self.nodes).fetch_min_gas_price()
            except QanatError as error:
                log.debug("min_gas_price_unknown", reason=error.message)
                self._may_price_move.set()
            else:
                self.fees.min_price_wei = price
                metrics.min_gas_price_wei.set(price)
            await asyncio.sleep(PRICE_INTERVAL_S)

    def describe(self) -> dict[str, Any]:
        """State for a person: what is ready, what is waited for, and that the TEE is a mock."""
        newest, durable = self.index.newest, self.index.durable_number
        return {
            "ready": self.readiness.is_ready,
            "waiting_for": self.readiness.waiting_for,
            "tee": "MOCK",
            "profile": self.settings.profile,
            "chain_id": self.settings.chain_id,
            "ethereum_gas": not self.charges_for_size,
            "runtime_id": self.settings.runtime_id.hex(),
            "round": newest.number if newest else None,
            "proven_round": self.finality.head_round if newest else None,
            "durable_round": durable if durable >= 0 else None,
            "block_hash": "0x" + newest.hash.hex() if newest else None,
            "compute": self.readiness.describe(),
        }


def _log_round(round_: IndexedRound) -> None:
    log.info(
        "round_indexed",
        round=round_.number,
        transactions=len(round_.transactions),
        gas_used=round_.gas_used,
    )
    for transaction in round_.transactions:
        _log_failure(transaction)


def _log_failure(transaction: IndexedTransaction) -> None:
    """Say why a transaction failed: its receipt has no place for it."""
    failure = transaction.record.error
    if failure is not None:
        log.info(
            "transaction_failed",
            tx_hash=transaction.record.hash.hex(),
            round=transaction.round,
            module=failure.module,
            code=failure.code,
            reason=failure.message,
        )
