"""
Forgetting states of long ago, beside the rounds.

How many states stay is in the ParaTime's descriptor, which the enclave reads with proof. The host
says what must stay beyond that: what consensus can still be taken back to, such as a snapshot.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from services.compute import metrics
from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.api.consensus import ConsensusApi
from shared.errors import QanatError
from shared.types.identity import Round, RuntimeId

log = structlog.get_logger()

ROUNDS_BETWEEN = 32
"""New rounds after which it is looked again for what may go."""
PAUSE_S = 0.01
"""Between two steps, so that a long history takes a tenth of the enclave's time and no more [s]."""
HELD_BACK_S = 3.0
"""
After which consensus is asked again what it can be taken back to, where that is what stays [s].

It forgets in turns of a second: a burst of blocks is over before the last of them is its turn.
"""


class Pruning:
    """Has the enclave forget, in steps between which rounds are executed."""

    def __init__(
        self,
        runtime_id: RuntimeId,
        keep_rounds: int | None,
        enclave: ComputeEnclaveApi,
        consensus: ConsensusApi,
    ) -> None:
        """Prepare; `keep_rounds` is the descriptor's, None where all is kept."""
        self._runtime_id, self._keep_rounds = runtime_id, keep_rounds
        self._enclave, self._consensus = enclave, consensus
        self._label = metrics.runtime_label(runtime_id)
        self._is_running = False
        self._due_at = Round(0)

    def start(self, newest: Round, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Run as a task where something may be due; `newest` is the round that is here."""
        if self._keep_rounds is None or self._is_running:
            return
        keep_from = Round(newest - self._keep_rounds)
        if keep_from > self._due_at:
            self._is_running = True
            self._due_at = Round(keep_from + ROUNDS_BETWEEN)
            spawn(self._run(keep_from))

    async def _run(self, keep_from: Round) -> None:
        try:
            await self._prune(keep_from)
        except QanatError as error:
            # It is tried again some rounds later.
            log.warning("pruning_failed", reason=error.message)
        self._is_running = False

    async def _prune(self, keep_from: Round) -> None:
        pinned = await self._consensus.fetch_oldest_round(self._runtime_id)
        if pinned < keep_from:
            await self._forget(pinned)
            await asyncio.sleep(HELD_BACK_S)
            pinned = await self._consensus.fetch_oldest_round(self._runtime_id)
        await self._forget(min(keep_from, pinned))

    async def _forget(self, keep_from: Round) -> None:
        while True:
            pruned = await self._enclave.prune(keep_from)
            metrics.oldest_state.labels(self._label).set(pruned.oldest)
            if pruned.is_done:
                return
            await asyncio.sleep(PAUSE_S)
