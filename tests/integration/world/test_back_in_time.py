"""The whole network goes back to snapshots, across epochs, with nodes dead or asleep meanwhile."""

import pytest

from tests.integration.world.test_world import Vault, execute, head_of, in_a_world
from tests.support.world import World

KEPT, VOID, NEW = b"told before", b"told in a void life", b"told after"
PATIENCE_MS = 2_000


def slashed(world: World) -> list:
    heights = range(world.store.first_height, world.consensus.height + 1)
    return [one for height in heights for one in world.store.load_events(height).slashed]


async def until_level(world: World) -> None:
    await world.until(lambda: len({head_of(world, n).hash() for n in world.compute}) == 1)


async def until_arrived(world: World, name: str) -> None:
    """Wait until a node that was given up has said that it is in the life that is."""
    await world.until(lambda: name not in world.consensus.followers._given_up)


async def next_epoch(world: World) -> None:
    epoch = await world.client.advance_epoch(1)
    nodes = [world.nodes[name] for name in world.compute if name in world.nodes]
    await world.until(lambda: world.is_ready() and all(n.state.epoch >= epoch for n in nodes))


@pytest.mark.long
def test_an_epoch_that_is_lived_again_and_again_has_one_key_on_every_node():
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        await vault.store(KEPT)
        await until_level(world)
        snapshot, nonce = await world.client.take_snapshot(), vault.nonce
        seen = set()
        for cycle in range(4):
            # The secret of the next epoch may be published already, and is the same in all lives.
            await next_epoch(world)
            await next_epoch(world)
            keys = [await world.ask(n).fetch_call_data_key() for n in world.compute]
            assert len({key.public_key.key for key in keys}) == 1
            seen.add(keys[0].public_key.key)
            await vault.store(VOID, by=f"compute-{cycle}")
            assert await vault.holds(VOID, "compute-0")
            reverted = await world.client.revert(snapshot.id, PATIENCE_MS)
            assert (reverted.incarnation, reverted.missing) == (cycle + 1, ())
            vault.nonce = nonce
            for name in world.compute:
                assert await vault.holds(KEPT, name)
        assert len(seen) == 4
        await vault.store(NEW)
        for name in world.compute:
            assert await vault.holds(NEW, name)
        assert slashed(world) == []

    in_a_world(test)


@pytest.mark.long
@pytest.mark.parametrize("name", ["compute-2", "keymanager-1"])
def test_a_node_that_was_dead_while_the_network_went_back_follows_when_it_returns(name):
    async def test(world: World) -> None:
        vault = Vault(world)
        await vault.deploy()
        await vault.store(KEPT)
        await until_level(world)
        snapshot, nonce = await world.client.take_snapshot(), vault.nonce
        await next_epoch(world)
        await vault.store(VOID)
        await until_level(world)
        await world.kill(name)
        reverted = await world.client.revert(snapshot.id, PATIENCE_MS)
        assert reverted.missing == (name,)
        # A dead node is waited for once.
        assert (await world.client.revert(snapshot.id, PATIENCE_MS)).missing == (name,)
        vault.nonce = nonce
        for number in range(4):
            await vault.store(b"without it %d" % number)
        await world.start_node(name)
        await until_arrived(world, name)
        await world.until(world.is_ready)
        await next_epoch(world)
        await vault.store(NEW)
        await until_level(world)
        for compute in world.compute:
            assert await vault.holds(NEW, compute)
        assert (await world.client.revert(snapshot.id, PATIENCE_MS)).missing == ()
        assert slashed(world) == []

    in_a_world(test)


@pytest.mark.parametrize("name", ["compute-1", "keymanager-0"])
def test_a_node_that_was_cut_off_meanwhile_learns_it_when_it_is_heard_again(name):
    async def test(world: World) -> None:
        await execute(world, 0)
        await until_level(world)
        snapshot = await world.client.take_snapshot()
        await next_epoch(world)
        await execute(world, 1)
        await until_level(world)
        world.cut_off.add(name)
        reverted = await world.client.revert(snapshot.id, PATIENCE_MS)
        assert reverted.missing == (name,)
        world.cut_off.clear()
        await until_arrived(world, name)
        await world.until(world.is_ready)
        await next_epoch(world)
        await execute(world, 1, value=9)
        await until_level(world)
        assert (await world.client.revert(snapshot.id, PATIENCE_MS)).missing == ()
        assert slashed(world) == []

    in_a_world(test)
