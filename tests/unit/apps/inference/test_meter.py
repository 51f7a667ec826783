"""Metering: never more than the credit, each epoch charged once, each receipt provable."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.inference.errors import BadApiKey, ChainAway, ChainRefused, NoCredit, NoSuchReceipt
from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices, Usage
from shared.crypto.merkle import verify_merkle_proof

ANA, BEN = b"a" * 32, b"b" * 32
PRICES = Prices(2, 3)
MOST = 10


class Ledger:
    """The contract's rules, in the test's process; answers may get lost, before or after."""

    def __init__(self, **credit):
        self.credit = {ANA: 1_000, BEN: 100} | credit
        self.epochs, self.charged, self.lose = [], [], None

    def credit_wei(self, key_hash):
        return self.credit.get(key_hash, 0)

    def next_epoch(self):
        return len(self.epochs)

    def root_of(self, number):
        return self.epochs[number].root

    def commit(self, epoch):
        if self.lose == "before":
            raise ChainAway("lost")
        if epoch.number != len(self.epochs):
            raise ChainRefused("WrongEpoch")
        self.epochs.append(epoch)
        for owner, amount in epoch.charges:
            self.credit[owner] -= min(amount, self.credit[owner])
            self.charged.append((owner, amount))
        if self.lose == "after":
            raise ChainAway("lost")


def a_meter():
    ledger = Ledger()
    return Meter(ledger, PRICES, MOST), ledger


async def use(meter, owner, prompt=1, completion=1, number=0):
    await meter.admit(owner)
    meter.release(owner)
    receipt = {"receipt_id": f"rcpt-{number}"}
    meter.record(owner, prompt, completion, receipt)
    return receipt


async def test_epoch_charges_what_was_used_and_proves_each_receipt():
    meter, ledger = a_meter()
    receipts = [await use(meter, (ANA, BEN)[at % 2], number=at) for at in range(5)]
    with pytest.raises(NoSuchReceipt):
        meter.proof(receipts[0])
    epoch = await meter.commit()
    assert ledger.charged == [(ANA, 15), (BEN, 10)]
    for receipt, leaf in zip(receipts, epoch.leaves, strict=True):
        shown = meter.proof(receipt)
        aunts = [bytes.fromhex(one) for one in shown["aunts"]]
        root = bytes.fromhex(shown["root"])
        verify_merkle_proof(root, leaf, index=shown["index"], total=5, aunts=aunts)
    assert await meter.commit() is None


async def test_nobody_computes_beyond_his_credit_even_at_once():
    meter, _ = a_meter()
    # One answer costs at most 30, and the credit is 100.
    outcomes = await asyncio.gather(*(meter.admit(BEN) for _ in range(6)), return_exceptions=True)
    assert [type(one) for one in outcomes].count(NoCredit) == 3
    with pytest.raises(BadApiKey):
        await meter.admit(None)
    with pytest.raises(NoCredit):
        await meter.admit(b"c" * 32)


@pytest.mark.parametrize("lose", ["before", "after"])
async def test_lost_answer_charges_once(lose):
    meter, ledger = a_meter()
    await use(meter, ANA, number=1)
    ledger.lose = lose
    with pytest.raises(ChainAway):
        await meter.commit()
    second = await use(meter, ANA, number=2)
    ledger.lose = None
    while await meter.commit():
        pass
    assert sum(amount for _, amount in ledger.charged) == 10
    assert sum(len(one.leaves) for one in ledger.epochs) == 2
    assert meter.proof(second)["epoch"] == 1


async def test_two_instances_share_a_contract_and_each_charges_once():
    first, ledger = a_meter()
    second = Meter(ledger, PRICES, MOST)
    await use(first, ANA, number=1)
    await use(second, BEN, number=2)
    ledger.lose = "before"
    with pytest.raises(ChainAway):
        await first.commit()
    ledger.lose = None
    # The other one takes the number that was sent before.
    assert await second.commit()
    epoch = await first.commit()
    assert epoch is not None
    assert epoch.number == 1
    assert ledger.charged == [(BEN, 5), (ANA, 5)]
    assert await first.commit() is None


@given(st.lists(st.tuples(st.sampled_from([ANA, BEN]), st.integers(1, 30)), max_size=30))
def test_what_is_forgotten_is_what_was_charged(answers):
    usage, total = Usage(), {ANA: 0, BEN: 0}
    for at, (owner, cost) in enumerate(answers):
        usage.add(owner, cost, bytes([at]))
        if at % 4 == 3:
            epoch = usage.end(0)
            usage.add(owner, 1, b"meanwhile")
            usage.forget(epoch)
            for one, amount in epoch.charges:
                total[one] += amount
    for one, amount in usage.end(1).charges:
        total[one] += amount
    extra = [owner for at, (owner, _) in enumerate(answers) if at % 4 == 3]
    for owner in (ANA, BEN):
        paid = sum(cost for one, cost in answers if one == owner) + extra.count(owner)
        assert total[owner] == paid
