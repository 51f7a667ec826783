import pytest

from shared.types.registry import SchedulerParameters
from tests.support.compute_nodes import BALANCES
from tests.support.virtual_time import VirtualLoop
from tests.support.world import World


def pytest_asyncio_loop_factories():
    """Nobody sleeps for real."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def world():
    """Three compute nodes, all workers, that make no empty rounds."""
    world = World(
        key_managers=1,
        compute=3,
        balances=BALANCES,
        scheduler=SchedulerParameters(batch_flush_timeout_ms=60_000),
    )
    await world.start()
    yield world
    await world.close()
