"""
Random schedules: encrypted transactions, time travel, epochs, snapshots, reverts and kills.

Whatever the order, every node comes to the same root, the keys work, and what is in the blocks is
what a small model says. Three schedules here; `make schedules` runs thirty others each time.
"""

import os
from dataclasses import dataclass, field, replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from shared.api.evm import EvmQueries
from tests.integration.world.test_back_in_time import slashed, until_level
from tests.integration.world.test_time_travel import DAY_S, until_keys
from tests.integration.world.test_world import RICH, Vault, execute, in_a_world
from tests.support.signing import RECEIVER
from tests.support.world import World

SCHEDULES = int(os.environ.get("QANAT_SCHEDULES", "3"))
IS_SAMPLE = "QANAT_SCHEDULES" not in os.environ
PATIENCE_MS = 2_000
MORTAL = ("compute-1", "compute-3", "keymanager-1")
TO = bytes.fromhex(RECEIVER.removeprefix("0x"))


@dataclass(frozen=True)
class Store:
    """Put a secret into the vault, by an encrypted transaction."""

    secret: int


@dataclass(frozen=True)
class Pay:
    """Send tokens in plain."""

    amount: int


@dataclass(frozen=True)
class Travel:
    """Move time ahead [s]."""

    seconds: int


@dataclass(frozen=True)
class Epoch:
    """Begin the next epoch."""


@dataclass(frozen=True)
class Snapshot:
    """Remember where the network stands."""


@dataclass(frozen=True)
class Revert:
    """Go back to one of the snapshots, if there is any."""

    which: int


@dataclass(frozen=True)
class Kill:
    """Kill a node, or start the one that is dead."""

    name: str


Step = Store | Pay | Travel | Epoch | Snapshot | Revert | Kill
STEPS = st.one_of(
    st.builds(Store, st.integers(1, 2**32)),
    st.builds(Pay, st.integers(1, 1_000)),
    st.builds(Travel, st.sampled_from((1, 700, DAY_S, 30 * DAY_S, 365 * DAY_S))),
    st.just(Epoch()),
    st.just(Snapshot()),
    st.builds(Revert, st.integers(0, 3)),
    st.builds(Kill, st.sampled_from(MORTAL)),
)


@dataclass(frozen=True)
class Model:
    """What the chain must hold."""

    secret: int = 0
    paid: int = 0
    nonce: int = 0


@dataclass
class Run:
    """A network and what is known of it."""

    world: World
    vault: Vault
    model: Model = Model()
    taken: list[tuple[int, Model]] = field(default_factory=list)
    dead: str | None = None

    async def do(self, step: Step) -> None:
        world, model = self.world, self.model
        match step:
            case Store(secret):
                await self.vault.store(secret.to_bytes(8, "big"))
                self.model = replace(model, secret=secret, nonce=self.vault.nonce)
            case Pay(amount):
                await execute(world, self.vault.nonce, value=amount)
                self.vault.nonce += 1
                paid = model.paid + amount
                self.model = replace(model, paid=paid, nonce=self.vault.nonce)
            case Travel(seconds):
                before = (await world.client.fetch_status()).time_ns
                assert await world.client.move_time(seconds * 1_000) >= before + seconds * 10**9
                await self.until_served()
            case Epoch():
                await world.client.advance_epoch(1)
                await self.until_served()
            case Snapshot():
                self.taken.append(((await world.client.take_snapshot()).id, model))
            case Revert(which) if self.taken:
                which %= len(self.taken)
                id_, self.model = self.taken[which]
                del self.taken[which + 1 :]
                await world.client.revert(id_, PATIENCE_MS)
                self.vault.nonce = self.model.nonce
                await self.until_served()
            case Kill(name):
                await self.kill_or_start(name)
            case _:
                pass

    async def kill_or_start(self, name: str) -> None:
        if self.dead is None:
            self.dead = name
            await self.world.kill(name)
        else:
            await self.world.start_node(self.dead)
            self.dead = None
        await self.until_served()

    async def until_served(self) -> None:
        await until_keys(self.world)

    async def verify(self) -> None:
        """Bring everybody back, and compare the network with the model."""
        if self.dead is not None:
            await self.kill_or_start(self.dead)
        await until_level(self.world)
        await self.until_served()
        for name in self.world.compute:
            queries = EvmQueries(self.world.ask(name))
            assert (await queries.fetch_account(RICH)).nonce == self.model.nonce
            assert (await queries.fetch_account(TO)).balance == self.model.paid
            if self.model.secret:
                assert await self.vault.holds(self.model.secret.to_bytes(8, "big"), name)
        assert slashed(self.world) == []
        # It goes on from here.
        await self.do(Store(7))
        await until_level(self.world)


@pytest.mark.long
@settings(
    max_examples=SCHEDULES,
    derandomize=IS_SAMPLE,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
def test_any_schedule_leads_all_nodes_to_what_the_model_says(steps: list[Step]) -> None:
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        run = Run(world, vault, Model(nonce=vault.nonce))
        for step in steps:
            await run.do(step)
        await run.verify()

    in_a_world(test)
