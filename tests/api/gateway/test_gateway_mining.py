"""Time and mining by RPC: what is asked of consensus, and that the answer waits for its block."""

import pytest

from tests.support.gateway import running_gateway
from tests.support.signing import sign


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as running:
        yield running


async def number(gateway) -> int:
    return int(await gateway.rpc("eth_blockNumber"), 16)


@pytest.mark.parametrize("seconds", [60, "60", "0x3c"])
async def test_time_is_moved_and_its_block_is_shown(gateway, seconds):
    start = await number(gateway)
    assert await gateway.rpc("evm_increaseTime", seconds) == 60
    assert await number(gateway) == start + 1
    assert await gateway.rpc("evm_increaseTime", seconds) == 120


async def test_a_point_in_time_is_reached_in_seconds_or_milliseconds_and_never_behind(gateway):
    now_s = (await gateway.consensus.fetch_status()).time_ns // 10**9
    assert await gateway.rpc("evm_setTime", now_s + 100) == 100
    now_s = (await gateway.consensus.fetch_status()).time_ns // 10**9
    assert await gateway.rpc("evm_setTime", (now_s + 50) * 1_000) == 50
    error = await gateway.error("evm_setTime", 1_000)
    assert "is before the chain's" in error["message"]
    assert gateway.consensus.moved_ms == 150_000


@pytest.mark.parametrize(
    ("params", "blocks", "chosen"),
    [
        ((), 1, []),
        ((None,), 1, []),
        ((0,), 1, []),
        ((2**33,), 1, [2**33]),
        ((hex(2**33),), 1, [2**33]),
        (({"timestamp": 2**33},), 1, [2**33]),
        (({"blocks": 4},), 4, []),
        (({"blocks": "0x2", "timestamp": "0x200000000"},), 2, [2**33]),
    ],
)
async def test_evm_mine_takes_what_ganache_hardhat_and_anvil_take(gateway, params, blocks, chosen):
    start = await number(gateway)
    assert await gateway.rpc("evm_mine", *params) == "0x0"
    assert await number(gateway) == start + blocks + len(chosen)
    assert gateway.consensus.chosen_s == chosen


@pytest.mark.parametrize("params", [("x",), (-1,), ({"block": 1},), ({"blocks": None, "x": 1},)])
async def test_evm_mine_refuses_what_nobody_means(gateway, params):
    assert (await gateway.error("evm_mine", *params))["code"] == -32602
    assert await number(gateway) == 1


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("evm_increaseTime", 2**63),
        ("evm_increaseTime", "9" * 20),
        ("evm_setIntervalMining", "0xffffffffffffffff"),
        ("anvil_setIntervalMining", 2**63),
        ("hardhat_mine", "9" * 20),
    ],
)
async def test_what_no_clock_can_say_is_refused(gateway, method, value):
    assert (await gateway.error(method, value))["code"] == -32602


@pytest.mark.parametrize("name", ["hardhat_mine", "anvil_mine"])
async def test_blocks_are_a_second_apart_unless_said_otherwise(gateway, name):
    start = await number(gateway)
    for params in ((), ("0x3",), ("0x3", "0x3c"), (2, 0)):
        assert await gateway.rpc(name, *params) is True
    assert await number(gateway) == start + 1 + 3 + 3 + 2
    assert gateway.consensus.intervals_s == [1, 1, 60, 0]


async def test_without_automine_a_transaction_is_answered_at_once_and_waits(gateway):
    assert await gateway.rpc("evm_setAutomine", False) is True
    assert await gateway.rpc("anvil_getAutomine") is False
    hash_ = await gateway.rpc("eth_sendRawTransaction", sign(0))
    assert await gateway.rpc("eth_getTransactionReceipt", hash_) is None
    start = await number(gateway)
    await gateway.rpc("hardhat_mine", 3)
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert int(receipt["blockNumber"], 16) == start + 1
    assert await number(gateway) == start + 3


async def test_a_revert_brings_automine_back(gateway):
    snapshot = await gateway.rpc("anvil_snapshot")
    await gateway.rpc("evm_setAutomine", False)
    assert gateway.node.is_automine is False
    gateway.chain.is_automatic = True  # as the state that is gone back to says
    await gateway.rpc("anvil_revert", snapshot)
    assert gateway.node.is_automine is True


@pytest.mark.parametrize(
    ("client", "method", "given", "interval_ms"),
    [
        ("", "evm_setIntervalMining", 5_000, 5_000),
        ("HardhatNetwork/2", "evm_setIntervalMining", 5_000, 5_000),
        ("anvil/1", "evm_setIntervalMining", 5, 5_000),
        ("", "anvil_setIntervalMining", 5, 5_000),
        ("", "evm_setIntervalMining", 0, 0),
    ],
)
async def test_an_interval_is_what_the_client_means(tmp_path, client, method, given, interval_ms):
    async with running_gateway(
        tmp_path, unsafe_dev_controls=True, client_version=client
    ) as gateway:
        await gateway.rpc(method, given)
        assert gateway.consensus.interval_ms == interval_ms
        assert await gateway.rpc("anvil_getIntervalMining") == interval_ms // 1_000


async def test_the_node_describes_itself_under_the_chosen_name(tmp_path):
    name = "anvil/1.7.1"
    async with running_gateway(tmp_path, unsafe_dev_controls=True, client_version=name) as gateway:
        assert await gateway.rpc("web3_clientVersion") == name
        about = await gateway.rpc("hardhat_metadata")
        assert (about["clientVersion"], about["chainId"]) == (name, 0x5AFD)
        assert about["latestBlockNumber"] == await number(gateway)
        assert await gateway.rpc("anvil_metadata") == about
        info = await gateway.rpc("anvil_nodeInfo")
        environment = info["environment"]
        assert 0 < int(environment["baseFee"], 16) <= int(environment["gasPrice"], 16)
        assert info["currentBlockHash"] == about["latestBlockHash"]
        snapshot = await gateway.rpc("evm_snapshot")
        await gateway.rpc("evm_revert", snapshot)
        # Who keeps anything by this id learns that it is void.
        assert (await gateway.rpc("hardhat_metadata"))["instanceId"] != about["instanceId"]


async def test_a_network_without_dev_controls_has_none_of_them(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        for method in ("evm_increaseTime", "evm_mine", "hardhat_mine", "anvil_nodeInfo"):
            assert (await gateway.error(method))["code"] == -32601


@pytest.mark.parametrize("client", ["anvil", "hardhat"])
async def test_timestamps_are_told_not_to_repeat_and_to_again(gateway, client):
    assert await gateway.rpc(f"{client}_setBlockTimestampInterval", 5) is None
    assert gateway.consensus.step_s == 5
    assert await gateway.rpc(f"{client}_removeBlockTimestampInterval") is True
    assert await gateway.rpc(f"{client}_removeBlockTimestampInterval") is False
    assert gateway.consensus.step_s == 0
