"""
The compute nodes behind the gateway: who is up and level, and who is asked next.

A node is level when it has delivered the newest round that the gateway shows, and the last
encrypted call through it worked. Only level nodes answer, so a client that saw a receipt never
reads older state afterwards, and a node that is paused, cut off, catching up or without keys is
passed over as soon as that shows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import structlog

from shared.api.compute import ComputeApi, ComputeStatus
from shared.errors import PeerUnavailable, Unavailable
from shared.gateways.together import Together
from shared.kit.interrupts import Interrupt
from shared.types.identity import Round
from shared.types.queries import MAX_TOGETHER_BYTES

log = structlog.get_logger()
T = TypeVar("T")
Question = Callable[[ComputeApi], Awaitable[T]]

ANSWER_TIMEOUT_S = 10.0
"""How long a node may take to answer before another one is asked [s]: a call of 15 M gas takes
far less; only a node that was paused at this moment takes longer."""
PATIENCE_S = 1.0
"""How long a node may take until another one is asked beside it [s]: a question changes nothing,
and a transaction that two pools have is one transaction."""
LEVEL_WAIT_S = 0.25
"""How long a question waits for a node to deliver what clients see already [s]: a millisecond or
two where nodes are well."""
KEYS, KEYS_WAIT_S, KEYS_PAUSE_S = "keys", 3.0, 0.02
"""Module of the errors of keys that a node lacks; how long a question waits for them, and before
it is asked again, twice as long each time [s]: an epoch that has just begun gets its keys in a
moment, on all nodes at about the same time."""
FAVOURITE_LAG_ROUNDS = 5
"""How far the favourite may be behind: rounds come a moment later from one node than from another,
and a change of pools for that would shuffle nonces [rounds]."""


class ComputeNode:
    """One node, as far as the gateway has seen it."""

    def __init__(self, address: str, api: ComputeApi) -> None:
        self.address, self.api = address, api
        self.round = -1
        """Newest round that it delivered; -1 while it delivers nothing."""
        self.status: ComputeStatus | None = None
        """What it last said of itself: when its stream began, and in each epoch since."""
        self.began_at = 0
        """Its newest round when its stream began."""
        self.fails_probe = False
        """Whether the last encrypted call through it failed; see `readiness`."""

    @property
    def name(self) -> str:
        """Its own name, or its address before it told."""
        return self.status.name if self.status else self.address

    @property
    def is_up(self) -> bool:
        """Whether it delivers rounds."""
        return self.round >= 0

    @property
    def is_worker(self) -> bool:
        """Whether it said that it is a worker of the committee."""
        return self.status is not None and self.status.is_worker

    @property
    def is_streamed_up(self) -> bool:
        """Whether it has delivered all that it had when its stream began."""
        return self.status is not None and self.is_up and self.round >= self.began_at

    def mark_down(self, reason: str) -> None:
        """Pass the node over until it delivers a round again."""
        if self.is_up:
            log.warning("compute_node_lost", compute=self.name, reason=reason)
        self.round = -1


class ComputeNodes:
    """Spreads questions over the nodes, and asks another one where a node fails."""

    def __init__(self, nodes: dict[str, ComputeApi]) -> None:
        """Take the nodes by address."""
        self.members = [ComputeNode(address, api) for address, api in nodes.items()]
        self._watch = _Watch()
        self._turn = 0
        self._together = Together(self.ask)
        self._favourite: ComputeNode | None = None
        self.newest_shown: Callable[[], int] = lambda: -1
        """Newest round that clients see; it may be there before a node has delivered it."""
        self.is_at_rest: Callable[[], bool] = lambda: True
        """Whether no transaction waits that only the favourite may know of yet."""
        self._delivered = asyncio.Event()

    def note_delivered(self, node: ComputeNode, number: int) -> None:
        """Take note of a round that a node delivered."""
        node.round = number
        delivered, self._delivered = self._delivered, asyncio.Event()
        delivered.set()

    def workers_first(self) -> list[ComputeNode]:
        """Nodes that deliver rounds: the one that gets transactions, then workers, then others."""
        up = [node for node in self.members if node.is_up]
        return sorted(up, key=lambda node: (node is not self._favourite, not node.is_worker))

    async def _until(self, is_level: Callable[[], bool]) -> None:
        """Wait a moment for nodes that have yet to deliver what clients see already."""
        try:
            async with asyncio.timeout(LEVEL_WAIT_S):
                while not is_level():
                    await self._delivered.wait()
        except TimeoutError:
            # It may be down; who is asked then is decided as ever.
            return

    async def until_shown(self, number: int) -> None:
        """Wait a moment until clients see a round."""
        await self._until(lambda: self.newest_shown() >= number)

    async def query(self, method: str, args: bytes, round: Round | None = None) -> bytes:  # noqa: A002
        """
        Ask any level node; see `ComputeApi.query`.

        Questions of one moment about the newest state go together, which saves everybody messages.
        """
        if round is None and len(args) <= MAX_TOGETHER_BYTES:
            return await self._together.query(method, args)
        return await self.ask(lambda api: api.query(method, args, round))

    async def ask(self, question: Question[T]) -> T:
        """
        Put a question to the next level node, and to others while nodes are unavailable.

        Where all of them lack keys of the epoch it is asked again until they have them.

        Raises
        ------
        Unavailable
            No node answers; the last one's reason.
        RuntimeRejected
            What the runtime said; another node would say the same.
        """
        if not self._level():
            await self._until(lambda: bool(self._level()))
        return await _until_keys(lambda: self._ask_next(question))

    async def _ask_next(self, question: Question[T]) -> T:
        self._turn += 1
        answer, _ = await _first_answer(self._watch, self._in_order(self._turn), question)
        return answer

    async def ask_favourite(self, question: Question[T]) -> T:
        """
        Put a question to the same node every time, as long as it keeps up.

        For transactions: one pool sees the nonces of a sender in the order in which they came.
        Where another epoch has other workers it is one of them, as soon as nothing waits: who is no
        worker could let rounds come together, and cannot while it is asked. Waits for keys as `ask`
        does.
        """
        return await _until_keys(lambda: self._ask_favourite(question))

    async def _ask_favourite(self, question: Question[T]) -> T:
        order = self._in_order(0)
        favourite = self._favourite
        if favourite is None or not self._keeps_up(favourite) or self._should_rest(favourite):
            level = self._level() or order
            workers = [node for node in level if node.is_worker]
            favourite = self._favourite = (workers or level)[0]
        order.remove(favourite)
        # Who saw a round that paid them may spend it at once.
        if favourite.round < self.newest_shown():
            await self._until(lambda: favourite.round >= self.newest_shown() or not favourite.is_up)
        # Workers have a round before others do; who answers instead is asked from then on.
        order.sort(key=lambda node: (not node.is_up, not node.is_worker))
        answer, self._favourite = await _first_answer(self._watch, [favourite, *order], question)
        return answer

    def _newest(self) -> int:
        return max((self.newest_shown(), *(node.round for node in self.members)))

    def _level(self) -> list[ComputeNode]:
        newest = self._newest()
        return [node for node in self.members if node.round == newest and not node.fails_probe]

    def _keeps_up(self, node: ComputeNode) -> bool:
        return node.round >= self._newest() - FAVOURITE_LAG_ROUNDS and not node.fails_probe

    def _should_rest(self, favourite: ComputeNode) -> bool:
        """Say whether a worker should be asked instead, and may."""
        if favourite.is_worker or not self.is_at_rest():
            return False
        return any(node.is_worker for node in self._level())

    def _in_order(self, turn: int) -> list[ComputeNode]:
        """Level nodes first, from the one whose turn it is; then the others, newest first."""
        level = self._level()
        start = turn % len(level) if level else 0
        order = level[start:] + level[:start]
        if len(level) < len(self.members):
            rest = [node for node in self.members if node not in level]
            order += sorted(rest, key=lambda node: (node.fails_probe, -node.round))
        return order


async def _until_keys(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again, more and more rarely, while nodes lack keys."""
    loop = asyncio.get_running_loop()
    deadline_s, pause_s = loop.time() + KEYS_WAIT_S, KEYS_PAUSE_S
    while True:
        try:
            return await ask()
        except Unavailable as error:
            left_s = deadline_s - loop.time()
            if error.module != KEYS or left_s <= 0:
                raise
        await asyncio.sleep(min(pause_s, left_s))
        pause_s *= 2


class _Asked(Interrupt):
    """A question that waits for a node."""

    __slots__ = ("_look_elsewhere", "began_s", "beside")

    def __init__(self, look_elsewhere: Callable[[], Coroutine[Any, Any, Any]] | None) -> None:
        super().__init__()
        self.began_s = asyncio.get_running_loop().time()
        self._look_elsewhere = look_elsewhere
        self.beside: asyncio.Task[Any] | None = None
        """The same question to other nodes."""

    def ask_beside(self) -> None:
        """Ask others too, once; what they answer ends the wait."""
        if self.beside is None and self._look_elsewhere is not None:
            self.beside = asyncio.get_running_loop().create_task(self._look_elsewhere())
            self.beside.add_done_callback(self._hear)

    def _hear(self, beside: asyncio.Task[Any]) -> None:
        if _is_answered(beside) and self._look_elsewhere is not None:
            self.end()

    def stop(self) -> None:
        """Wait no longer, also for the others."""
        self._look_elsewhere = None
        if self.beside is not None:
            self.beside.cancel()

    def leave_to_others(self) -> None:
        """Wait no longer for this node."""
        self._look_elsewhere = None


def _is_answered(task: asyncio.Task[Any]) -> bool:
    return not task.cancelled() and not isinstance(task.exception(), Unavailable)


class _Watch:
    """
    Looks after all questions that wait, with one timer.

    A timer and a timeout for each cost a tenth of what a gateway does for an `eth_call`.
    """

    def __init__(self) -> None:
        self._asked: set[_Asked] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, asked: _Asked) -> None:
        self._asked.add(asked)
        if self._timer is None:
            self._set_timer(asyncio.get_running_loop())

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(min(PATIENCE_S, ANSWER_TIMEOUT_S) / 4, self._sweep, loop)

    def remove(self, asked: _Asked) -> None:
        self._asked.discard(asked)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for asked in self._asked:
            waited_s = now_s - asked.began_s
            if waited_s >= PATIENCE_S:
                asked.ask_beside()
            if waited_s >= ANSWER_TIMEOUT_S:
                asked.end()
        self._timer = None
        if self._asked:
            self._set_timer(loop)


async def _first_answer(
    watch: _Watch, order: list[ComputeNode], question: Question[T]
) -> tuple[T, ComputeNode]:
    """
    Ask one node, after a while another one beside it, and take what comes first.

    Where a node fails the next one is asked at once.
    """
    if not order:
        raise PeerUnavailable("no compute node is configured")
    first, *others = order
    asked = _Asked((lambda: _first_answer(watch, others, question)) if others else None)
    watch.add(asked)
    failure: Unavailable
    try:
        answer = await question(first.api)
    except Unavailable as error:
        if isinstance(error, PeerUnavailable):
            first.mark_down(error.message)
        failure = error
        asked.leave_to_others()
    except asyncio.CancelledError:
        beside = asked.beside
        if not asked.is_only_cause():
            asked.stop()
            raise
        asked.leave_to_others()
        if beside is not None and beside.done() and _is_answered(beside):
            return cast("tuple[T, ComputeNode]", beside.result())
        failure = _late(first)
    except BaseException:
        asked.stop()
        raise
    else:
        asked.stop()
        return answer, first
    finally:
        watch.remove(asked)
    if not others:
        raise failure
    return await (asked.beside or _first_answer(watch, others, question))


def _late(node: ComputeNode) -> PeerUnavailable:
    late = PeerUnavailable(f"{node.name} did not answer within {ANSWER_TIMEOUT_S:g} s")
    node.mark_down(late.message)
    return late


async def ask_one(node: ComputeNode, question: Question[T]) -> T:
    """Put a question to one node, which is passed over from then on where it does not answer."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await question(node.api)
    except PeerUnavailable as error:
        node.mark_down(error.message)
        raise
    except TimeoutError:
        raise _late(node) from None
