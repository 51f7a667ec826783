"""
Whether the gateway is ready: a call has gone through every compute node, encrypted where the
ParaTime is confidential.

Runs at start until all pass, again in each new epoch (its keys are new), and every half minute. A
node that passed once and fails now is passed over, and does not make the gateway unready while
another one passes.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from shared.api.compute import ComputeApi
from shared.crypto.hashes import EMPTY_HASH
from shared.errors import QanatError
from shared.gateways.compute_nodes import ComputeNode, ComputeNodes
from shared.types.block import HeaderType

log = structlog.get_logger()

RECHECK_S = 30.0
"""As the original's health check."""
RETRY_S = 0.05
MAX_RETRY_S = 2.0
"""Pause before nodes that failed are probed again [s]."""
PROBE_TIMEOUT_S = 5.0


class Probe(Protocol):
    """Sends one encrypted call through a node; see `probe.EncryptedCallProbe`."""

    async def check(self, api: ComputeApi) -> int:
        """Give the epoch whose key was used, or raise a `QanatError`."""
        ...


@dataclass(slots=True)
class NodeHealth:
    """What the probes of one node gave."""

    epoch: int | None = None
    """Of the last success; None before the first."""
    failure: str | None = "no call has been tried"
    """Of the last probe; None where it succeeded."""

    @property
    def is_ok(self) -> bool:
        """Whether the last probe succeeded."""
        return self.failure is None


class Readiness:
    """Probes every node and says whether the gateway is ready, and what it waits for."""

    def __init__(self, nodes: ComputeNodes, index: ChainIndex, probe: Probe) -> None:
        self._nodes, self._index, self._probe = nodes, index, probe
        self._health = {node.address: NodeHealth() for node in nodes.members}
        self._is_due = asyncio.Event()
        self.is_start_remembered = True
        """Whether consensus knows where the network began, where that can be gone back to."""
        index.listen(self._notice)

    def _notice(self, round_: IndexedRound) -> None:
        if round_.header.header_type is HeaderType.EPOCH_TRANSITION:
            self._is_due.set()

    @property
    def waiting_for(self) -> str | None:
        """What is missing, or None when ready."""
        missing = self.waiting_for_nodes
        if missing is None and not self.is_start_remembered:
            return "consensus to remember where the network began"
        return missing

    @property
    def waiting_for_nodes(self) -> str | None:
        """What of blocks and compute nodes is missing."""
        newest = self._index.newest
        if newest is None:
            return "the first block that consensus proves and a compute node delivers"
        if newest.header.state_root == EMPTY_HASH:
            return "the first executed round, which funds the accounts of genesis"
        if not any(node.is_streamed_up for node in self._nodes.members):
            return f"blocks from compute nodes; round {newest.number} is the newest so far"
        any_ok = any(health.is_ok for health in self._health.values())
        for node in self._nodes.members:
            health = self._health[node.address]
            is_excused = any_ok and health.epoch is not None
            if not health.is_ok and not is_excused:
                return f"a call through {node.name}: {health.failure}"
        return None

    @property
    def is_ready(self) -> bool:
        """Whether clients may come."""
        return self.waiting_for is None

    def describe(self) -> list[dict[str, Any]]:
        """One entry for each node, for a person."""
        return [
            {
                "name": node.name,
                "address": node.address,
                "round": node.round if node.is_up else None,
                "ok": self._health[node.address].is_ok,
                "epoch": self._health[node.address].epoch,
                "failure": self._health[node.address].failure,
            }
            for node in self._nodes.members
        ]

    async def watch(self) -> None:
        """Probe for ever."""
        delay = RETRY_S
        was_ready = False
        while True:
            self._is_due.clear()
            await asyncio.gather(*map(self._check, self._nodes.members))
            if self.is_ready != was_ready:
                was_ready = self.is_ready
                log.info(
                    "gateway_ready" if was_ready else "gateway_unready",
                    waiting_for=self.waiting_for,
                )
            failed = any(not health.is_ok for health in self._health.values())
            delay = min(2 * delay, MAX_RETRY_S) if failed and was_ready else RETRY_S
            await self._pause(delay if failed else RECHECK_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._is_due.wait()
        except TimeoutError:
            return

    async def _check(self, node: ComputeNode) -> None:
        health = self._health[node.address]
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                health.epoch = await self._probe.check(node.api)
            health.failure = None
        except QanatError as error:
            health.failure = error.message
        except TimeoutError:
            health.failure = f"no answer within {PROBE_TIMEOUT_S:g} s"
        node.fails_probe = not health.is_ok
