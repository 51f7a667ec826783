import pytest

from shared.types.registry import SchedulerParameters
from tests.support.compute_nodes import BALANCES
from tests.support.virtual_time import VirtualLoop
from tests.support.world import World


def pytest_asyncio_loop_factories():
    """Nobody sleeps for real."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def make_world(tmp_path):
    """
    Start networks of four compute nodes, of which one is no worker, and one key manager.

    Where they are late, only consensus runs.
    """
    made = []

    async def make(*, on_disk=False, spare=0, liar="", is_late=False, **scheduler) -> World:
        world = World(
            key_managers=1,
            compute=4 + spare,
            balances=BALANCES,
            scheduler=SchedulerParameters(**scheduler),
            liar=liar,
            root=tmp_path / str(len(made)) if on_disk else None,
        )
        made.append(world)
        if is_late:
            world.start_consensus()
        else:
            await world.start(without=world.compute[4:])
        return world

    yield make
    for world in made:
        await world.close()


@pytest.fixture
async def world(make_world):
    return await make_world()
