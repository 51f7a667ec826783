"""A host's side of an enclave that does not do its part."""

import asyncio
import socket
from typing import Protocol

import pytest

from shared.encoding import cbor
from shared.kit import enclave_host
from shared.kit.channel import adopt_socket
from shared.kit.enclave_host import EnclaveGone, EnclaveHost, EnclaveSilent
from shared.kit.service import Service
from tests.support.turns import turns

pytestmark = pytest.mark.enable_socket


class Small(Protocol):
    async def double(self, number: int) -> int: ...


class Back(Protocol):
    async def half(self, number: int) -> int: ...


class Enclave:
    def __init__(self):
        self.is_still = False

    async def double(self, number):
        if self.is_still:
            await asyncio.Event().wait()
        return 2 * number


class Host:
    async def half(self, number):
        return number // 2


async def pair():
    """Host and enclave over a socket; the enclave's program and channel too."""
    ours, theirs = socket.socketpair()
    program = Enclave()
    channel = await adopt_socket(theirs, "the host", Service((Small, program)))
    host = await EnclaveHost.adopt(ours.detach(), Small, (Back, Host()))
    return host, program, channel


async def test_both_ends_ask():
    host, _, channel = await pair()
    assert await host.enclave.double(4) == 8
    assert await channel.call("half", cbor.encode_loosely({"number": 8})) == b"\x04"
    channel.close()


async def test_enclave_that_stands_still_is_silent_and_is_asked_again_later(monkeypatch):
    monkeypatch.setattr(enclave_host, "CALL_TIMEOUT_S", 0.02)
    monkeypatch.setattr(enclave_host, "SWEEP_S", 0.01)
    host, program, channel = await pair()
    program.is_still = True
    with pytest.raises(EnclaveSilent, match="double"):
        await host.enclave.double(4)
    program.is_still = False
    assert await host.enclave.double(4) == 8
    channel.close()


async def test_host_learns_that_its_enclave_has_ended():
    host, _, channel = await pair()
    watching = asyncio.create_task(host.watch())
    await asyncio.sleep(0)
    assert not watching.done()
    channel.close()
    with pytest.raises(EnclaveGone):
        await asyncio.wait_for(watching, 5)


async def test_task_that_is_cancelled_while_it_waits_is_cancelled():
    host, program, channel = await pair()
    program.is_still = True
    waiting = asyncio.create_task(host.enclave.double(4))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    channel.close()
