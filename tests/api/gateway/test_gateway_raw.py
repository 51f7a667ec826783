"""Raw bytes of transactions, receipts, headers and blocks; receipts of a whole block."""

import pytest
import rlp as reference
from eth_account import Account

from services.gateway.rlp import encode
from tests.support.fake_compute import CHAIN_ID
from tests.support.gateway import FIRST_KEY, running_gateway
from tests.support.signing import GWEI, RECEIVER, log_emitter, sign

TYPED = {"to": RECEIVER, "value": 1, "gas": 200_000, "chainId": CHAIN_ID}
ACCESS_LIST = [{"address": RECEIVER, "storageKeys": ["0x" + "01" * 32, "0x" + "00" * 32]}]
KINDS = {
    "legacy": {"gasPrice": 100 * GWEI},
    "long": {"gasPrice": 100 * GWEI, "data": b"\x00\x01" * 500, "gas": 1_000_000},
    "access list": {"gasPrice": 100 * GWEI, "accessList": ACCESS_LIST, "type": 1},
    "fee market": {"maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 0, "type": 2},
    "fee market with access list": {
        "maxFeePerGas": 200 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        "type": 2,
        "accessList": ACCESS_LIST,
    },
}


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


def signed(nonce, changes) -> str:
    fields = TYPED | {"nonce": nonce} | changes
    return "0x" + bytes(Account.sign_transaction(fields, FIRST_KEY).raw_transaction).hex()


async def test_raw_transactions_are_those_that_were_handed_in(gateway):
    raws = [signed(nonce, kind) for nonce, kind in enumerate(KINDS.values())]
    raws.append(sign(len(raws), chainId=None))
    raws.append(sign(len(raws), to=b"", value=0, data=log_emitter(), gas=500_000))
    for raw in raws:
        hash_ = await gateway.send(raw)
        assert await gateway.rpc("debug_getRawTransaction", hash_) == raw
        assert await gateway.rpc("eth_getRawTransactionByHash", hash_) == raw
        receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
        for method, block in (
            ("eth_getRawTransactionByBlockHashAndIndex", receipt["blockHash"]),
            ("eth_getRawTransactionByBlockNumberAndIndex", receipt["blockNumber"]),
        ):
            assert await gateway.rpc(method, block, "0x0") == raw
            assert await gateway.rpc(method, block, "0x7") == "0x"
    assert await gateway.rpc("debug_getRawTransaction", "0x" + "99" * 32) == "0x"


async def test_raw_block_holds_header_and_transactions(gateway):
    gateway.chain.is_automatic = False
    raws = [signed(0, KINDS["legacy"]), signed(1, KINDS["fee market"])]
    gateway.chain.submit([bytes.fromhex(raw[2:]) for raw in raws])
    await gateway.mine()
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    header = await gateway.rpc("debug_getRawHeader", "latest")
    whole = reference.decode(bytes.fromhex((await gateway.rpc("debug_getRawBlock", "latest"))[2:]))
    assert reference.encode(whole[0]).hex() == header[2:]
    assert whole[0][0].hex() == block["parentHash"][2:]
    assert int.from_bytes(whole[0][8], "big") == int(block["number"], 16)
    assert len(whole[0]) == 15
    assert "0x" + reference.encode(whole[1][0]).hex() == raws[0]
    assert "0x" + whole[1][1].hex() == raws[1]
    assert whole[2] == []
    assert (await gateway.error("debug_getRawBlock", "0xffff"))["message"] == "block not found"


async def test_raw_receipts(gateway):
    hash_ = await gateway.send(
        signed(0, KINDS["fee market"] | {"to": b"", "value": 0, "data": log_emitter(b"\xcc" * 32)})
    )
    (raw,) = await gateway.rpc("debug_getRawReceipts", "latest")
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert raw.startswith("0x02")
    status, gas_used, bloom, ((address, topics, data),) = reference.decode(bytes.fromhex(raw[4:]))
    assert hex(int.from_bytes(status, "big")) == receipt["status"]
    assert hex(int.from_bytes(gas_used, "big")) == receipt["cumulativeGasUsed"]
    assert "0x" + bloom.hex() == receipt["logsBloom"]
    assert "0x" + address.hex() == receipt["logs"][0]["address"]
    assert (topics, data) == ([b"\xcc" * 32], b"")


async def test_block_receipts_are_those_of_its_transactions_in_order(gateway):
    gateway.chain.is_automatic = False
    gateway.chain.submit([bytes.fromhex(sign(nonce)[2:]) for nonce in range(3)])
    await gateway.mine()
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    expected = [
        await gateway.rpc("eth_getTransactionReceipt", hash_) for hash_ in block["transactions"]
    ]
    assert len(expected) == 3
    for id_ in ("latest", block["number"], block["hash"], {"blockHash": block["hash"]}):
        assert await gateway.rpc("eth_getBlockReceipts", id_) == expected
    assert await gateway.rpc("eth_getBlockReceipts", "0x0") == []
    assert await gateway.rpc("eth_getBlockReceipts", "0xffff") is None
    assert await gateway.rpc("eth_getBlockReceipts", "0x" + "99" * 32) is None


@pytest.mark.parametrize(
    "item",
    [b"", b"\x00", b"\x7f", b"\x80", b"a" * 55, b"a" * 56, b"a" * 70_000, [], [[], [[]]],
     [b"a" * 30, b"b" * 30], [b"x"] * 300],
)  # fmt: skip
def test_encoding_is_that_of_the_reference(item):
    assert encode(item) == reference.encode(item)


async def test_peers_are_the_compute_nodes_that_deliver(gateway):
    assert await gateway.rpc("net_listening") is True
    assert await gateway.rpc("net_peerCount") == "0x1"
