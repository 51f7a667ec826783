"""Compute nodes with real enclaves and a real key manager, over a small consensus."""

import pytest

from tests.support.compute_nodes import WEI, ComputeNetwork
from tests.support.signing import ACCOUNT, sign

RICH = bytes.fromhex(ACCOUNT.address.removeprefix("0x"))
WORKERS = ("a", "b", "c")


def raw(nonce: int, **changes) -> bytes:
    return bytes.fromhex(sign(nonce, **changes).removeprefix("0x"))


@pytest.fixture
async def network():
    network = ComputeNetwork(balances=((RICH, 1000 * WEI),))
    for name in (*WORKERS, "d"):
        await network.start(name)
    await network.until(lambda: len(network.chain.nodes) == 4)
    network.chain.begin_epoch(
        [network.node_id(name) for name in WORKERS],
        [network.node_id(name) for name in ("b", "c", "d")],
    )
    await network.until_round(2)
    yield network
    await network.close()


async def test_a_transaction_given_to_any_node_reaches_every_node(network):
    (submission,) = await network.edges["d"].submit_transactions((raw(0),))
    assert submission.module == ""

    def is_everywhere():
        return all(
            any(
                node.feed.find(r).transactions == (raw(0),)
                for r in range(node.feed.next_round)
            )
            for node in network.nodes.values()
        )

    await network.until(is_everywhere)
    accounts = [await edge.fetch_account(RICH) for edge in network.edges.values()]
    assert {account.nonce for account in accounts} == {1}
