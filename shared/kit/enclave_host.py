"""
A host's side of its enclave: takes over the socket, asks within limits, and notices its end.

Host and enclave live and die together, as on one machine: the launcher starts both again.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from shared.encoding.contract import client_of
from shared.errors import Unavailable
from shared.kit.channel import Channel, adopt_socket
from shared.kit.interrupts import Interrupt
from shared.kit.service import Service

E = TypeVar("E")

CALL_TIMEOUT_S = 30.0
"""
How long an enclave may take for one message [s].

The largest batch takes seconds on a slow machine. An enclave that takes longer stands still; its
host goes on with what needs none, and asks again when it has something new to ask.
"""

SWEEP_S = 1.0
"""How often calls that take too long are looked for [s]."""


class EnclaveGone(Unavailable, module="host", code=1):
    """The enclave's process has ended; the host ends with it."""


class EnclaveSilent(Unavailable, module="host", code=2):
    """The enclave does not answer in time."""


class EnclaveHost(Generic[E]):
    """One enclave of this host."""

    def __init__(self, contract: type[E], channel: Channel) -> None:
        self._channel = channel
        self.enclave: E = client_of(contract, _Timed(channel))
        """Its messages, as the contract has them."""

    @classmethod
    async def adopt(cls, fd: int, contract: type[E], *served: tuple[type, Any]) -> "EnclaveHost[E]":
        """
        Take over an inherited socket.

        Parameters
        ----------
        fd : `int`
            As the launcher passes it on.
        contract : `type`
            Protocol class of the messages to the enclave.
        served : `tuple`
            Contracts of the enclave's own messages, each with the object that answers.
        """
        sock = socket.socket(fileno=fd)
        return cls(contract, await adopt_socket(sock, "the enclave", Service(*served)))

    async def watch(self) -> None:
        """Wait for the end of the enclave, then raise `EnclaveGone`."""
        await self._channel.closed.wait()
        raise EnclaveGone("the enclave's process has ended")


class _Call(Interrupt):
    """A call that waits for the enclave."""

    __slots__ = ("began_s",)

    def __init__(self, began_s: float) -> None:
        super().__init__()
        self.began_s = began_s


class _Timed:
    """
    A channel whose calls end in time.

    One timer looks after all calls: `asyncio.timeout` sets one for each, which would cost more than
    the call itself.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._calls: set[_Call] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def call(self, method: str, body: Any) -> Any:
        """Ask, and wait no longer than `CALL_TIMEOUT_S` and a sweep."""
        loop = asyncio.get_running_loop()
        call = _Call(loop.time())
        self._calls.add(call)
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_S, self._sweep, loop)
        try:
            return await self._channel.call(method, body)
        except asyncio.CancelledError:
            if call.is_only_cause():
                raise EnclaveSilent(f"the enclave does not answer {method}") from None
            raise
        finally:
            self._calls.discard(call)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for call in self._calls:
            if now_s - call.began_s >= CALL_TIMEOUT_S:
                call.end()
        self._timer = loop.call_later(SWEEP_S, self._sweep, loop) if self._calls else None

    def stream(self, method: str, body: Any) -> AsyncIterator[Any]:
        """Open a stream; enclaves have none so far."""
        return self._channel.stream(method, body)
