"""The relay of an enclave's sessions to key managers, one of which does not answer."""

import asyncio
from types import SimpleNamespace

import pytest

from services.compute import peers
from services.compute.peers import KeyManagers
from shared.encoding import cbor
from shared.errors import PeerUnavailable

KEY_MANAGER = b"k" * 32
NAMES = ("a", "b", "c")


class Wire:
    """Key managers by address; those in `paused` take a message and never answer."""

    def __init__(self):
        self.paused, self.gone, self.calls = set(), set(), []

    def connect(self, _, address, node_id):
        return SimpleNamespace(call=lambda _, body: self._call(address, body))

    async def _call(self, address, body):
        self.calls.append(address)
        if address in self.gone:
            raise PeerUnavailable("gone")
        if address in self.paused:
            await asyncio.Event().wait()
        return cbor.encode(address.encode())


def relay(wire, own_id=b"", names=NAMES):
    managers = KeyManagers(wire.connect, own_id)
    served = (SimpleNamespace(id=KEY_MANAGER),)
    managers.learn(
        [SimpleNamespace(id=name.encode(), addresses=(name,), runtimes=served) for name in names],
        KEY_MANAGER,
    )
    return managers


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(peers, "KEY_MANAGER_TIMEOUT_S", 0.02)


def test_paused_key_manager_costs_one_timeout_and_the_next_session_goes_elsewhere():
    async def scenario():
        wire = Wire()
        managers = relay(wire)
        first = (await managers.call_key_manager(b"1", b"")).decode()
        wire.paused = {first}
        with pytest.raises(PeerUnavailable, match="does not answer"):
            await managers.call_key_manager(b"1", b"")
        for number in range(8):
            session = b"later %d" % number
            assert await managers.call_key_manager(session, b"") != first.encode()

    asyncio.run(scenario())


def test_waiting_for_one_key_manager_holds_up_no_other_session():
    async def scenario():
        wire = Wire()
        managers = relay(wire)
        answers = [await managers.call_key_manager(session, b"") for session in (b"1", b"2")]
        wire.paused = {answers[0].decode()}
        stuck = asyncio.create_task(managers.call_key_manager(b"1", b""))
        await asyncio.sleep(0)
        assert await managers.call_key_manager(b"2", b"") == answers[1]
        assert not stuck.done()
        with pytest.raises(PeerUnavailable):
            await stuck

    asyncio.run(scenario())


def test_suspicion_ends(monkeypatch):
    async def scenario():
        wire = Wire()
        managers = relay(wire, names=("a", "b"))
        wire.gone = {"a", "b"}
        for number in range(2):
            with pytest.raises(PeerUnavailable):
                await managers.call_key_manager(b"%d" % number, b"")
        wire.gone = set()
        # All are suspected: they are still asked, in turn.
        assert await managers.call_key_manager(b"3", b"") in (b"a", b"b")
        assert await managers.call_key_manager(b"4", b"") in (b"a", b"b")
        assert set(wire.calls[-2:]) <= {"a", "b"}

    monkeypatch.setattr(peers, "SUSPICION_S", 0.01)
    asyncio.run(scenario())


def test_nodes_spread_over_the_key_managers():
    async def scenario():
        firsts = set()
        for number in range(12):
            managers = relay(Wire(), own_id=bytes([number]) * 32)
            firsts.add(await managers.call_key_manager(b"1", b""))
        assert firsts == {b"a", b"b", b"c"}

    asyncio.run(scenario())


def test_session_of_a_key_manager_that_left_goes_to_one_that_stays():
    async def scenario():
        managers = relay(Wire(), names=("a",))
        assert await managers.call_key_manager(b"1", b"") == b"a"
        managers.learn(
            [
                SimpleNamespace(
                    id=b"b", addresses=("b",), runtimes=(SimpleNamespace(id=KEY_MANAGER),)
                )
            ],
            KEY_MANAGER,
        )
        assert await managers.call_key_manager(b"1", b"") == b"b"

    asyncio.run(scenario())
