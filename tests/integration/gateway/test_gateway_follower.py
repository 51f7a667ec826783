"""How the gateway follows the chain when nodes fail, lie, fall behind, or the chain is rewound."""

from dataclasses import replace

import pytest
from websockets.asyncio.client import connect

from shared.encoding.record import encode_record
from shared.gateways.follower import COMPARED_ROUNDS
from shared.kit.callers import NotAdmitted
from shared.types.block import RoundBlock
from shared.types.evm import Amount, EvmQuery
from tests.support.fake_compute import FakeChain, FakeComputeNode
from tests.support.fake_consensus import FakeConsensus
from tests.support.gateway import BALANCES, FIRST_ADDRESS, listening, running_gateway
from tests.support.signing import RECEIVER, sign
from tests.support.turns import until


def is_up(gateway, position):
    return gateway.node.nodes.members[position].is_up


async def test_a_node_that_dies_is_not_missed(tmp_path):
    async with running_gateway(tmp_path, nodes=3) as gateway:
        gateway.computes[0].is_cut_off = True
        await gateway.mine()
        await until(lambda: not is_up(gateway, 0))
        for _ in range(6):
            assert await gateway.rpc("eth_getBalance", FIRST_ADDRESS, "latest") != "0x0"
        await gateway.send(sign(0))
        assert gateway.node.readiness.is_ready
        gateway.computes[0].is_cut_off = False
        await until(lambda: is_up(gateway, 0))


async def test_all_nodes_dead_is_an_error_that_says_so_and_heals(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        for compute in gateway.computes:
            compute.is_cut_off = True
        await until(lambda: not is_up(gateway, 0) or gateway.chain.mine())
        error = await gateway.error("eth_getBalance", FIRST_ADDRESS, "latest")
        assert error["code"] == -32000
        assert "does not answer" in error["message"]
        assert await gateway.rpc("eth_blockNumber") != "0x0"
        for compute in gateway.computes:
            compute.is_cut_off = False
        await until(lambda: is_up(gateway, 0) and is_up(gateway, 1))
        assert await gateway.rpc("eth_getBalance", FIRST_ADDRESS, "latest") != "0x0"


async def test_state_is_never_older_than_the_block_that_was_shown(tmp_path):
    async with running_gateway(tmp_path, nodes=3) as gateway:
        for slow in gateway.computes[:2]:
            slow.held_at = gateway.chain.newest.round
        await gateway.send(sign(0, value=5))
        for _ in range(9):
            assert await gateway.rpc("eth_getBalance", RECEIVER, "latest") == "0x5"


async def test_each_epoch_has_other_workers(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        members = gateway.node.nodes.members
        await until(lambda: all(member.is_worker for member in members))
        gateway.computes[0].is_worker = False
        gateway.chain.advance_epoch()
        await until(lambda: not members[0].is_worker)
        assert members[0].is_up
        await gateway.send(sign(0))
        assert "submit_transactions" not in gateway.computes[0].calls


async def test_who_hears_of_many_rounds_late_costs_no_look_into_the_database_for_each(
    tmp_path, monkeypatch
):
    small = {"recent_rounds": 20, "fee_history_rounds": 20}
    async with running_gateway(tmp_path, nodes=2, **small) as gateway:
        late = gateway.computes[1]
        late.held_at = gateway.chain.newest.round
        for _ in range(2 * COMPARED_ROUNDS):
            await gateway.mine()
        await until(lambda: gateway.node.index.newest.number == gateway.chain.newest.round)
        await gateway.node.index.flush()
        store, looks = gateway.node.index._store, []
        load = store.load_round
        monkeypatch.setattr(
            store, "load_round", lambda number: looks.append(number) or load(number)
        )
        late.held_at = None
        await gateway.mine()
        member = gateway.node.nodes.members[1]
        await until(lambda: member.round == gateway.chain.newest.round)
        assert 0 < len(looks) <= COMPARED_ROUNDS
        assert min(looks) >= gateway.chain.newest.round - COMPARED_ROUNDS


async def test_paused_node_does_not_hold_anybody(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        gateway.computes[0].is_paused = True
        await gateway.mine()
        for _ in range(5):
            assert await gateway.rpc("eth_getBalance", FIRST_ADDRESS, "latest") != "0x0"


@pytest.mark.parametrize("keep", [0, 1, 3])
async def test_rewound_chain_takes_the_index_with_it(tmp_path, keep):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        hashes = [await gateway.send(sign(nonce)) for nonce in range(4)]
        kept = 1 + keep
        gateway.chain.rewind(kept)
        # Time goes on differently, so the new round cannot be taken for the old one.
        gateway.chain.advance_epoch()
        await until(lambda: gateway.node.index.newest.header == gateway.chain.newest)
        assert await gateway.rpc("eth_blockNumber") == hex(kept + 1)
        for position, hash_ in enumerate(hashes):
            receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
            assert (receipt is not None) == (position < keep)
        await until(lambda: is_up(gateway, 0) and is_up(gateway, 1))


async def test_rewind_shows_before_a_new_round_comes(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        hash_ = await gateway.send(sign(0))
        gateway.chain.rewind(1)
        await until(lambda: gateway.node.index.newest.number == 1)
        assert await gateway.rpc("eth_getTransactionReceipt", hash_) is None
        assert await gateway.rpc("eth_blockNumber") == "0x1"


async def test_gateway_that_may_not_report_follows_all_the_same(tmp_path, monkeypatch):
    async def refuse(*_):
        raise NotAdmitted("not for you")

    monkeypatch.setattr(FakeConsensus, "report_incarnation", refuse)
    async with running_gateway(tmp_path) as gateway:
        await gateway.mine()


async def test_life_of_the_chain_is_reported_when_the_index_is_in_it(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        hash_ = await gateway.send(sign(0))
        assert gateway.consensus.reported == {"gateway": 0}
        gateway.chain.rewind(1)
        await until(lambda: gateway.consensus.reported == {"gateway": 1})
        assert await gateway.rpc("eth_getTransactionReceipt", hash_) is None


async def test_a_lying_node_is_found_by_asking_consensus(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        liar = FakeChain(balances=BALANCES, name="another chain")
        gateway.computes[0].is_cut_off = True
        await gateway.mine()
        await until(lambda: not is_up(gateway, 0))
        gateway.computes[0].chain = liar
        gateway.computes[0].is_cut_off = False
        gateway.computes[0].calls.clear()
        await until(lambda: gateway.computes[0].calls.count("watch_rounds") > 2)
        assert not is_up(gateway, 0)
        for _ in range(3):
            liar.mine()
            await gateway.mine()
            assert gateway.node.index.newest.header == gateway.chain.newest
        assert gateway.node.readiness.is_ready


async def test_node_that_sends_garbage_results_is_passed_over(tmp_path, monkeypatch):
    original = FakeComputeNode.watch_rounds

    async def garbled(self, from_round):
        async for block in original(self, from_round):
            is_bad = self.name == "compute-0" and block.transactions
            yield replace(block, results=(b"\xff",)) if is_bad else block

    monkeypatch.setattr(FakeComputeNode, "watch_rounds", garbled)
    async with running_gateway(tmp_path, nodes=2) as gateway:
        await gateway.send(sign(0))
        assert (await gateway.rpc("eth_getBlockByNumber", "latest", True))["transactions"]
        await until(lambda: not is_up(gateway, 0))
        assert is_up(gateway, 1)


async def test_round_that_a_stream_left_out_is_fetched(tmp_path, monkeypatch):
    original = FakeComputeNode.watch_rounds

    async def leaky(self, from_round):
        async for block in original(self, from_round):
            if block.header.round % 3 != 2:
                yield block

    monkeypatch.setattr(FakeComputeNode, "watch_rounds", leaky)
    chain = FakeChain(balances=BALANCES)
    for _ in range(8):
        chain.mine()
    async with running_gateway(tmp_path, chain=chain) as gateway:
        for number in range(chain.newest.round + 1):
            assert await gateway.rpc("eth_getBlockByNumber", hex(number), False) is not None


async def test_restart_resumes_and_fetches_what_it_missed(tmp_path):
    chain = FakeChain(balances=BALANCES)
    async with running_gateway(tmp_path, chain=chain) as gateway:
        first = await gateway.send(sign(0))
    chain.mine()
    chain.submit([bytes.fromhex(sign(1)[2:])])
    chain._mine_pool()
    async with running_gateway(tmp_path, chain=chain) as gateway:
        assert gateway.node.index.newest.header == chain.newest
        assert await gateway.rpc("eth_getTransactionReceipt", first) is not None
        block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
        assert len(block["transactions"]) == 1
        assert (await gateway.rpc("eth_feeHistory", "0x2", "latest"))["oldestBlock"] == "0x3"


async def test_another_chain_in_the_same_directory_replaces_the_old_index(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        old = await gateway.send(sign(0))
    other = FakeChain(balances=BALANCES, name="another chain")
    async with running_gateway(tmp_path, chain=other) as gateway:
        await until(lambda: gateway.node.index.newest.header == other.newest)
        assert await gateway.rpc("eth_getTransactionReceipt", old) is None
        shown = await gateway.rpc("eth_getBlockByNumber", "0x0", False)
        assert shown["hash"] == "0x" + other.blocks[0].header.hash().hex()


async def test_epoch_change_probes_every_node_again(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        assert [one["epoch"] for one in gateway.node.readiness.describe()] == [2, 2]
        gateway.chain.advance_epoch()
        await until(lambda: [one["epoch"] for one in gateway.node.readiness.describe()] == [3, 3])
        assert (await gateway.rpc("oasis_callDataPublicKey"))["epoch"] == 3


async def test_price_is_followed_to_the_floor_and_left_alone_there(tmp_path, monkeypatch):
    monkeypatch.setattr("services.gateway.node.PRICE_INTERVAL_S", 0)
    async with running_gateway(tmp_path, default_gas_price_wei=100) as gateway:
        compute, fees = gateway.computes[0], gateway.node.fees
        price = 300

        answer = compute.query

        async def query(method, args, round=None):  # noqa: A002
            if method != EvmQuery.MIN_GAS_PRICE:
                return await answer(method, args, round)
            compute.calls.append(method)
            return encode_record(Amount(price))

        await until(lambda: not gateway.node._may_price_move.is_set())
        monkeypatch.setattr(compute, "query", query)
        await gateway.send(sign(0))
        for price in (300, 200, 100):
            await gateway.mine()
            await until(lambda: fees.min_price_wei == price)  # noqa: B023 - awaited at once
            assert await gateway.rpc("eth_gasPrice") == hex(price)
        compute.calls.clear()
        for _ in range(5):
            await gateway.mine()
        assert EvmQuery.MIN_GAS_PRICE not in compute.calls


async def test_catching_up_with_a_long_chain_keeps_memory_bounded(tmp_path):
    chain = FakeChain(balances=BALANCES)
    template = chain.mine()
    for _ in range(700):
        newest = chain.newest
        header = replace(template.header, round=newest.round + 1, previous_hash=newest.hash())
        chain.blocks.append(RoundBlock(header))
        chain.store.skip(header.round)
    async with running_gateway(tmp_path, chain=chain, recent_rounds=50) as gateway:
        assert gateway.node.index.newest.header == chain.newest
        await gateway.node.index.flush()
        assert len(gateway.node.index._recent) <= 50
        assert await gateway.rpc("eth_getBlockByNumber", "0x5", False) is not None


async def test_clients_keep_every_node_awake_and_health_checks_do_not(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway:
        for path in ("/health", "/health?verbose", "/status", "/metrics"):
            await gateway.client.get(path)
        await gateway.mine()
        assert not any("keep_awake" in compute.calls for compute in gateway.computes)
        for _ in range(3):
            await gateway.rpc("eth_chainId")
        await until(lambda: all("keep_awake" in compute.calls for compute in gateway.computes))
        assert [compute.calls.count("keep_awake") for compute in gateway.computes] == [1, 1]


async def test_who_only_listens_keeps_nodes_awake_with_every_round(tmp_path):
    async with (
        running_gateway(tmp_path) as gateway,
        listening(gateway.app) as port,
        connect(f"ws://127.0.0.1:{port}"),
    ):
        (compute,) = gateway.computes
        await gateway.mine()
        await until(lambda: "keep_awake" in compute.calls)
