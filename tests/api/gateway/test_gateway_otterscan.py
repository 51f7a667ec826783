"""Transactions of an account, page by page, as Otterscan asks for them."""

import pytest

from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.signing import RECEIVER, log_emitter, sign

BEFORE, AFTER = "ots_searchTransactionsBefore", "ots_searchTransactionsAfter"


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def sent(gateway):
    """Five transfers, in blocks of their own, the oldest first."""
    return [await gateway.send(sign(nonce)) for nonce in range(5)]


def hashes(page):
    assert [one["transactionHash"] for one in page["receipts"]] == [
        one["hash"] for one in page["txs"]
    ]
    return [one["hash"] for one in page["txs"]]


async def test_pages_go_back_from_the_newest(gateway, sent):
    first = await gateway.rpc(BEFORE, RECEIVER, 0, 2)
    assert hashes(first) == [sent[4], sent[3]]
    assert (first["firstPage"], first["lastPage"]) == (True, False)
    assert first["receipts"][0]["timestamp"] > 1_000_000
    second = await gateway.rpc(BEFORE, RECEIVER, int(first["txs"][-1]["blockNumber"], 16), 2)
    assert hashes(second) == [sent[2], sent[1]]
    last = await gateway.rpc(BEFORE, RECEIVER, int(second["txs"][-1]["blockNumber"], 16), 2)
    assert hashes(last) == [sent[0]]
    assert (last["firstPage"], last["lastPage"]) == (False, True)


async def test_pages_go_on_from_the_oldest_and_are_shown_newest_first(gateway, sent):
    last = await gateway.rpc(AFTER, RECEIVER, 0, 2)
    assert hashes(last) == [sent[1], sent[0]]
    assert (last["firstPage"], last["lastPage"]) == (False, True)
    above = await gateway.rpc(AFTER, RECEIVER, int(last["txs"][0]["blockNumber"], 16), 3)
    assert hashes(above) == [sent[4], sent[3], sent[2]]
    assert (above["firstPage"], above["lastPage"]) == (True, False)


async def test_senders_and_new_contracts_are_found_and_strangers_are_not(gateway, sent):
    made = await gateway.send(sign(5, to=None, value=0, data=log_emitter(), gas=200_000))
    contract = (await gateway.rpc("eth_getTransactionReceipt", made))["contractAddress"]
    assert hashes(await gateway.rpc(BEFORE, contract, 0, 10)) == [made]
    assert hashes(await gateway.rpc(BEFORE, FIRST_ADDRESS, 0, 10)) == [made, *sent[::-1]]
    nothing = await gateway.rpc(BEFORE, "0x" + "78" * 20, 0, 10)
    assert nothing == {"txs": [], "receipts": [], "firstPage": True, "lastPage": True}
