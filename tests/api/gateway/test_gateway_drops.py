"""Transactions that are given up: no pool has them afterwards, and nobody offers them again."""

import pytest

from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, running_gateway
from tests.support.signing import sign

NOWHERE = "0x" + "00" * 32


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, is_automatic=False)
    async with running_gateway(
        tmp_path, chain=chain, nodes=2, unsafe_dev_controls=True, answer="admitted"
    ) as running:
        yield running


async def send_two(gateway) -> list[str]:
    return [await gateway.rpc("eth_sendRawTransaction", sign(nonce)) for nonce in (0, 1)]


@pytest.mark.parametrize(
    ("method", "answers"), [("hardhat", (True, False)), ("anvil", ("hash", None))]
)
async def test_one_is_dropped_and_the_others_wait(gateway, method, answers):
    _, last = await send_two(gateway)
    found, missing = answers
    assert await gateway.rpc(f"{method}_dropTransaction", last) == (
        last if found == "hash" else found
    )
    assert len(gateway.chain.pool) == 1
    assert len(gateway.node.submitter.accepted) == 1
    for hash_ in (last, NOWHERE):
        assert await gateway.rpc(f"{method}_dropTransaction", hash_) is missing
    await gateway.mine()
    assert await gateway.rpc("eth_getTransactionReceipt", last) is None


async def test_all_are_dropped(gateway):
    await send_two(gateway)
    assert await gateway.rpc("anvil_dropAllTransactions") is None
    assert gateway.chain.pool == []
    assert len(gateway.node.submitter.accepted) == 0
    assert (await gateway.rpc("txpool_status"))["pending"] == "0x0"


async def test_those_of_one_sender_are_dropped(gateway):
    await send_two(gateway)
    theirs = sign(0, key="0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
    await gateway.rpc("eth_sendRawTransaction", theirs)
    assert await gateway.rpc("anvil_removePoolTransactions", FIRST_ADDRESS) is None
    assert [one.hex() for one in gateway.chain.pool] == [theirs[2:]]


async def test_what_is_in_a_block_stays(gateway):
    first, _ = await send_two(gateway)
    await gateway.mine()
    assert (
        "in a block already" in (await gateway.error("hardhat_dropTransaction", first))["message"]
    )


async def test_a_node_that_is_gone_has_no_pool(gateway):
    _, last = await send_two(gateway)
    gateway.computes[1].is_cut_off = True
    assert await gateway.rpc("hardhat_dropTransaction", last) is True
