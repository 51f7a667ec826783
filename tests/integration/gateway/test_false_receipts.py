"""
What the gateway shows is what consensus has finalized, whoever lies.

Compute nodes forge results under true headers, or whole chains; the consensus service shows blocks
that nobody signed, or headers that do not lead to a proven one; an index holds rows from before.
"""

from dataclasses import replace

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from services.gateway.database import open_database
from services.gateway.store import BlockStore
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.errors import PeerUnavailable
from tests.support.fake_compute import RUNTIME_ID, FakeChain, FakeComputeNode
from tests.support.fake_consensus import TRUST_ROOT, FakeConsensus
from tests.support.gateway import BALANCES, running_gateway
from tests.support.rounds import make_chain, make_record
from tests.support.signing import sign
from tests.support.turns import turns, until


def forge_result(block):
    """Say of every transaction that it failed."""
    records = [dict(cbor.decode_loosely(raw)) for raw in block.results]
    forged = [record | {"status": 1 - record["status"]} for record in records]
    return replace(block, results=tuple(map(cbor.encode, forged)))


def forge_logs(block):
    records = [dict(cbor.decode_loosely(raw)) for raw in block.results]
    for record in records:
        record["logs"] = [[b"\x11" * 20, [b"\x22" * 32], b"stolen"]]
    return replace(block, results=tuple(map(cbor.encode, records)))


def drop_all(block):
    return replace(block, transactions=(), results=())


def add_result(block):
    return replace(block, results=(*block.results, *block.results))


def drop_transaction(block):
    return replace(block, transactions=block.transactions[:-1])


FORGERIES = [forge_result, forge_logs, drop_all, add_result, drop_transaction]


def lie(monkeypatch, liar: str, forge) -> None:
    """Have a node forge every round with transactions, streamed or asked for."""
    watch, fetch = FakeComputeNode.watch_rounds, FakeComputeNode.fetch_round

    def shown(node, block):
        is_forged = node.name == liar and block is not None and block.transactions
        return forge(block) if is_forged else block

    async def watch_rounds(self, from_round):
        async for block in watch(self, from_round):
            yield shown(self, block)

    async def fetch_round(self, round):  # noqa: A002
        return shown(self, await fetch(self, round))

    monkeypatch.setattr(FakeComputeNode, "watch_rounds", watch_rounds)
    monkeypatch.setattr(FakeComputeNode, "fetch_round", fetch_round)


def is_up(gateway, position):
    return gateway.node.nodes.members[position].is_up


@pytest.mark.parametrize("forge", FORGERIES)
async def test_forged_results_under_a_true_header_are_never_shown(tmp_path, monkeypatch, forge):
    lie(monkeypatch, "compute-0", forge)
    async with running_gateway(tmp_path, nodes=3) as gateway:
        with capture_logs() as logs:
            for nonce in range(5):
                hash_ = await gateway.send(sign(nonce))
                receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
                assert receipt["status"] == "0x1"
                assert receipt["logs"] == []
                block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
                assert block["transactions"] == [hash_]
            await until(lambda: not is_up(gateway, 0))
        assert is_up(gateway, 1)
        assert is_up(gateway, 2)
        (line,) = [one for one in logs if one["event"] == "compute_node_lies"]
        assert line["compute"] == "compute-0"


async def test_where_only_a_liar_answers_nothing_is_shown(tmp_path, monkeypatch):
    lie(monkeypatch, "compute-0", forge_result)
    async with running_gateway(tmp_path, nodes=2) as gateway:
        gateway.computes[1].is_cut_off = True
        await gateway.mine()
        await until(lambda: not is_up(gateway, 1))
        shown = await gateway.rpc("eth_blockNumber")
        gateway.chain.submit([bytes.fromhex(sign(0)[2:])])
        await until(lambda: not is_up(gateway, 0))
        assert await gateway.rpc("eth_blockNumber") == shown
        gateway.computes[1].is_cut_off = False
        await gateway.until_round(gateway.chain.newest.round)
        block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
        receipt = await gateway.rpc("eth_getTransactionReceipt", block["transactions"][0])
        assert receipt["status"] == "0x1"


async def test_forged_results_of_long_ago_are_refused_while_catching_up(tmp_path, monkeypatch):
    chain = FakeChain(balances=BALANCES)
    hashes = []
    for nonce in range(3):
        (answer,) = chain.submit([bytes.fromhex(sign(nonce)[2:])])
        hashes.append("0x" + answer.tx_hash.hex())
        chain.mine()
    for _ in range(30):
        chain.mine()
    lie(monkeypatch, "compute-0", forge_result)
    async with running_gateway(tmp_path, chain=chain, nodes=2) as gateway:
        for hash_ in hashes:
            receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
            assert receipt["status"] == "0x1"


async def test_chain_that_consensus_never_finalized_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.gateways.finality.FINAL_TIMEOUT_S", 0.05)
    async with running_gateway(tmp_path, nodes=2) as gateway:
        true = gateway.chain
        other = FakeChain(balances=BALANCES)
        for compute in gateway.computes:
            compute.chain = other
        gateway.computes[0].is_cut_off = gateway.computes[1].is_cut_off = True
        true.mine()
        await until(lambda: not is_up(gateway, 0) and not is_up(gateway, 1))
        gateway.computes[0].is_cut_off = gateway.computes[1].is_cut_off = False
        (answer,) = other.submit([bytes.fromhex(sign(0)[2:])])
        other.mine()
        other.mine()
        calls = gateway.computes[0].calls
        calls.clear()
        await until(lambda: calls.count("watch_rounds") > 2)
        hash_ = "0x" + answer.tx_hash.hex()
        assert await gateway.rpc("eth_getTransactionReceipt", hash_) is None
        assert gateway.node.index.newest.header in [one.header for one in true.blocks]


async def test_round_is_shown_only_when_it_is_proven(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        gateway.consensus.is_cut_off = True
        shown = await gateway.rpc("eth_blockNumber")
        gateway.chain.mine()
        await turns()
        assert await gateway.rpc("eth_blockNumber") == shown
        gateway.consensus.is_cut_off = False
        await gateway.until_round(gateway.chain.newest.round)


async def test_blocks_that_the_validators_of_genesis_did_not_sign_prove_nothing(tmp_path):
    chain = FakeChain(balances=BALANCES)
    with capture_logs() as logs:
        async with running_gateway(tmp_path, chain=chain, ready=False) as gateway:
            gateway.consensus._signer = Signer(b"\x99" * 32)
            await until(lambda: [one for one in logs if one["event"] == "finality_unknown"])
            await turns()
            assert gateway.node.index.newest is None
            assert gateway.node.finality.head_round == -1
            error = await gateway.error("eth_blockNumber")
            assert "no block is known yet" in error["message"]


async def test_proven_state_of_another_network_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tests.support.gateway.TRUST_ROOT", replace(TRUST_ROOT, chain_context="cd" * 32)
    )
    with capture_logs() as logs:
        async with running_gateway(tmp_path, ready=False) as gateway:
            await until(lambda: [one for one in logs if one["event"] == "finality_unknown"])
            assert gateway.node.index.newest is None
    assert "genesis document" in next(o for o in logs if o["event"] == "finality_unknown")["reason"]


async def test_headers_of_the_past_that_do_not_lead_to_a_proven_one_are_refused(
    tmp_path, monkeypatch
):
    chain = FakeChain(balances=BALANCES)
    for _ in range(20):
        chain.mine()
    original = FakeConsensus._header

    def forged(self, number):
        header = original(self, number)
        return replace(header, state_root=b"\x66" * 32) if number == 7 else header

    monkeypatch.setattr(FakeConsensus, "_header", forged)
    with capture_logs() as logs:
        async with running_gateway(tmp_path, chain=chain, ready=False) as gateway:
            await until(lambda: [one for one in logs if one["event"] == "finality_unknown"])
            assert gateway.node.index.newest is None
            monkeypatch.setattr(FakeConsensus, "_header", original)
            await gateway.until_round(chain.newest.round)
    assert "another round 7" in next(o for o in logs if o["event"] == "finality_unknown")["reason"]


async def test_an_empty_index_begins_at_the_first_round_though_consensus_has_pruned_it(
    tmp_path, monkeypatch
):
    """Nobody else has what compute nodes keep, so the gateway waits for one that gives it."""
    chain = FakeChain(balances=BALANCES)
    for _ in range(20):
        chain.mine()
    fetch = FakeComputeNode.fetch_headers

    async def silent(self, first, count):
        raise PeerUnavailable("not yet")

    monkeypatch.setattr(FakeComputeNode, "fetch_headers", silent)
    with capture_logs() as logs:
        async with running_gateway(tmp_path, chain=chain, ready=False) as gateway:
            gateway.consensus.oldest_header = 9
            await until(lambda: [one for one in logs if one["event"] == "finality_unknown"])
            assert gateway.node.index.newest is None
            monkeypatch.setattr(FakeComputeNode, "fetch_headers", fetch)
            await gateway.until_round(chain.newest.round)
            assert gateway.node.index.first_number == 0
            assert await gateway.rpc("eth_getBlockByNumber", "0x8", False) is not None
    assert (
        "header of round 8" in next(o for o in logs if o["event"] == "finality_unknown")["reason"]
    )


async def test_index_is_kept_when_consensus_has_pruned_what_follows_it(tmp_path, monkeypatch):
    """The headers between come from compute nodes then, and only where their hash is right."""
    chain = FakeChain(balances=BALANCES)
    async with running_gateway(tmp_path, chain=chain) as gateway:
        hash_ = await gateway.send(sign(0))
        consensus = gateway.consensus
    for _ in range(20):
        chain.mine()
    consensus.oldest_header = 15
    fetch = FakeComputeNode.fetch_headers

    async def lying(self, first, count):
        headers = await fetch(self, first, count)
        if self.name == "compute-0":
            return tuple(replace(header, state_root=b"\x66" * 32) for header in headers)
        return headers

    monkeypatch.setattr(FakeComputeNode, "fetch_headers", lying)
    async with running_gateway(tmp_path, chain=chain, consensus=consensus, nodes=2) as gateway:
        assert await gateway.rpc("eth_getTransactionReceipt", hash_) is not None
        for number in range(chain.newest.round + 1):
            found = await gateway.node.index.find_round(number)
            assert found.header == chain.blocks[number].header


async def test_old_chain_does_not_take_receipts_away(tmp_path):
    """A consensus service that shows what it had before, and proves no rewind, is not followed."""
    chain = FakeChain(balances=BALANCES)
    async with running_gateway(tmp_path, chain=chain) as gateway:
        hashes = [await gateway.send(sign(nonce)) for nonce in range(3)]
        shown = await gateway.rpc("eth_blockNumber")
    # Another start: the light client knows nothing, but the index does.
    kept, chain.blocks = chain.blocks, chain.blocks[:3]
    with capture_logs() as logs:
        async with running_gateway(tmp_path, chain=chain, ready=False) as gateway:
            await until(lambda: [one for one in logs if one["event"] == "finality_unknown"])
            assert await gateway.rpc("eth_blockNumber") == shown
            for hash_ in hashes:
                assert await gateway.rpc("eth_getTransactionReceipt", hash_) is not None
            chain.blocks = kept
            chain.mine()
            await gateway.until_round(chain.newest.round)
    line = next(one for one in logs if one["event"] == "finality_unknown")
    assert "is shown as the newest after" in line["reason"]


async def test_rewind_while_the_gateway_was_down_is_followed(tmp_path):
    chain = FakeChain(balances=BALANCES)
    async with running_gateway(tmp_path, chain=chain) as gateway:
        consensus = gateway.consensus
        hashes = [await gateway.send(sign(nonce)) for nonce in range(3)]
    chain.rewind(2)
    async with running_gateway(tmp_path, chain=chain, consensus=consensus) as gateway:
        assert await gateway.rpc("eth_blockNumber") == "0x2"
        found = [await gateway.rpc("eth_getTransactionReceipt", hash_) for hash_ in hashes]
        assert [receipt is not None for receipt in found] == [True, False, False]
        assert gateway.node.index.incarnation == 1


@pytest.mark.parametrize("false_from", [0, 2, 5])
async def test_index_unlearns_rounds_that_consensus_does_not_have(tmp_path, false_from):
    chain = FakeChain(balances=BALANCES)
    for _ in range(6):
        chain.mine()
    async with running_gateway(tmp_path, chain=chain) as gateway:
        kept = [await gateway.node.index.find_round(number) for number in range(8)]
    store = BlockStore(f"sqlite:///{tmp_path / 'index.sqlite'}", RUNTIME_ID)
    store.rollback(false_from - 1)
    forged = make_chain(6, lambda number: (make_record(("false", number)),), start=false_from)
    store.save_rounds(forged)
    store.close()
    false_hash = "0x" + forged[0].transactions[0].record.hash.hex()
    async with running_gateway(tmp_path, chain=chain) as gateway:
        assert await gateway.rpc("eth_getTransactionReceipt", false_hash) is None
        for number in range(8):
            assert await gateway.node.index.find_round(number) == kept[number]
    store = BlockStore(f"sqlite:///{tmp_path / 'index.sqlite'}", RUNTIME_ID)
    assert store.load_transaction(forged[0].transactions[0].record.hash) is None
    store.close()


def test_rows_from_before_results_were_verified_are_forgotten(tmp_path):
    url = f"sqlite:///{tmp_path / 'index.sqlite'}"
    store = BlockStore(url, RUNTIME_ID)
    store.save_rounds(make_chain(3, lambda number: (make_record(number),)))
    store.close()
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        for column in ("incarnation", "newest_valid"):
            connection.execute(text(f"ALTER TABLE runtimes DROP COLUMN {column}"))
        connection.execute(text("ALTER TABLE rounds DROP COLUMN ethereum_root"))
    engine.dispose()
    store = BlockStore(url, RUNTIME_ID)
    assert store.load_bounds() is None
    store.close()
