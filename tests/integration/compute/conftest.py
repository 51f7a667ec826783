import pytest

from tests.support.compute_nodes import RICH, WEI, ComputeNetwork
from tests.support.virtual_time import VirtualLoop

WORKERS = ("a", "b", "c")
BACKUPS = ("b", "c", "d")


def pytest_asyncio_loop_factories():
    """Nobody sleeps for real."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def make_network(tmp_path):
    """Start networks of four nodes: three workers, and three backups of whom one is no worker."""
    made = []

    async def make(*, on_disk=False, **options) -> ComputeNetwork:
        network = ComputeNetwork(
            balances=((RICH, 1000 * WEI),), root=tmp_path if on_disk else None, **options
        )
        made.append(network)
        for name in (*WORKERS, "d"):
            await network.start(name)
        await network.until(lambda: len(network.chain.nodes) == 4)
        network.chain.begin_epoch(
            [network.node_id(name) for name in WORKERS],
            [network.node_id(name) for name in BACKUPS],
        )
        # Round 1 begins the epoch; round 2 puts the genesis balances in place.
        await network.until_round(2)
        return network

    yield make
    for network in made:
        await network.close()


@pytest.fixture
async def network(make_network):
    return await make_network()
