"""What a pool took is kept until a round holds it, and offered to other nodes meanwhile."""

import asyncio
import itertools

import pytest

from services.gateway import accepted as module
from services.gateway.accepted import FIRST_OFFER_S, MAX_OFFERS, AcceptedTransactions
from services.gateway.submitter import Submitter
from shared.api.compute import Submission
from shared.gateways.compute_nodes import ComputeNodes
from tests.support.rounds import digest, make_record, make_round
from tests.support.virtual_time import run_virtual

HASH = digest("tx", 1)


@pytest.fixture
def accepted():
    ledger = AcceptedTransactions()
    ledger.add(HASH, b"raw", now_s=0)
    return ledger


def test_nothing_is_offered_before_its_time(accepted):
    assert accepted.take_due(FIRST_OFFER_S / 2) == {}
    assert accepted.take_due(FIRST_OFFER_S) == {HASH: b"raw"}
    assert accepted.take_due(FIRST_OFFER_S) == {}


def test_offers_grow_rarer_and_end(accepted):
    times = [s for s in range(10_000) if accepted.take_due(s)]
    assert len(times) == MAX_OFFERS
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert len(accepted) == 0


def test_round_settles_what_it_holds(accepted):
    accepted.add(digest("tx", 2), b"other", now_s=0)
    accepted.apply_round(make_round(0, make_record(1), previous=bytes(32)))
    assert accepted.take_due(FIRST_OFFER_S) == {digest("tx", 2): b"other"}


def test_bytes_are_bounded(accepted, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    accepted.add(digest("tx", 2), bytes(9), now_s=0)
    assert accepted.take_due(FIRST_OFFER_S) == {digest("tx", 2): bytes(9)}


async def never_mined(hash_):
    return False


class Pool:
    """A node that takes every transaction the first time, and refuses as told."""

    def __init__(self):
        self.taken, self.refusal = [], ""

    async def submit_transactions(self, raws):
        self.taken += raws
        return tuple(Submission(raw.rjust(32, b"\0"), self.refusal) for raw in raws)


@pytest.mark.parametrize(
    ("refusal", "offers"),
    [("", MAX_OFFERS), ("txpool", MAX_OFFERS), ("core", 1)],
)
def test_transaction_that_no_round_takes_is_offered_to_all_nodes(refusal, offers):
    async def scenario():
        pools = [Pool() for _ in range(4)]
        nodes = ComputeNodes({str(i): pool for i, pool in enumerate(pools)})
        for node in nodes.members:
            node.round = 1
        submitter = Submitter(nodes, never_mined)
        await submitter.submit(b"tx")
        for pool in pools:
            pool.refusal = refusal
        task = asyncio.create_task(submitter.offer_again())
        await asyncio.sleep(3600)
        task.cancel()
        return pools

    pools = run_virtual(scenario())
    assert sum(len(pool.taken) for pool in pools) == 1 + offers
    assert all(pool.taken for pool in pools) or refusal == "core"
