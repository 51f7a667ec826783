"""Connections of a test world: whatever crosses one does so as bytes."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from shared.encoding.contract import find_method, serve_call, serve_call_now
from shared.errors import PeerUnavailable, QanatError
from shared.kit.service import Service
from tests.support.virtual_time import VirtualLoop

if TYPE_CHECKING:
    from tests.support.world import World


class Wire:
    """A connection between two nodes: whatever crosses it does so as bytes."""

    def __init__(self, world: "World", source: str, address: str) -> None:
        self._world, self._source, self._address = world, source, address

    def _service(self) -> Service:
        target = self._address.partition(":")[0]
        service = self._world.services.get(self._address)
        if service is None or {self._source, target} & self._world.cut_off:
            raise PeerUnavailable(f"nobody answers at {self._address}")
        return service

    async def call(self, method, body):
        await asyncio.sleep(0)
        contract, implementation = self._service().find(method)
        return await serve_call(contract, implementation, method, body)

    def notify(self, method, body):
        self._world.spawn(self._forgiving(method, body))

    async def _forgiving(self, method, body):
        with contextlib.suppress(QanatError):
            await self.call(method, body)

    async def stream(self, method, body):
        contract, implementation = self._service().find(method)
        found = find_method(contract, method)
        async for item in getattr(implementation, method)(**found.decode_arguments(body)):
            yield found.encode_result(item)


class EnclaveSocket:
    """The socket between a host and its enclave: messages in order, some side by side."""

    def __init__(self, contract: type, program, concurrent: frozenset[str] = frozenset()) -> None:
        self._contract, self.program, self._concurrent = contract, program, concurrent
        self._in_order = asyncio.Lock()
        self._working: set[asyncio.Future] = set()
        self.is_gone = False

    async def call(self, method, body):
        if self.is_gone:
            raise PeerUnavailable("the enclave is gone")
        if method in self._concurrent:
            return await self._work(method, body)
        async with self._in_order:
            return await self._work(method, body)

    async def _work(self, method, body):
        """Serve in a thread, which goes on where nobody waits for it any more."""
        work = asyncio.ensure_future(asyncio.to_thread(self._serve, method, body))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return await asyncio.shield(work)

    async def settle(self) -> None:
        """Wait for what threads still do."""
        await asyncio.gather(*self._working, return_exceptions=True)

    def _serve(self, method, body):
        return serve_call_now(self._contract, self.program, method, body)

    def stream(self, method, body):
        raise NotImplementedError


class HostSocket:
    """The same socket from within: what an enclave asks its host. Fulfils `SyncTransport`."""

    def __init__(self, contract: type, host, loop: VirtualLoop) -> None:
        self._contract, self._host, self._loop = contract, host, loop

    def call(self, method, body):
        call = serve_call(self._contract, self._host, method, body)
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        with self._loop.waiting():
            return answer.result()
