"""Compute nodes with real enclaves and a real key manager, over a small consensus."""

import asyncio
from dataclasses import replace

import pytest
from eth_account import Account
from structlog.testing import capture_logs

from services.compute.rules.txpool import SEQUENCE_WINDOW
from shared.api.consensus import FinalizedRound
from shared.api.evm import EvmQueries
from shared.encoding import cbor
from shared.errors import QanatError
from shared.types.block import HeaderType
from tests.support.compute_nodes import (
    RICH,
    WEI,
    assert_all_agree,
    executed,
    raw,
    submit,
    until_executed,
)
from tests.support.signing import log_emitter

WORKERS = ("a", "b", "c")


def scheduler_of(network, round_: int, rank: int = 0) -> str:
    committee = network.chain.committee
    return next(
        name for name in WORKERS if committee.scheduler_rank(round_, network.node_id(name)) == rank
    )


async def test_a_transaction_given_to_a_node_without_part_reaches_every_node(network):
    await submit(network, "d", raw(0))
    await until_executed(network, raw(0))
    assert (await EvmQueries(network.edges["d"]).fetch_account(RICH)).nonce == 1
    await assert_all_agree(network)


async def test_transactions_of_one_sender_run_in_order_whatever_way_they_came(network):
    raws = [raw(nonce) for nonce in range(10)]
    for nonce in (3, 1, 0, 2, 5, 4, 9, 8, 7, 6):
        await submit(network, "abcd"[nonce % 4], raws[nonce])
    await until_executed(network, *raws)
    assert executed(network.nodes["a"]) == raws
    await assert_all_agree(network)


async def test_many_transactions_in_flight_share_rounds(network):
    raws = [raw(nonce, value=nonce) for nonce in range(60)]
    before = network.chain.head.round
    for start in range(0, 60, 10):
        await submit(network, "a", *raws[start : start + 10])
        await network.until(lambda s=start: raws[s] in executed(network.nodes["a"]))
    await until_executed(network, *raws)
    assert network.chain.head.round - before <= 20
    await assert_all_agree(network)


async def test_an_idle_network_makes_empty_rounds(make_network):
    network = await make_network(batch_flush_timeout_ms=30)
    start = network.chain.head.round
    await network.until_round(start + 3)
    newest = network.nodes["d"].feed.find(start + 2)
    assert newest.header.header_type is HeaderType.NORMAL
    assert newest.transactions == ()


async def test_a_scheduler_that_is_cut_off_is_stepped_over(make_network):
    network = await make_network(propose_batch_timeout_ms=40)
    # Without stragglers allowed all three must vote, so only what it sends is cut.
    first = scheduler_of(network, network.chain.head.round + 1)
    other = next(name for name in WORKERS if name != first)
    network.nodes[first]._chain.peers.broadcast_proposal = lambda *_: None
    network.nodes[first]._worker._with.admission.has_work = lambda: False
    network.nodes[first]._worker._propose = lambda *_: None
    await submit(network, other, raw(0))
    await until_executed(network, raw(0))
    schedulers = {v.header.scheduler_id for v in network.chain.all_votes[-3:]}
    assert network.node_id(first) not in schedulers
    await assert_all_agree(network)


async def test_one_lying_worker_is_overruled_by_the_backups_and_heals(network):
    liar = "a"
    original = network.enclaves[liar].call

    async def lie(method, body):
        answer = await original(method, body)
        if method == "execute":
            answer["header"]["state_root"] = b"\xee" * 32
        return answer

    network.enclaves[liar].call = lie
    await submit(network, "b", raw(0))
    await until_executed(network, raw(0))
    assert network.chain.events[-1].finalized
    assert any(event.discrepancies for event in network.chain.events)
    network.enclaves[liar].call = original
    await submit(network, "b", raw(1))
    await until_executed(network, raw(1))
    await assert_all_agree(network)


async def test_a_failed_round_takes_its_transactions_back_into_the_pool(network):
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    network.chain.is_deciding = True
    network.chain.fail_round()
    await until_executed(network, raw(0))
    kinds = [header.header_type for header in network.chain.round_headers]
    assert kinds.count(HeaderType.ROUND_FAILED) == 1
    await assert_all_agree(network)


async def test_rounds_go_on_across_an_epoch_change(network):
    await submit(network, "a", raw(0))
    await until_executed(network, raw(0))
    network.chain.begin_epoch()
    await submit(network, "b", raw(1))
    await until_executed(network, raw(1))
    key = await network.edges["c"].fetch_call_data_key()
    assert key.epoch == network.chain.epoch
    await network.until(lambda: all(node.is_ready for node in network.nodes.values()))
    await assert_all_agree(network)


async def test_an_epoch_change_in_the_same_block_as_a_round_loses_neither(network):
    network.chain.is_deciding = False
    await submit(network, "a", raw(0))
    await network.until(lambda: len(network.chain.votes) == 3)
    vote = next(iter(network.chain.votes.values())).header.results
    chain = network.chain
    chain.epoch += 1
    normal = chain._add_round(HeaderType.NORMAL, vote.state_root, vote.io_root)
    change = chain._add_round(HeaderType.EPOCH_TRANSITION, vote.state_root, normal.io_root)
    chain.is_deciding = True
    chain.make_block(
        is_epoch_change=True,
        finalized=tuple(FinalizedRound(chain.runtime.id, h) for h in (normal, change)),
    )
    await until_executed(network, raw(0))
    await submit(network, "c", raw(1))
    await until_executed(network, raw(1))
    await assert_all_agree(network)


async def test_a_new_node_catches_up_from_its_peers(network):
    for nonce in range(5):
        await submit(network, "a", raw(nonce))
        await until_executed(network, raw(nonce))
    await network.start("e")
    await network.until_round(network.chain.head.round, ["e"])
    assert executed(network.nodes["e"]) == executed(network.nodes["a"])
    await assert_all_agree(network)


@pytest.mark.parametrize("lie", ["none", "forged", "few"])
async def test_a_new_node_catches_up_where_consensus_has_checkpoints_only(
    network, monkeypatch, lie
):
    """Headers between come from a peer, whose own do not count unless they lead to a checkpoint."""
    monkeypatch.setattr("services.compute.catch_up.CHECKPOINT_ROUNDS", 4)
    monkeypatch.setattr("services.compute.catch_up.ROUNDS_AT_ONCE", 3)
    for nonce in range(8):
        await submit(network, "a", raw(nonce))
        await until_executed(network, raw(nonce))
    fetch, asked = network.chain.fetch_round_header, []

    async def pruned(runtime_id, round_):
        asked.append(round_)
        return await fetch(runtime_id, round_) if round_ % 4 == 0 else None

    monkeypatch.setattr(network.chain, "fetch_round_header", pruned)
    for hostile in ("a", "b") if lie != "none" else ():
        edge = network.services[f"{hostile}:1"].find("fetch_headers")[1]
        monkeypatch.setattr(edge, "fetch_headers", _lying(edge.fetch_headers, lie))
    with capture_logs() as logs:
        await network.start("e")
        await network.until_round(network.chain.head.round, ["e"])
    assert executed(network.nodes["e"]) == executed(network.nodes["a"])
    assert {0, 4, 8} <= set(asked)
    refused = [line for line in logs if line["event"] == "peer_answer_refused"]
    assert bool(refused) == (lie != "none")
    await assert_all_agree(network)


def _lying(fetch, lie):
    async def fetch_headers(first, count):
        headers = await fetch(first, count)
        if lie == "few":
            return headers[:-1]
        return (replace(headers[0], state_root=bytes(32)), *headers[1:])

    return fetch_headers


@pytest.mark.parametrize("field", ["diff", "results", "transactions", "state_root"])
async def test_a_peer_that_gives_corrupt_rounds_is_passed_over(network, field):
    await submit(network, "a", raw(0))
    await until_executed(network, raw(0))
    for hostile in ("a", "b"):
        service = network.services[f"{hostile}:1"]
        honest = service.find("fetch_diffs")[1]
        service._served = tuple(
            (contract, _Corrupting(honest, field) if thing is honest else thing)
            for contract, thing in service._served
        )
    await network.start("e")
    await network.until_round(network.chain.head.round, ["e"])
    assert executed(network.nodes["e"]) == [raw(0)]
    await assert_all_agree(network)


class _Corrupting:
    """A peer whose rounds are wrong in one field."""

    def __init__(self, honest, field: str) -> None:
        self._honest, self._field = honest, field

    async def gossip_transactions(self, raws):
        await self._honest.gossip_transactions(raws)

    async def propose(self, proposal):
        await self._honest.propose(proposal)

    async def fetch_diffs(self, from_round, limit):
        answer = []
        for item in await self._honest.fetch_diffs(from_round, limit):
            block, diff = item.block, item.diff
            if block.header.header_type is HeaderType.NORMAL:
                match self._field:
                    case "diff":
                        diff = diff[:-1] + bytes([diff[-1] ^ 1])
                    case "results":
                        block = replace(block, results=(*block.results, b"\xa0"))
                    case "transactions":
                        block = replace(block, transactions=(*block.transactions[1:], b"x"))
                    case "state_root":
                        header = replace(block.header, state_root=b"\xee" * 32)
                        block = replace(block, header=header)
            answer.append(replace(item, block=block, diff=diff))
        return tuple(answer)


async def test_watchers_see_every_round_once_and_in_order(network):
    seen: list[int] = []

    async def watch():
        async for block in network.edges["d"].watch_rounds(0):
            seen.append(block.header.round)

    task = asyncio.create_task(watch())
    for nonce in range(4):
        await submit(network, "a", raw(nonce))
        await until_executed(network, raw(nonce))
    await network.until(lambda: len(seen) > network.chain.head.round)
    task.cancel()
    assert seen == list(range(len(seen)))


async def test_a_query_right_after_a_published_round_sees_its_state(network):
    newest = network.nodes["a"].feed.next_round
    watching = network.edges["a"].watch_rounds(newest)
    await submit(network, "a", raw(0))
    async for block in watching:
        if block.transactions:
            break
    assert (await EvmQueries(network.edges["a"]).fetch_account(RICH)).nonce == 1


async def test_what_a_published_round_paid_can_be_spent_at_once(network):
    second = Account.from_key("0x" + "22" * 32)
    ask = network.enclaves["a"].call

    async def slow_to_advance(method, body):
        if method == "advance":
            await asyncio.sleep(0.05)
        return await ask(method, body)

    network.enclaves["a"].call = slow_to_advance
    watching = network.edges["a"].watch_rounds(network.nodes["a"].feed.next_round)
    await submit(network, "a", raw(0, to=second.address, value=WEI))
    async for block in watching:
        if block.transactions:
            break
    spending = raw(0, key=second.key.hex(), value=1)
    await submit(network, "a", spending)
    await until_executed(network, spending)


async def test_old_rounds_answer_with_their_own_state(network):
    before = network.chain.head.round
    payment = raw(0, value=WEI)
    await submit(network, "a", payment)
    await until_executed(network, payment)
    edge = network.edges["c"]
    assert (await EvmQueries(edge).fetch_account(RICH, before)).balance == 1000 * WEI
    assert (await EvmQueries(edge).fetch_account(RICH)).balance < 999 * WEI
    with pytest.raises(QanatError, match="is not here"):
        await EvmQueries(edge).fetch_account(RICH, network.chain.head.round + 5)


async def test_deploying_asks_the_key_manager_for_a_contract_key_on_every_worker(network):
    calls = network.key_manager.calls
    deploy = raw(0, to=b"", data=log_emitter(b"\x01" * 32), gas=1_000_000)
    await submit(network, "a", deploy)
    await until_executed(network, deploy)
    await assert_all_agree(network)
    block = next(
        block
        for r in range(network.chain.head.round + 1)
        if (block := network.nodes["d"].feed.find(r)).transactions
    )
    assert cbor.decode(block.results[0])["status"] == 1
    assert network.key_manager.calls >= calls


async def test_a_bad_transaction_is_refused_with_the_runtimes_code(network):
    edge = network.edges["a"]
    raws = b"junk", raw(0, gasPrice=1), raw(SEQUENCE_WINDOW + 1)
    answers = await edge.submit_transactions(raws)
    assert [(a.module, a.code) for a in answers][1:] == [("core", 20), ("core", 26)]
    assert answers[0].module == "core"
    await submit(network, "a", raw(0))
    (again,) = await edge.submit_transactions((raw(0),))
    assert again.module != ""


async def test_the_network_goes_on_after_it_was_rewound(network):
    await submit(network, "a", raw(0))
    await until_executed(network, raw(0))
    height, round_ = network.chain.height, network.chain.head.round
    for nonce in (1, 2):
        await submit(network, "b", raw(nonce))
        await until_executed(network, raw(nonce))
    network.chain.rewind(height)
    await network.until(
        lambda: all(node.feed.next_round <= round_ + 1 for node in network.nodes.values())
    )
    assert (await EvmQueries(network.edges["d"]).fetch_account(RICH)).nonce == 1
    other = raw(1, value=77)
    await submit(network, "c", other)
    await until_executed(network, other)
    assert executed(network.nodes["a"]) == [raw(0), other]
    await assert_all_agree(network)


async def test_two_runs_give_equal_roots(make_network):
    roots = []
    for _ in range(2):
        network = await make_network(batch_flush_timeout_ms=60_000)
        for nonce in range(4):
            deploy = raw(nonce, to=b"", data=log_emitter(b"\x02" * 32), gas=1_000_000)
            await submit(network, "abcd"[nonce], deploy)
            await until_executed(network, deploy)
        roots.append([(h.state_root, h.io_root) for h in network.chain.round_headers])
        await network.close()
    assert roots[0] == roots[1]


async def test_a_node_that_was_dead_during_rewinds_drops_the_void_rounds_when_it_returns(
    make_network,
):
    network = await make_network(on_disk=True)
    await submit(network, "a", raw(0))
    await until_executed(network, raw(0))
    height = network.chain.height
    void = [raw(nonce) for nonce in (1, 2, 3)]
    for transaction in void:
        await submit(network, "a", transaction)
        await until_executed(network, transaction)
    await network.kill("d")
    network.chain.rewind(height)
    other = [raw(nonce, value=7) for nonce in range(1, 7)]
    for transaction in other:
        await submit(network, "a", transaction)
        await until_executed(network, transaction, names="abc")
    # By now the chain is higher than when the node died, in heights and in rounds.
    await network.start("d")
    await until_executed(network, *other)
    assert executed(network.nodes["d"]) == [raw(0), *other]
    await assert_all_agree(network)
    await network.until(lambda: len(set(network.chain.arrived.values())) == 1)
    assert set(network.chain.arrived.values()) == {1}


async def test_each_round_is_kept_with_the_epoch_whose_keys_it_used(make_network):
    network = await make_network(on_disk=True)
    first = network.chain.epoch
    for nonce in (0, 1):
        await submit(network, "a", raw(nonce))
        await until_executed(network, raw(nonce))
        if nonce == 0:
            network.chain.begin_epoch()
            await network.until_round(network.chain.head.round)
    blocks = [network.nodes["b"].feed.find(r) for r in range(1, network.chain.head.round + 1)]
    epochs = {block.transactions[0]: block.epoch for block in blocks if block.transactions}
    assert epochs == {raw(0): first, raw(1): first + 1}
    await network.kill("b")
    await network.start("b")
    await network.until_round(blocks[-1].header.round, "b")
    feed = network.nodes["b"].feed
    assert [feed.find(block.header.round) for block in blocks] == blocks
