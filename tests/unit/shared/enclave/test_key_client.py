"""A compute enclave's keys, asked for at real key manager enclaves."""

import pytest

from shared.enclave.key_client import KeyRing
from shared.errors import PeerUnavailable
from shared.types.key_requests import ChainView, EphemeralSecretMissing, FreshnessUnproven
from tests.support.keymanager import COMPUTE, PARATIME_ID, MemoryFiles
from tests.support.keymanager_chain import CHAIN_CONTEXT
from tests.support.keymanager_enclaves import Asker, Enclaves

PARENT = b"h" * 32
EPOCHS = range(2, 9)


class Session:
    """A session with one key manager, which may be out of reach."""

    def __init__(self, program) -> None:
        self._client = Asker(program, COMPUTE)._client
        self.is_cut = False
        self.asked = self.closed = 0

    def ask(self, plaintext):
        self.asked += 1
        if self.is_cut:
            raise PeerUnavailable("cut")
        return self._client.ask(plaintext)

    def close(self):
        self.closed += 1


class World:
    """Two key managers with the secrets of some epochs, and what an asker knows of the chain."""

    chain_context = CHAIN_CONTEXT

    def __init__(self) -> None:
        self.enclaves = Enclaves()
        self.programs = [self.enclaves.start(name, MemoryFiles()) for name in ("km-0", "km-1")]
        self.enclaves.show_block()
        self.enclaves.register("km-0")
        self.enclaves.register("km-1")
        self.enclaves.show_block()
        chain = self.enclaves.chain
        master = self.programs[0].generate_master_secret()
        chain.publish(master)
        self.enclaves.show_block()
        chain.accept_master(master)
        for epoch in EPOCHS:
            chain.epoch = epoch
            self.enclaves.show_block()
            chain.publish(self.programs[0].generate_ephemeral_secret(epoch))
            self.enclaves.show_block()
        self.open = (3, 4, 5, 6, 7)
        self.is_fresh = True

    def key_view(self):
        if not self.is_fresh:
            raise FreshnessUnproven("not registered")
        latest = self.programs[0].latest
        return ChainView(latest.height, latest.time_ns, latest.incarnation)

    def open_epochs(self):
        return self.open

    def forget(self, number: int, epoch: int) -> None:
        """Let a key manager lack a secret, as one that was paused over its epoch."""
        del self.programs[number]._vault.ephemeral._by_epoch[epoch]

    def ring(self):
        sessions = tuple(Session(program) for program in self.programs)
        return KeyRing(sessions, PARATIME_ID, self), sessions


@pytest.fixture
def world() -> World:
    return World()


def test_round_has_the_keys_of_this_epoch_and_of_the_open_ones(world):
    ring, _ = world.ring()
    assert sorted(ring.round_keys(8, PARENT).call_secrets) == [3, 4, 5, 6, 7, 8]


def test_epoch_that_is_not_open_has_no_key_on_any_node(world):
    # One node lived through the epochs and has their keys; the other has just started.
    old, _ = world.ring()
    for epoch in EPOCHS:
        old.prepare(epoch)
    new, _ = world.ring()
    world.open = (4, 7)
    keys = [ring.round_keys(8, PARENT).call_secrets for ring in (old, new)]
    assert keys[0] == keys[1]
    assert sorted(keys[0]) == [4, 7, 8]


def test_lacking_an_open_epochs_key_is_unavailable_and_never_a_result(world):
    for number in range(2):
        world.forget(number, 5)
    ring, _ = world.ring()
    for _ in range(2):
        with pytest.raises(EphemeralSecretMissing):
            ring.round_keys(8, PARENT)


def test_key_that_comes_later_is_taken_then(world):
    held = world.programs[0]._vault.ephemeral.get(5)
    for number in range(2):
        world.forget(number, 5)
    ring, _ = world.ring()
    with pytest.raises(EphemeralSecretMissing):
        ring.round_keys(8, PARENT)
    world.programs[1]._vault.ephemeral._by_epoch[5] = held
    assert 5 in ring.round_keys(8, PARENT).call_secrets


def test_other_key_manager_is_asked_where_one_lacks_a_secret(world):
    world.forget(0, 5)
    ring, sessions = world.ring()
    assert 5 in ring.round_keys(8, PARENT).call_secrets
    assert sessions[0].closed == 0


def test_other_key_manager_is_asked_where_one_is_out_of_reach_and_stays_the_first(world):
    ring, sessions = world.ring()
    sessions[0].is_cut = True
    ring.prepare(8)
    asked = sessions[0].asked
    ring.state_key(b"c" * 20)
    assert (sessions[0].asked, sessions[0].closed) == (asked, 1)
    sessions[1].is_cut = True
    with pytest.raises(PeerUnavailable):
        ring.state_key(b"d" * 20)


def test_nothing_is_asked_before_this_start_is_proven_to_be_registered(world):
    world.is_fresh = False
    ring, sessions = world.ring()
    for ask in (lambda: ring.prepare(8), lambda: ring.state_key(b"c" * 20)):
        with pytest.raises(FreshnessUnproven):
            ask()
    assert [session.asked for session in sessions] == [0, 0]
