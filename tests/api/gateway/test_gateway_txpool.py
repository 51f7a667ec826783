"""`txpool_*`: what waits is shown as in go-ethereum, with senders that follow from signatures."""

import pytest

from services.gateway.pooled import UnreadableTransaction, read_transaction
from tests.support.fake_compute import CHAIN_ID, FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, running_gateway
from tests.support.signing import GWEI, RECEIVER, sign

TYPED = {"gasPrice": None, "maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 3 * GWEI, "type": 2}
ACCESS = [{"address": RECEIVER, "storageKeys": ["0x" + "22" * 32]}]


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, is_automatic=False)
    async with running_gateway(tmp_path, chain=chain, answer="admitted") as running:
        yield running


async def test_what_waits_is_shown_by_sender_and_nonce(gateway):
    hashes = [await gateway.rpc("eth_sendRawTransaction", sign(nonce)) for nonce in range(2)]
    content = await gateway.rpc("txpool_content")
    own = content["pending"][FIRST_ADDRESS]
    assert [own["0"]["hash"], own["1"]["hash"]] == hashes
    assert own["0"]["from"] == FIRST_ADDRESS.lower()
    assert (own["0"]["blockNumber"], own["0"]["value"]) == (None, "0x1")
    assert content["queued"] == {}
    assert await gateway.rpc("txpool_status") == {"pending": "0x2", "queued": "0x0"}
    assert await gateway.rpc("txpool_contentFrom", FIRST_ADDRESS) == {"pending": own, "queued": {}}
    nobody = await gateway.rpc("txpool_contentFrom", "0x" + "77" * 20)
    assert nobody == {"pending": {}, "queued": {}}
    texts = (await gateway.rpc("txpool_inspect"))["pending"][FIRST_ADDRESS]
    assert texts["0"] == f"{RECEIVER}: 1 wei + 200000 gas \u00d7 {100 * GWEI} wei"
    await gateway.mine()
    assert await gateway.rpc("txpool_content") == {"pending": {}, "queued": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"chainId": None},
        {"to": None, "data": b"\x60\x00"},
        {"accessList": ACCESS, "type": 1},
        TYPED,
        TYPED | {"accessList": ACCESS, "value": 2**200},
    ],
    ids=["eip-155", "legacy", "create", "2930", "1559", "with slots"],
)
def test_every_kind_of_transaction_is_read(changes):
    raw = bytes.fromhex(sign(7, **changes)[2:])
    found = read_transaction(raw)
    assert "0x" + found.sender.hex() == FIRST_ADDRESS.lower()
    assert found.nonce == 7
    assert found.chain_id == (None if "chainId" in changes else CHAIN_ID)
    assert (found.access_list is not None) == (found.type > 0)
    for end in range(len(raw)):
        with pytest.raises(UnreadableTransaction):
            read_transaction(raw[:end])
    with pytest.raises(UnreadableTransaction):
        read_transaction(raw + b"\0")


@pytest.mark.parametrize(
    "raw", ["", "c0", "80", "f8", "03c0", "02c0", "b8", "bf" + "ff" * 8, "c1" * 2000, "f90000"]
)
def test_what_is_no_transaction_is_refused(raw):
    with pytest.raises(UnreadableTransaction):
        read_transaction(bytes.fromhex(raw))
