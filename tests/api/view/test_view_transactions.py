"""Transactions through `qanat view`: signed by the tool or here, sealed, found by either hash."""

import asyncio
import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data

from shared.crypto.hashes import keccak256
from tests.api.view.test_view_calls import SECRET, call, encode, send
from tests.support.gateway import FIRST_ADDRESS
from tests.support.signing import GWEI, RECEIVER, sign
from tests.support.view import running_view


def typed(nonce, vault, **changes):
    """A type-2 transaction as cast signs it."""
    fields = {"type": 2, "maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 1, "gasPrice": None}
    fields |= {"to": vault, "value": 0, "data": encode("store", SECRET)}
    return sign(nonce, **(fields | changes))


async def test_what_a_tool_signed_is_sealed_and_known_by_both_hashes(view, gateway, vault):
    raw = typed(1, vault)
    plain_hash = await view.rpc("eth_sendRawTransaction", raw)
    assert plain_hash == "0x" + keccak256(bytes.fromhex(raw[2:])).hex()
    receipt = await view.rpc("eth_getTransactionReceipt", plain_hash)
    assert receipt["status"] == "0x1"
    assert receipt["transactionHash"] == plain_hash
    assert {log["transactionHash"] for log in receipt["logs"]} == {plain_hash}
    real = receipt["chainHash"]
    assert real != plain_hash
    by_real = await view.rpc("eth_getTransactionReceipt", real)
    assert by_real["transactionHash"] == real
    assert by_real["logs"][0]["transactionHash"] == real
    shown = await view.rpc("eth_getTransactionByHash", plain_hash)
    assert (shown["hash"], shown["input"]) == (plain_hash, encode("store", SECRET))
    assert shown["gas"] == hex(200_000)
    assert shown["chainHash"] == real
    assert await view.rpc("eth_getRawTransactionByHash", plain_hash) == raw
    assert await gateway.rpc("eth_getTransactionByHash", plain_hash) is None
    on_chain = await gateway.rpc("eth_getTransactionByHash", real)
    assert on_chain["from"] == FIRST_ADDRESS.lower()
    assert (on_chain["type"], on_chain["nonce"]) == ("0x2", "0x1")
    assert not view.wire.has_heard(SECRET)
    assert await call(view, vault, "reveal") == (SECRET,)


async def test_blocks_logs_and_filters_name_the_hash_that_the_tool_has(view, vault):
    filter_ = await view.rpc("eth_newFilter", {"address": vault})
    pending = await view.rpc("eth_newPendingTransactionFilter")
    plain_hash = await view.rpc("eth_sendRawTransaction", typed(1, vault))
    block = await view.rpc("eth_getBlockByNumber", "latest", False)
    assert block["transactions"] == [plain_hash]
    full = await view.rpc("eth_getBlockByHash", block["hash"], True)
    assert full["transactions"][0]["hash"] == plain_hash
    assert full["transactions"][0]["input"] == encode("store", SECRET)
    (receipt,) = await view.rpc("eth_getBlockReceipts", "latest")
    assert receipt["transactionHash"] == plain_hash
    (log,) = await view.rpc("eth_getFilterChanges", filter_)
    assert log["transactionHash"] == plain_hash
    assert plain_hash in await view.rpc("eth_getFilterChanges", pending)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": None, "gasPrice": 100 * GWEI, "maxFeePerGas": None, "maxPriorityFeePerGas": None},
        {
            "type": 1,
            "gasPrice": 100 * GWEI,
            "maxFeePerGas": None,
            "maxPriorityFeePerGas": None,
            "accessList": [{"address": RECEIVER, "storageKeys": ["0x" + "01" * 32]}],
        },
        {"accessList": [{"address": RECEIVER, "storageKeys": []}]},
    ],
)
async def test_every_type_is_signed_anew_as_what_it_was(view, gateway, vault, changes):
    raw = typed(1, vault, **changes)
    hash_ = await view.rpc("eth_sendRawTransaction", raw)
    receipt = await view.rpc("eth_getTransactionReceipt", hash_)
    assert receipt["status"] == "0x1"
    shown = await view.rpc("eth_getTransactionByHash", hash_)
    on_chain = await gateway.rpc("eth_getTransactionByHash", receipt["chainHash"])
    differs = {"hash", "input", "gas", "v", "r", "s", "yParity", "chainHash"}
    assert {k: v for k, v in shown.items() if k not in differs} == {
        k: v for k, v in on_chain.items() if k not in differs
    }
    assert await view.rpc("eth_getRawTransactionByHash", hash_) == raw


async def test_gas_that_only_covers_plain_calldata_is_enough(view, vault):
    gas = int(
        await view.rpc(
            "eth_estimateGas", {"from": FIRST_ADDRESS, "to": vault, "data": encode("nothing")}
        ),
        16,
    )
    hash_ = await view.rpc(
        "eth_sendRawTransaction", typed(1, vault, data=encode("nothing"), gas=gas - 100)
    )
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_foreign_transactions_in_plain_are_refused_or_pass_as_told(gateway):
    stranger = Account.create()
    async with running_view(gateway) as view:
        await view.rpc("eth_sendRawTransaction", sign(0, to=stranger.address, value=10**18))
        data = encode("store", SECRET)
        raw = sign(0, key=stranger.key, data=data, value=0)
        error = await view.error("eth_sendRawTransaction", raw)
        assert error["code"] == -32000
        assert "holds no key" in error["message"]
        assert not view.wire.has_heard(SECRET)
        assert "refused" in view.lines[-1]
        # Without calldata there is nothing to hide.
        await view.rpc("eth_sendRawTransaction", sign(0, key=stranger.key))
    async with running_view(gateway, passes_foreign=True) as view:
        raw = sign(1, key=stranger.key, data=data, value=0)
        hash_ = await view.rpc("eth_sendRawTransaction", raw)
        assert (await gateway.rpc("eth_getTransactionByHash", hash_))["input"] == data
        assert "LEAKED" in view.lines[-1]


@pytest.mark.parametrize(
    "raw",
    ["0x", "0x01", "0xc0", "0x03" + "c0", "0x04c0", "0xf8" + "ff" * 40, "0x" + SECRET.hex()],
)
async def test_what_cannot_be_read_is_sent_to_nobody(view, raw):
    before = len(view.wire.heard)
    error = await view.error("eth_sendRawTransaction", raw)
    assert error["code"] == -32000
    assert "malformed transaction" in error["message"]
    assert len(view.wire.heard) == before


async def test_errors_of_the_pool_come_through(view, vault):
    error = await view.error("eth_sendRawTransaction", typed(0, vault))
    assert "invalid nonce" in error["message"]
    error = await view.error("eth_sendRawTransaction", typed(1, vault, chainId=1))
    assert error["message"] == "malformed transaction"


async def test_many_sends_of_one_account_get_nonces_in_turn(view, vault):
    sends = [send(view, vault, "store", b"%d" % i, gas="0x100000") for i in range(12)]
    hashes = await asyncio.gather(*sends)
    shown = [await view.rpc("eth_getTransactionByHash", one) for one in hashes]
    assert sorted(int(one["nonce"], 16) for one in shown) == list(range(1, 13))
    assert await call(view, vault, "writes") == (12,)


async def test_a_transaction_can_be_signed_again_after_a_rewind(view, gateway, vault):
    number = gateway.chain.newest.round
    raw = typed(1, vault)
    hash_ = await view.rpc("eth_sendRawTransaction", raw)
    gateway.chain.rewind(number)
    async with asyncio.timeout(20):
        while await view.rpc("eth_getTransactionReceipt", hash_) is not None:
            await asyncio.sleep(0.01)
    assert await view.rpc("eth_sendRawTransaction", raw) == hash_
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_the_same_handed_in_twice_is_one_transaction(view, gateway, vault):
    """As a tool does that heard nothing: what is mined stays what its hash names."""
    gateway.chain.is_automatic = False
    raw = typed(1, vault)
    async with asyncio.TaskGroup() as both:
        sends = [both.create_task(view.rpc("eth_sendRawTransaction", raw)) for _ in range(2)]
        await asyncio.sleep(0.1)
        await gateway.mine()
    (hash_,) = {one.result() for one in sends}
    receipt = await view.rpc("eth_getTransactionReceipt", hash_)
    assert receipt["status"] == "0x1"
    for _ in range(2):
        # Of another epoch, so that it is sealed anew; and refused, since its nonce is spent.
        error = await view.error("eth_sendRawTransaction", raw)
        assert "invalid nonce" in error["message"]
        assert await view.rpc("eth_getTransactionReceipt", hash_) == receipt
        gateway.chain.advance_epoch()
        await gateway.mine()
    assert await call(view, vault, "writes") == (1,)


async def test_fees_are_those_that_were_asked_for(view, gateway):
    plain = {"from": FIRST_ADDRESS, "to": RECEIVER, "value": "0x1"}
    for changes, expected in (
        ({}, ("0x0", 100 * GWEI)),
        ({"gasPrice": hex(120 * GWEI)}, ("0x0", 120 * GWEI)),
        ({"accessList": []}, ("0x1", 100 * GWEI)),
        ({"maxFeePerGas": hex(300 * GWEI), "maxPriorityFeePerGas": "0x2"}, ("0x2", 300 * GWEI)),
    ):
        hash_ = await view.rpc("eth_sendTransaction", plain | changes)
        shown = await gateway.rpc("eth_getTransactionByHash", hash_)
        assert (shown["type"], int(shown["maxFeePerGas"], 16)) == expected
    error = await view.error(
        "eth_sendTransaction", plain | {"gasPrice": "0x1", "maxFeePerGas": "0x1"}
    )
    assert error["code"] == -32602


async def test_results_of_transactions_are_opened(view, gateway, vault):
    hash_ = await send(view, vault, "matches", SECRET, gas="0x100000")
    sealed = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    shown = await view.rpc("oasis_getTransactionOutcome", hash_)
    assert shown["encrypted"] is True
    assert shown["output"] == "0x" + "00" * 32
    assert sealed["output"] != shown["output"]


async def test_signs_without_sending(view, vault):
    request = {"from": FIRST_ADDRESS, "to": vault, "data": encode("store", SECRET)}
    signed = await view.rpc("eth_signTransaction", request)
    assert Account.recover_transaction(signed["raw"]) == FIRST_ADDRESS
    assert SECRET.hex() not in signed["raw"]
    assert await view.rpc("eth_sendRawTransaction", signed["raw"]) == signed["tx"]["hash"]
    shown = await view.rpc("eth_getTransactionByHash", signed["tx"]["hash"])
    assert shown["input"] == encode("store", SECRET)


async def test_messages_are_signed_as_a_wallet_does(view):
    signature = await view.rpc("personal_sign", "0x" + b"hello".hex(), FIRST_ADDRESS)
    assert Account.recover_message(encode_defunct(b"hello"), signature=signature) == FIRST_ADDRESS
    assert await view.rpc("eth_sign", FIRST_ADDRESS, "0x" + b"hello".hex()) == signature
    error = await view.error("eth_sign", RECEIVER, "0x00")
    assert "holds no key" in error["message"]


async def test_typed_data_is_signed_as_a_wallet_does(view):
    typed_data = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Permit": [
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {"name": "a token"},
        "message": {"spender": RECEIVER, "value": 7},
    }
    signable = encode_typed_data(full_message=typed_data)
    for shown in (typed_data, json.dumps(typed_data)):
        signature = await view.rpc("eth_signTypedData_v4", FIRST_ADDRESS, shown)
        assert Account.recover_message(signable, signature=signature) == FIRST_ADDRESS
    before = len(view.wire.heard)
    for bad in ("{", 5, {}, typed_data | {"primaryType": "Nothing"}):
        error = await view.error("eth_signTypedData_v4", FIRST_ADDRESS, bad)
        assert error["code"] == -32602
    assert len(view.wire.heard) == before


async def test_accounts_are_those_whose_keys_are_held(view):
    assert (await view.rpc("eth_accounts"))[0] == FIRST_ADDRESS


async def test_sender_without_key_is_left_to_the_gateway_sealed(view, vault):
    request = {"from": RECEIVER, "to": vault, "data": encode("store", SECRET)}
    await view.error("eth_sendTransaction", request)
    assert b"eth_sendTransaction" in view.wire.heard[-1]
    assert not view.wire.has_heard(SECRET)


async def test_receipt_of_a_sync_send_has_the_hash_of_the_tool(view, vault):
    raw = typed(1, vault)
    receipt = await view.rpc("eth_sendRawTransactionSync", raw, 2_000)
    assert receipt["status"] == "0x1"
    assert receipt["chainHash"] != receipt["transactionHash"]
    assert not view.wire.has_heard(SECRET)


async def test_a_transaction_is_filled_in_and_its_calldata_stays_here(view, gateway, vault):
    asked = {"from": FIRST_ADDRESS, "to": vault, "data": encode("store", SECRET)}
    view.wire.heard.clear()
    filled = await view.rpc("eth_fillTransaction", asked)
    assert not view.wire.has_heard(SECRET)
    shown = filled["tx"]
    assert (shown["input"], shown["nonce"], shown["type"]) == (asked["data"], "0x1", "0x0")
    assert shown["to"].lower() == vault.lower()
    assert filled["raw"].startswith("0x")
    # As the tool goes on: it signs what it got, and that is sealed on its way.
    raw = sign(
        int(shown["nonce"], 16),
        to=vault,
        value=int(shown["value"], 16),
        data=shown["input"],
        gas=int(shown["gas"], 16),
        gasPrice=int(shown["gasPrice"], 16),
    )
    hash_ = await view.rpc("eth_sendRawTransaction", raw)
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"
    assert await call(view, vault, "reveal") == (SECRET,)
    assert not view.wire.has_heard(SECRET)


async def test_what_cannot_be_filled_in_is_a_bad_parameter(view, vault):
    assert (await view.error("eth_fillTransaction", {"to": vault}))["code"] == -32602
    assert (await view.error("eth_fillTransaction"))["code"] == -32602
