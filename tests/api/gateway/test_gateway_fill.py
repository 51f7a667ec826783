"""`eth_fillTransaction`: what it fills in can be signed as it is, and is mined."""

import pytest
from eth_account import Account

from services.gateway import rlp
from tests.support.gateway import FIRST_ADDRESS, FIRST_KEY, running_gateway
from tests.support.signing import GWEI, RECEIVER, sign

CALL = {"from": FIRST_ADDRESS, "to": RECEIVER, "value": "0x7"}
ACCESS = [{"address": RECEIVER, "storageKeys": ["0x" + "22" * 32]}]
TIP = {"maxFeePerGas": hex(200 * GWEI), "maxPriorityFeePerGas": hex(100 * GWEI)}


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, 0), ({"accessList": ACCESS}, 1), (TIP, 2), (TIP | {"accessList": ACCESS}, 2)],
)
async def test_it_is_signed_as_it_is_and_mined(gateway, changes, kind):
    await gateway.send(sign(0))
    filled = await gateway.rpc("eth_fillTransaction", CALL | changes)
    transaction = dict(filled["tx"])
    transaction["data"] = transaction.pop("input")
    assert (transaction["type"], transaction["nonce"]) == (hex(kind), "0x1")
    if kind == 2:
        del transaction["gasPrice"]
    elif kind == 0:
        del transaction["type"]
    signed = Account.sign_transaction(transaction, FIRST_KEY)
    hash_ = await gateway.send("0x" + bytes(signed.raw_transaction).hex())
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"
    # Its bytes are those that were signed, but for the signature.
    ours, theirs = bytes.fromhex(filled["raw"][2:]), bytes(signed.raw_transaction)
    start = 1 if kind else 0
    assert ours[:start] == theirs[:start]
    assert rlp.decode(ours[start:])[:-3] == rlp.decode(theirs[start:])[:-3]
    assert rlp.decode(ours[start:])[-3:] == [b"", b"", b""]


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"from": None}, -32602, "missing from"),
        ({"gasPrice": "0x1"} | TIP, -32602, "both gasPrice and"),
        ({"chainId": "0x1"}, -32000, "chainId does not match"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, -32000, "maxFeePerGas (0x1) <"),
        ({"accessList": 5}, -32602, "accessList"),
    ],
)
async def test_what_contradicts_itself_is_refused(gateway, changes, code, text):
    error = await gateway.error("eth_fillTransaction", CALL | changes)
    assert error["code"] == code
    assert text in error["message"]
