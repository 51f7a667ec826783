"""What tests do with the compute nodes of a `World`."""

from shared.api.evm import EvmQueries
from tests.support.signing import ACCOUNT, sign
from tests.support.world import World

WEI = 10**18
RICH = bytes.fromhex(ACCOUNT.address.removeprefix("0x"))
BALANCES = ((RICH, 1000 * WEI),)


def raw(nonce: int, **changes) -> bytes:
    """A transaction of the rich account."""
    return bytes.fromhex(sign(nonce, **changes).removeprefix("0x"))


def rounds_of(world: World, name: str) -> list:
    """Every round that a node has published, oldest first."""
    feed = world.nodes[name].feed
    return [feed.find(round_) for round_ in range(feed.next_round)]


def executed(world: World, name: str) -> list[bytes]:
    """Every transaction that a node has published, in order."""
    return [transaction for block in rounds_of(world, name) for transaction in block.transactions]


def running(world: World) -> list[str]:
    """Compute nodes that are up."""
    return [name for name in world.compute if name in world.nodes]


async def submit(world: World, name: str, *raws: bytes) -> None:
    for submission in await world.ask(name).submit_transactions(raws):
        assert submission.module == "", submission


async def until_executed(world: World, *raws: bytes, names=None, **options) -> None:
    """Wait until every node, or these, has published transactions."""
    await world.until(
        lambda: all(set(raws) <= set(executed(world, name)) for name in names or running(world)),
        **options,
    )


async def until_round(world: World, round_: int, names=None, **options) -> None:
    """Wait until nodes have published a round."""
    await world.until(
        lambda: all(world.nodes[n].feed.next_round > round_ for n in names or running(world)),
        **options,
    )


async def assert_all_agree(world: World) -> None:
    """Every node holds the same newest round, and state to answer from."""
    head = world.head  # the chain goes on meanwhile
    await until_round(world, head.round)
    names = running(world)
    heads = {world.nodes[name].feed.find(head.round).header.hash() for name in names}
    assert heads == {head.hash()}
    accounts = [await EvmQueries(world.ask(name)).fetch_account(RICH, head.round) for name in names]
    assert len(set(accounts)) == 1


def slashed(world: World) -> list:
    """Everybody who was slashed, oldest first."""
    return [one for events in world.happened() for one in events.slashed]
