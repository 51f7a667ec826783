"""The gateway's loop: follows one compute node, asks those that answer, knows whether all do."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from services.runtime_gateway import metrics
from services.runtime_gateway.rounds import Place, Rounds, SeenRound, read_round
from shared.api.compute import ComputeApi, Submission
from shared.api.consensus import ConsensusStatus
from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import MalformedRecord
from shared.errors import QanatError, Unavailable
from shared.types.block import RoundBlock
from shared.types.identity import Round

log = structlog.get_logger()

RETRY_S = 0.25
"""Pause before another node is followed."""
CHECK_S = 10.0
"""Between looks at whether every node answers."""
FIRST_CHECK_S = 0.1
ASK_TIMEOUT_S = 20.0
BACK_ROUNDS = 64
"""Rounds before the newest that are read at the start."""


class NoNode(Unavailable, module="runtime_gateway", code=1):
    """No compute node answers."""


class Consensus(Protocol):
    """What the gateway asks of consensus."""

    async def fetch_status(self) -> ConsensusStatus:
        """Where the chain stands."""
        ...


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
        runtime_id: bytes,
        nodes: Mapping[str, ComputeApi],
        consensus: Consensus,
        rounds: Rounds,
        *,
        confidential: bool,
    ) -> None:
        """Take clients of all compute nodes, by name."""
        self._runtime_id, self._nodes, self._consensus = runtime_id, dict(nodes), consensus
        self._confidential = confidential
        self.rounds = rounds
        self._preferred = next(iter(self._nodes))
        self._failures: dict[str, str] = dict.fromkeys(self._nodes, "has not been asked")
        self._chain_context: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow and check while the block runs; a bug in either ends it."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._follow()), tasks.create_task(self._check())]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    # -- readiness -----------------------------------------------------------------------------

    @property
    def waiting_for(self) -> str | None:
        """What is missing, or None when clients may come."""
        if self._chain_context is None:
            return "the consensus service"
        for name, failure in self._failures.items():
            if failure:
                return f"a question to {name}: {failure}"
        return None if self.rounds.newest is not None else "the first round"

    def describe(self) -> dict[str, Any]:
        """Give an account of itself for people and launchers."""
        waiting_for = self.waiting_for
        newest = self.rounds.newest
        return {
            "ready": waiting_for is None,
            "waiting_for": waiting_for,
            "mock_tee": True,
            "runtime_id": self._runtime_id.hex(),
            "round": None if newest is None else newest.header.round,
            "epoch": None if newest is None else newest.epoch,
            "state_root": None if newest is None else newest.header.state_root.hex(),
            "nodes": [
                {"name": name, "ok": not failure, "failure": failure or None}
                for name, failure in self._failures.items()
            ],
        }

    async def _check(self) -> None:
        while True:
            await asyncio.gather(*map(self._check_node, self._nodes))
            if self._chain_context is None:
                await self._learn_chain()
            is_ready = self.waiting_for is None
            metrics.is_ready.set(is_ready)
            await asyncio.sleep(CHECK_S if is_ready else FIRST_CHECK_S)

    async def _check_node(self, name: str) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._nodes[name].query("core.RuntimeInfo", b"")
                if self._confidential:
                    await self._nodes[name].query("core.CallDataPublicKey", b"")
            self._failures[name] = ""
        except (QanatError, TimeoutError) as error:
            self._failures[name] = str(error) or type(error).__name__

    async def _learn_chain(self) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                self._chain_context = (await self._consensus.fetch_status()).chain_context
        except (QanatError, TimeoutError) as error:
            log.warning("consensus_unreachable", reason=str(error))

    # -- following -----------------------------------------------------------------------------

    async def _follow(self) -> None:
        names = list(self._nodes)
        turn = 0
        while True:
            name = names[turn % len(names)]
            turn += 1
            try:
                await self._follow_node(name)
            except (QanatError, TimeoutError) as error:
                log.info("node_left", name=name, reason=str(error))
            await asyncio.sleep(RETRY_S)

    async def _follow_node(self, name: str) -> None:
        node = self._nodes[name]
        async with asyncio.timeout(ASK_TIMEOUT_S):
            status = await node.fetch_status()
        self._preferred = name
        newest = self.rounds.newest
        first = max(status.round - BACK_ROUNDS, 0)
        if newest is not None and first < newest.header.round <= status.round:
            first = newest.header.round
        async for block in node.watch_rounds(Round(first)):
            self._take(name, block)

    def _take(self, name: str, block: RoundBlock) -> None:
        try:
            round_ = read_round(block)
        except (MalformedCbor, MalformedRecord) as error:
            raise NoNode(f"{name} sends results that are none: {error.message}") from error
        if self.rounds.add(round_):
            metrics.rounds.inc()
            metrics.transactions.inc(len(round_.records))
            metrics.newest_round.set(round_.header.round)

    # -- what clients ask ----------------------------------------------------------------------

    async def fetch_chain_info(self) -> ChainInfo:
        """Give what a client needs to sign, or raise `NoNode`."""
        if self._chain_context is None:
            raise NoNode("the consensus service does not answer yet")
        return ChainInfo(self._runtime_id, self._chain_context, self._confidential)

    async def submit(self, raw: bytes) -> Submission:
        """Hand a transaction to a node's pool."""
        return (await self._ask("submit_transactions", (raw,)))[0]  # type: ignore[no-any-return]

    async def query(self, method: str, args: bytes, round_: int | None) -> bytes:
        """Ask the runtime; raises what it refuses with."""
        at = None if round_ is None else Round(round_)
        return await self._ask("query", method, args, at)  # type: ignore[no-any-return]

    async def find_round(self, number: int) -> SeenRound | None:
        """Give a round from memory, or from a node."""
        known = self.rounds.find(number)
        if known is not None:
            return known
        block: RoundBlock | None = await self._ask("fetch_round", Round(number))
        return None if block is None else read_round(block)

    async def wait_for(self, tx_hash: bytes, timeout_s: float) -> Place | None:
        """Wait until a transaction is in a round; None when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.rounds.wait_for(tx_hash)
        except TimeoutError:
            return None

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Ask the node that is followed, then the others where it does not answer."""
        names = sorted(self._nodes, key=lambda name: name != self._preferred)
        last: QanatError | None = None
        for name in names:
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    return await getattr(self._nodes[name], method)(*arguments)
            except Unavailable as error:
                last = error
            except TimeoutError:
                last = NoNode(f"{name} does not answer in time")
        raise last or NoNode("no compute node answers")
