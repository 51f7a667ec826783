"""What the block index answers: blocks, transactions, receipts, logs, and their shapes."""

import asyncio

import pytest

from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.signing import ACCOUNT, GWEI, RECEIVER, log_emitter, sign

TOPIC_A, TOPIC_B = b"\xaa" * 32, b"\xbb" * 32
NOBODY = "0x" + "77" * 32


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def test_block_has_the_fields_of_sapphire_and_no_base_fee(gateway):
    hash_ = await gateway.send(sign(0))
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    assert "baseFeePerGas" not in block
    assert block["transactions"] == [hash_]
    assert block["gasLimit"] == "0xe4e1c0"
    assert block["miner"] == "0x0000000000000000000000000000000088888888"
    assert block["nonce"] == "0x0000000000000000"
    assert (block["difficulty"], block["totalDifficulty"]) == ("0x0", "0x0")
    assert (block["extraData"], block["uncles"]) == ("0x", [])
    assert block["hash"] == "0x" + gateway.chain.newest.hash().hex()
    assert block["parentHash"] == "0x" + gateway.chain.newest.previous_hash.hex()
    assert block["transactionsRoot"] == "0x" + gateway.chain.newest.io_root.hex()
    assert block["receiptsRoot"].startswith("0x56e81f17")
    assert block["sha3Uncles"].startswith("0x1dcc4de8")
    assert set(block) == {
        "difficulty", "extraData", "gasLimit", "gasUsed", "hash", "logsBloom", "miner", "mixHash",
        "nonce", "number", "parentHash", "receiptsRoot", "sha3Uncles", "size", "stateRoot",
        "timestamp", "totalDifficulty", "transactions", "transactionsRoot", "uncles",
    }  # fmt: skip


async def test_empty_block_shows_the_empty_transactions_root(gateway):
    block = await gateway.rpc("eth_getBlockByNumber", "earliest", True)
    assert block["number"] == "0x0"
    assert block["transactionsRoot"].startswith("0x56e81f17")


async def test_the_same_block_is_found_by_number_tag_and_hash(gateway):
    await gateway.send(sign(0))
    newest = await gateway.rpc("eth_getBlockByNumber", "latest", True)
    for tag in ("pending", newest["number"]):
        assert await gateway.rpc("eth_getBlockByNumber", tag, True) == newest
    assert await gateway.rpc("eth_getBlockByHash", newest["hash"], True) == newest
    assert await gateway.rpc("eth_getBlockHash", newest["number"], False) == newest["hash"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ("0xffff", False)),
        ("eth_getBlockByHash", (NOBODY, True)),
        ("eth_getTransactionByHash", (NOBODY,)),
        ("eth_getTransactionReceipt", (NOBODY,)),
        ("eth_getTransactionByBlockHashAndIndex", (NOBODY, "0x0")),
        ("eth_getTransactionByBlockNumberAndIndex", ("0xffff", "0x0")),
    ],
)
async def test_unknown_things_are_null(gateway, method, params):
    assert await gateway.rpc(method, *params) is None


@pytest.mark.parametrize("tag", ["safe", "finalized"])
async def test_safe_and_finalized_are_malformed_block_numbers(gateway, tag):
    error = await gateway.error("eth_getBlockByNumber", tag, False)
    assert error == {"code": -32000, "message": "malformed blocknumber"}


async def test_transaction_shows_lower_case_addresses_and_what_was_signed(gateway):
    hash_ = await gateway.send(sign(0, data=b"\x01\x02", value=7))
    shown = await gateway.rpc("eth_getTransactionByHash", hash_)
    assert shown["from"] == FIRST_ADDRESS.lower()
    assert shown["to"] == RECEIVER
    assert (shown["input"], shown["value"], shown["nonce"]) == ("0x0102", "0x7", "0x0")
    assert (shown["type"], shown["chainId"], shown["accessList"]) == ("0x0", "0x5afd", None)
    assert shown["gasPrice"] == shown["maxFeePerGas"] == hex(100 * GWEI)
    assert "maxPriorityFeePerGas" in shown
    assert int(shown["v"], 16) in (2 * 0x5AFD + 35, 2 * 0x5AFD + 36)
    assert set(shown) == {
        "accessList", "blockHash", "blockNumber", "blockTimestamp", "chainId", "from", "gas",
        "gasPrice", "hash", "input", "maxFeePerGas", "maxPriorityFeePerGas", "nonce", "r", "s",
        "to", "transactionIndex", "type", "v", "value",
    }  # fmt: skip


async def test_type_two_shows_the_price_paid(gateway):
    raw = sign(0, gasPrice=None, maxFeePerGas=300 * GWEI, maxPriorityFeePerGas=2 * GWEI)
    shown = await gateway.rpc("eth_getTransactionByHash", await gateway.send(raw))
    assert shown["type"] == "0x2"
    assert shown["gasPrice"] == hex(102 * GWEI)
    assert shown["accessList"] == []


async def test_access_list_is_shown(gateway):
    entries = [{"address": RECEIVER, "storageKeys": ["0x" + "05" * 32]}]
    shown = await gateway.rpc(
        "eth_getTransactionByHash", await gateway.send(sign(0, accessList=entries, type=1))
    )
    assert shown["type"] == "0x1"
    assert shown["accessList"] == entries


async def test_receipt_shows_checksummed_addresses(gateway):
    hash_ = await gateway.send(sign(0))
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert receipt["from"] == ACCOUNT.address
    assert receipt["to"] == RECEIVER
    assert receipt["contractAddress"] is None
    assert (receipt["status"], receipt["type"]) == ("0x1", "0x0")
    assert receipt["gasUsed"] == receipt["cumulativeGasUsed"]
    assert receipt["effectiveGasPrice"] == hex(100 * GWEI)
    assert receipt["logsBloom"] == "0x" + "00" * 256
    assert set(receipt) == {
        "blockHash", "blockNumber", "contractAddress", "cumulativeGasUsed", "effectiveGasPrice",
        "from", "gasUsed", "logs", "logsBloom", "status", "to", "transactionHash",
        "transactionIndex", "type",
    }  # fmt: skip


async def test_created_contract_is_named_in_checksum_case(gateway):
    receipt = await gateway.rpc(
        "eth_getTransactionReceipt", await gateway.send(sign(0, to=b"", data=log_emitter(TOPIC_A)))
    )
    assert receipt["to"] is None
    assert receipt["contractAddress"] == "0x5FbDB2315678afecb367f032d93F642f64180aa3"


async def test_transaction_is_invisible_while_it_waits(gateway):
    gateway.chain.is_automatic = False
    hash_ = await gateway.rpc("eth_sendRawTransaction", sign(0))
    assert await gateway.rpc("eth_getTransactionByHash", hash_) is None
    assert await gateway.rpc("eth_getTransactionReceipt", hash_) is None
    await gateway.mine()
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_transactions_are_found_by_their_place(gateway):
    gateway.chain.is_automatic = False
    sent = (gateway.rpc("eth_sendRawTransaction", sign(nonce)) for nonce in range(3))
    hashes = await asyncio.gather(*sent)
    number = hex(await gateway.mine())
    block = await gateway.rpc("eth_getBlockByNumber", number, True)
    assert [one["hash"] for one in block["transactions"]] == hashes
    assert await gateway.rpc("eth_getBlockTransactionCountByNumber", number) == "0x3"
    assert await gateway.rpc("eth_getBlockTransactionCountByHash", block["hash"]) == "0x3"
    for position, hash_ in enumerate(hashes):
        index = hex(position)
        for found in (
            await gateway.rpc("eth_getTransactionByBlockNumberAndIndex", number, index),
            await gateway.rpc("eth_getTransactionByBlockHashAndIndex", block["hash"], index),
        ):
            assert (found["hash"], found["transactionIndex"]) == (hash_, index)
    error = await gateway.error("eth_getTransactionByBlockNumberAndIndex", number, "0x3")
    assert error == {"code": -32000, "message": "index out of range"}


async def emit(gateway, nonce, *topics):
    """Emit an event by a contract of its own; the contract's address."""
    hash_ = await gateway.send(sign(nonce, to=b"", data=log_emitter(*topics, data=b"x" * 40)))
    return (await gateway.rpc("eth_getTransactionReceipt", hash_))["contractAddress"]


async def test_logs_are_filtered_by_address_topics_and_range(gateway):
    first = await emit(gateway, 0, TOPIC_A)
    second = await emit(gateway, 1, TOPIC_A, TOPIC_B)
    await emit(gateway, 2)
    a, b = "0x" + TOPIC_A.hex(), "0x" + TOPIC_B.hex()

    async def count(**criteria):
        return len(await gateway.rpc("eth_getLogs", {"fromBlock": "0x0", **criteria}))

    assert await count() == 3
    assert await count(address=first) == 1
    assert await count(address=[first.lower(), second]) == 2
    assert await count(topics=[a]) == 2
    assert await count(topics=[[a, b]]) == 2
    assert await count(topics=[None, b]) == 1
    assert await count(topics=[b]) == 0
    assert await count(topics=[None]) == 2
    assert await count(topics=[]) == 3
    assert await count(toBlock="0x2") == 1
    (log,) = await gateway.rpc("eth_getLogs", {"fromBlock": "0x0", "topics": [None, b]})
    assert log["address"] == second.lower()
    assert log["topics"] == [a, b]
    assert log["data"] == "0x" + (b"x" * 40).hex()
    assert (log["removed"], log["logIndex"]) == (False, "0x0")
    block = await gateway.rpc("eth_getBlockByNumber", log["blockNumber"], False)
    assert log["blockTimestamp"] == block["timestamp"] != "0x0"
    (by_hash,) = await gateway.rpc("eth_getLogs", {"blockHash": log["blockHash"]})
    assert by_hash == log


async def test_log_index_counts_through_the_block(gateway):
    gateway.chain.is_automatic = False
    raws = [sign(nonce, to=b"", data=log_emitter(TOPIC_A)) for nonce in range(3)]
    await asyncio.gather(*(gateway.rpc("eth_sendRawTransaction", raw) for raw in raws))
    await gateway.mine()
    logs = await gateway.rpc("eth_getLogs", {"fromBlock": "latest"})
    assert [log["logIndex"] for log in logs] == ["0x0", "0x1", "0x2"]
    assert [log["transactionIndex"] for log in logs] == ["0x0", "0x1", "0x2"]
    receipt = await gateway.rpc("eth_getTransactionReceipt", logs[2]["transactionHash"])
    assert receipt["logs"] == [logs[2]]


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (
            {"fromBlock": "0x0", "toBlock": "0x65"},
            "invalid request: max allowed of rounds in logs query is: 100",
        ),
        (
            {"fromBlock": "0x2", "toBlock": "0x1"},
            "invalid request: end round greater than start round",
        ),
        ({"blockHash": NOBODY}, "unknown block"),
    ],
)
async def test_log_queries_that_cannot_be_answered(gateway, criteria, message):
    assert await gateway.error("eth_getLogs", criteria) == {"code": -32000, "message": message}


async def test_a_hundred_rounds_of_logs_are_allowed(gateway):
    assert await gateway.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x64"}) == []
