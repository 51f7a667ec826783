"""Having the enclave execute a proposal, with as much patience as a round has."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from services.compute import metrics
from services.compute.admission import Admission
from services.compute.enclave.errors import NotLevel
from services.compute.enclave.protocol import ComputeEnclaveApi, ExecutedBatch
from shared.crypto.hashes import EMPTY_HASH
from shared.errors import PeerFailed, QanatError, Unavailable
from shared.kit.spans import SpanContext
from shared.kit.tracing import active, begin_ns
from shared.types.commitment import CommitmentFailure, Proposal
from shared.types.identity import Hash
from shared.types.messages import Inbox

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.4
"""Pause before a batch is executed again that lacked something, such as keys [s]; it doubles."""


@dataclass(frozen=True, slots=True)
class BatchExecuted:
    """The enclave is through with a proposal."""

    proposal: Proposal
    outcome: ExecutedBatch | QanatError
    begun_ns: int = 0
    """When it was begun, where that is traced [Unix ns]."""
    ended_ns: int = 0


def tell_stages(whole: SpanContext | None, executed: BatchExecuted) -> None:
    """
    Tell what the enclave did in an execution, whose span is given where it is traced.

    The enclave says how long, and not when: its stages stand right before its answer.
    """
    tracer = active()
    stages = executed.outcome.stages if isinstance(executed.outcome, ExecutedBatch) else None
    if tracer is None or whole is None or stages is None:
        return
    ended_ns = executed.ended_ns
    for name, took_ns in (
        ("enclave.sign", stages.sign_ns),
        ("enclave.persist", stages.persist_ns),
        ("enclave.execute", stages.execute_ns),
    ):
        tracer.record(name, whole, ended_ns - took_ns, ended_ns)
        ended_ns -= took_ns


def failure_of(error: QanatError) -> CommitmentFailure:
    """Say in a vote why a batch could not be executed."""
    if isinstance(error, NotLevel):
        return CommitmentFailure.STATE_UNAVAILABLE
    return CommitmentFailure.UNKNOWN


class Execution:
    """Executes one proposal at a time. The node's loop calls it."""

    def __init__(
        self,
        enclave: ComputeEnclaveApi,
        admission: Admission,
        patience_s: float,
        post: Callable[[BatchExecuted], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        fetch_inbox: Callable[[Hash], Awaitable[Inbox]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """
        Begin with nothing to do.

        `patience_s` is how long a batch waits for what its execution lacks, before the node says
        that it cannot execute it: others can, and wait for its vote. `fetch_inbox` gives what
        consensus hands to a round, by its hash.
        """
        self._enclave, self._admission, self._patience_s = enclave, admission, patience_s
        self._post, self._spawn, self._sleep = post, spawn, sleep
        self._fetch_inbox = fetch_inbox
        self._wanted: Proposal | None = None
        self._suspects: set[bytes] = set()

    def start(self, proposal: Proposal, handed: Hash = EMPTY_HASH) -> None:
        """
        Have a proposal executed; the outcome comes as a message.

        `handed` is the hash, in the parent, of what consensus hands to the round.
        """
        self._wanted = proposal
        self._spawn(self._run(proposal, handed))

    def stop(self) -> None:
        """Try no longer: the round is over."""
        self._wanted = None

    async def _run(self, proposal: Proposal, handed: Hash) -> None:
        outcome: ExecutedBatch | QanatError
        begun_s, begun_ns = time.perf_counter(), begin_ns()
        try:
            outcome = await self._execute(proposal, handed)
        except QanatError as error:
            outcome = error
        metrics.execution_seconds.inc(time.perf_counter() - begun_s)
        self._post(BatchExecuted(proposal, outcome, begun_ns, begin_ns()))

    async def _execute(self, proposal: Proposal, handed: Hash) -> ExecutedBatch:
        """Execute, again and again while something is missing that may still come."""
        waited_s, pause_s = 0.0, FIRST_PAUSE_S
        while True:
            try:
                inbox = None if handed == EMPTY_HASH else await self._fetch_inbox(handed)
                asked = proposal.header.round, proposal.batch, inbox
                if active() is not None:
                    return await self._enclave.execute(*asked, is_timed=True)
                return await self._enclave.execute(*asked)
            except (NotLevel, PeerFailed):
                # The one is for catching up to mend; a bug would strike again.
                raise
            except Unavailable as error:
                if self._wanted is not proposal or waited_s + pause_s > self._patience_s:
                    raise
                log.warning("execution_delayed", round=proposal.header.round, reason=error.message)
            await self._sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, LONGEST_PAUSE_S)

    def note_executed(self, proposal: Proposal, executed: ExecutedBatch) -> None:
        """Have refused transactions checked again; what fails twice as first of a batch goes."""
        metrics.executed_batches.inc()
        metrics.executed_transactions.inc(len(executed.included))
        refused = [proposal.batch[position] for position in executed.refused]
        if not refused:
            self._suspects.clear()
            return
        if executed.refused[0] == 0 and refused[0] in self._suspects:
            self._admission.drop(refused[0])
        self._suspects = set(refused)
        self._admission.recheck(refused)
