"""The gateway's loop: follows what is final, asks level nodes, knows whether all answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from services.runtime_gateway import metrics
from services.runtime_gateway.rounds import Place, Rounds, SeenRound, read_round
from shared.api.compute import Submission
from shared.errors import PeerFailed, QanatError, Unavailable
from shared.gateways.awake import Awake
from shared.gateways.block_check import verify_results
from shared.gateways.compute_nodes import ComputeNode, ComputeNodes, ask_one
from shared.gateways.finality import Finality, FinalityApi, TrustRoot
from shared.gateways.follower import Follower
from shared.types.block import RoundBlock
from shared.types.identity import Round

log = structlog.get_logger()

CHECK_S = 10.0
"""Between looks at whether every node answers."""
FIRST_CHECK_S = 0.1
CHECK_TIMEOUT_S = 20.0
BACK_ROUNDS = 64
"""Rounds before the newest that are read at the start."""


class NoNode(Unavailable, module="runtime_gateway", code=1):
    """No compute node has what is asked for, or none shows it as it was agreed on."""


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """What a client must know to sign and encrypt."""

    runtime_id: bytes
    chain_context: str
    confidential: bool


class RuntimeGatewayNode:
    """Serves one ParaTime."""

    def __init__(
        self,
        name: str,
        info: ChainInfo,
        nodes: ComputeNodes,
        consensus: FinalityApi,
        trust_root: TrustRoot,
        rounds: Rounds,
    ) -> None:
        self.info, self.rounds, self._nodes = info, rounds, nodes
        self.finality = Finality(
            name, info.runtime_id, trust_root, consensus, nodes, rounds, BACK_ROUNDS
        )
        self._follower = Follower(info.runtime_id, rounds, nodes, self.finality)
        self.awake = Awake(nodes)
        self._failures = dict.fromkeys((node.address for node in nodes.members), "was not asked")
        self._proving = asyncio.Lock()
        """Held while an old round is proven: one at a time, however many ask."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow and check while the block runs; a bug in either ends it."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._follower.follow(n)) for n in self._nodes.members]
            running += [tasks.create_task(work) for work in (self.finality.follow(), self._check())]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    # -- readiness -----------------------------------------------------------------------------

    @property
    def waiting_for(self) -> str | None:
        """What is missing, or None when clients may come."""
        for node in self._nodes.members:
            failure = self._failures[node.address]
            if failure:
                return f"a question to {node.name}: {failure}"
        if self.rounds.newest is None:
            return "the first round that consensus proves and a compute node delivers"
        return None

    def describe(self) -> dict[str, Any]:
        """Give an account of itself for people and launchers."""
        waiting_for = self.waiting_for
        newest = self.rounds.newest
        return {
            "ready": waiting_for is None,
            "waiting_for": waiting_for,
            "mock_tee": True,
            "runtime_id": self.info.runtime_id.hex(),
            "round": None if newest is None else newest.number,
            "proven_round": None if newest is None else self.finality.head_round,
            "epoch": None if newest is None else newest.epoch,
            "state_root": None if newest is None else newest.header.state_root.hex(),
            "nodes": [
                {
                    "name": node.name,
                    "round": node.round if node.is_up else None,
                    "ok": not self._failures[node.address],
                    "failure": self._failures[node.address] or None,
                }
                for node in self._nodes.members
            ],
        }

    async def _check(self) -> None:
        while True:
            await asyncio.gather(*map(self.check_node, self._nodes.members))
            is_ready = self.waiting_for is None
            metrics.is_ready.set(is_ready)
            await asyncio.sleep(CHECK_S if is_ready else FIRST_CHECK_S)

    async def check_node(self, node: ComputeNode) -> None:
        """Look whether a node answers, with its key where the ParaTime is confidential."""
        failure = ""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await node.api.query("core.RuntimeInfo", b"")
                if self.info.confidential:
                    await node.api.query("core.CallDataPublicKey", b"")
        except (QanatError, TimeoutError) as error:
            failure = str(error) or type(error).__name__
        self._failures[node.address] = failure
        node.fails_probe = bool(failure)

    # -- what clients ask ----------------------------------------------------------------------

    async def submit(self, raw: bytes) -> Submission:
        """Hand a transaction to a node's pool."""
        answers = await self._nodes.ask_favourite(lambda api: api.submit_transactions((raw,)))
        if len(answers) != 1:
            raise PeerFailed(f"one transaction got {len(answers)} answers")
        return answers[0]

    async def query(self, method: str, args: bytes, round_: int | None) -> bytes:
        """Ask the runtime; raises what it refuses with."""
        at = None if round_ is None else Round(round_)
        return await self._nodes.query(method, args, at)

    async def find_round(self, number: int) -> SeenRound | None:
        """
        Give a round from memory, or an older one from a node, proven.

        Raises
        ------
        TooLongAgo, UnprovenHeader, NoNode
            It cannot be proven, or no node has it as it was agreed on.
        """
        known, oldest = self.rounds.find(number), self.rounds.oldest
        if known is not None or oldest is None or number >= oldest.number:
            return known
        async with self._proving:
            proven = await self.finality.past.prove(number, oldest.header)
        for node in self._nodes.members:
            try:
                block = await ask_one(node, lambda api: api.fetch_round(Round(number)))
                if block is not None:
                    return _read_proven(block, proven)
            except Unavailable as error:
                log.info("old_round_not_given", compute=node.name, reason=error.message)
        raise NoNode(f"no compute node gives round {number} as it was agreed on")

    async def wait_for(self, tx_hash: bytes, timeout_s: float) -> Place | None:
        """Wait until a transaction is in a round; None when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.rounds.wait_for(tx_hash)
        except TimeoutError:
            return None


def _read_proven(untrusted: RoundBlock, proven: bytes) -> SeenRound:
    if untrusted.header.hash() != proven:
        raise NoNode("another round than the one that is proven")
    verify_results(untrusted)
    return read_round(untrusted)
