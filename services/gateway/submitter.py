"""Hands raw transactions to a compute node, those of one moment in one message."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.gateway.accepted import FIRST_OFFER_S, AcceptedTransactions
from shared.api.compute import ComputeApi, Submission
from shared.errors import PeerFailed, QanatError
from shared.gateways.compute_nodes import ComputeNodes
from shared.kit.limits import split

log = structlog.get_logger()

MAX_TRANSACTIONS = 1000
"""Transactions of one message; a pool takes a round's worth at a time."""
MAX_BYTES = 512 * 1024
"""Their bytes: a node takes frames of 1 MiB from clients [bytes]."""
SPENT_NONCE = ("core", 4)
"""Refusal of a transaction whose nonce has been used."""
UntilMined = Callable[[bytes], Awaitable[bool]]
POOL = "txpool"
"""Module of what a pool itself says: that it knows a transaction, or has no room now."""


class Submitter:
    """
    Collects what arrives in one turn of the event loop and sends it together.

    The node recovers the senders of a message in one batch, on threads; clients that send in
    parallel gain, and a single one waits for nothing.
    """

    def __init__(self, nodes: ComputeNodes, until_mined: UntilMined) -> None:
        """`until_mined` waits a moment for a round with a transaction; whether one came."""
        self._nodes, self._until_mined = nodes, until_mined
        self.accepted = AcceptedTransactions()
        nodes.is_at_rest = lambda: not self.accepted
        self._has_accepted = asyncio.Event()
        self._waiting: list[tuple[bytes, asyncio.Future[Submission]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[bytes], None]] = []

    def listen(self, listener: Callable[[bytes], None]) -> None:
        """Have a function called with the hash of each transaction that a pool took."""
        self._listeners.append(listener)

    async def submit(self, raw: bytes) -> Submission:
        """Send a transaction and give what the pool said; `Unavailable` where no node answers."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send_waiting)
        future: asyncio.Future[Submission] = loop.create_future()
        self._waiting.append((raw, future))
        return await future

    async def offer_again(self) -> None:
        """Offer what no round has taken up to another node than the one that has it, for ever."""
        while True:
            if not self.accepted:
                self._has_accepted.clear()
                await self._has_accepted.wait()
            await asyncio.sleep(FIRST_OFFER_S / 2)
            due = self.accepted.take_due(asyncio.get_running_loop().time())
            raws = tuple(due.values())
            for part in split(raws, max_items=MAX_TRANSACTIONS, max_bytes=MAX_BYTES):
                await self._offer(part)

    async def _offer(self, raws: tuple[bytes, ...]) -> None:
        try:
            answers = await self._nodes.ask(lambda api: api.submit_transactions(raws))
        except QanatError as error:
            log.debug("offer_failed", transactions=len(raws), reason=error.message)
            return
        for answer in answers:
            if answer.tx_hash is not None and answer.module not in ("", POOL):
                # Run already, or void: no pool will take it.
                self.accepted.discard(answer.tx_hash)

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        sizes = split((r for r, _ in waiting), max_items=MAX_TRANSACTIONS, max_bytes=MAX_BYTES)
        start = 0
        for part in sizes:
            batch = waiting[start : start + len(part)]
            start += len(part)
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, batch: list[tuple[bytes, asyncio.Future[Submission]]]) -> None:
        raws = tuple(raw for raw, _ in batch)
        asked = 0

        async def submit(api: ComputeApi) -> tuple[Submission, ...]:
            nonlocal asked
            asked += 1
            return await api.submit_transactions(raws)

        try:
            answers = await self._nodes.ask_favourite(submit)
            if asked > 1:
                answers = tuple([await self._second_opinion(one) for one in answers])
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of any failure
            _fail(batch, error)
            return
        if len(answers) != len(batch):
            _fail(batch, PeerFailed(f"{len(batch)} transactions got {len(answers)} answers"))
            return
        now_s = asyncio.get_running_loop().time()
        for (raw, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
            if answer.tx_hash is not None and not answer.module:
                self.accepted.add(answer.tx_hash, raw, now_s)
                self._has_accepted.set()
                for listener in self._listeners:
                    listener(answer.tx_hash)

    async def _second_opinion(self, answer: Submission) -> Submission:
        """
        Look at what a second node says, where the first gave no answer.

        That one may have taken the transaction and handed it on before it ended: then it is in a
        round by now, and its nonce is spent by itself.
        """
        is_spent = (answer.module, answer.code) == SPENT_NONCE
        if is_spent and answer.tx_hash is not None and await self._until_mined(answer.tx_hash):
            return Submission(answer.tx_hash)
        return answer


def _fail(batch: list[tuple[bytes, asyncio.Future[Submission]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
