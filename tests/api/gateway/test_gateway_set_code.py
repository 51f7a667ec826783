"""Transactions of type 4 (EIP-7702) of a public ParaTime; those of type 3 are refused."""

import pytest
from eth_account import Account

from services.gateway import rlp
from services.gateway.authorizations import show_authorizations
from services.gateway.pooled import UnreadableTransaction, read_receiver, read_transaction
from services.gateway.probe import PlainCallProbe
from services.gateway.transactions import encode
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, FIRST_KEY, running_gateway
from tests.support.signing import GWEI, RECEIVER, sign

CHAIN_ID = 0xA514
OWNER = Account.from_key(b"\x0e" * 32)
"""It has no money: somebody else pays for what it takes on."""
COUNTER = "0x" + "cc" * 20
ACCESS = [{"address": RECEIVER, "storageKeys": ["0x" + "22" * 32]}]
FIELDS = {
    "type": 4,
    "chainId": CHAIN_ID,
    "to": OWNER.address,
    "value": 0,
    "gas": 200_000,
    "maxFeePerGas": 200 * GWEI,
    "maxPriorityFeePerGas": 3 * GWEI,
    "accessList": ACCESS,
}


def authorize(key, nonce, address=COUNTER, chain_id=CHAIN_ID):
    return Account.sign_authorization(
        {"chainId": chain_id, "address": address, "nonce": nonce}, key
    )


def set_code(nonce, *authorizations, key=FIRST_KEY, **changes) -> str:
    fields = FIELDS | {"nonce": nonce, "authorizationList": list(authorizations)} | changes
    return "0x" + bytes(Account.sign_transaction(fields, key).raw_transaction).hex()


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    async with running_gateway(
        tmp_path, chain=chain, probe=PlainCallProbe(), confidential=False, chain_id=CHAIN_ID
    ) as running:
        yield running


async def test_an_account_takes_on_code_and_everything_shows_it(gateway):
    raw = set_code(0, authorize(OWNER.key, 0))
    hash_ = await gateway.send(raw)
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert (receipt["status"], receipt["type"]) == ("0x1", "0x4")
    code = await gateway.rpc("eth_getCode", OWNER.address, "latest")
    assert code == "0xef0100" + COUNTER[2:]
    assert await gateway.rpc("eth_getTransactionCount", OWNER.address, "latest") == "0x1"
    shown = await gateway.rpc("eth_getTransactionByHash", hash_)
    (authorization,) = shown["authorizationList"]
    assert (authorization["address"], authorization["nonce"]) == (COUNTER, "0x0")
    assert authorization["chainId"] == hex(CHAIN_ID)
    assert shown["gasPrice"] == receipt["effectiveGasPrice"]
    # The bytes are made again from what the record keeps.
    assert await gateway.rpc("eth_getRawTransactionByHash", hash_) == raw
    assert (await gateway.rpc("debug_getRawReceipts", receipt["blockNumber"]))[0][:4] == "0x04"
    trace = await gateway.rpc("debug_traceTransaction", hash_, {"tracer": "callTracer"})
    assert trace["gasUsed"] == receipt["gasUsed"]


async def test_calls_and_estimates_run_after_the_authorizations_that_they_name(gateway):
    # Returns its own address.
    overrides = {COUNTER: {"code": "0x305f5260205ff3"}}
    signed = authorize(OWNER.key, 0).model_dump(by_alias=True)
    named = {name: signed[name] for name in ("nonce", "yParity", "r", "s", "chainId")}
    listed = [{name: hex(one) for name, one in named.items()} | {"address": COUNTER}]
    call = {"from": FIRST_ADDRESS, "to": OWNER.address, "authorizationList": listed}
    answer = await gateway.rpc("eth_call", call, "latest", overrides)
    assert answer[-40:] == OWNER.address[2:].lower()
    without = {name: one for name, one in call.items() if name != "authorizationList"}
    assert await gateway.rpc("eth_call", without, "latest", overrides) == "0x"
    needed = int(await gateway.rpc("eth_estimateGas", call), 16)
    assert needed > int(await gateway.rpc("eth_estimateGas", without), 16) + 25_000
    traced = await gateway.rpc(
        "debug_traceCall", call, "latest", {"stateOverrides": overrides, "tracer": "callTracer"}
    )
    assert traced["output"] == answer
    filled = (await gateway.rpc("eth_fillTransaction", call))["tx"]
    assert (filled["type"], filled["authorizationList"]) == ("0x4", listed)
    raw = set_code(0, authorize(OWNER.key, 0), gas=int(filled["gas"], 16), accessList=[])
    hash_ = await gateway.send(raw)
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


@pytest.mark.parametrize(
    ("authorization", "text"),
    [
        ({}, "missing required field 'chainId' for SetCodeAuthorization"),
        ("none", "must be an object of chainId"),
        (
            {"chainId": "0x1", "address": COUNTER, "nonce": "0x0", "r": "0x1", "s": "0x1"}
            | {"yParity": "0x100"},
            "yParity: hex number > 8 bits",
        ),
    ],
)
async def test_a_bad_authorization_is_a_bad_parameter(gateway, authorization, text):
    error = await gateway.error("eth_call", {"authorizationList": [authorization]}, "latest")
    assert error["code"] == -32602
    assert text in error["message"]


async def test_what_waits_is_shown_and_read_as_it_was_signed(gateway):
    authorizations = (authorize(OWNER.key, 0), authorize(FIRST_KEY, 8, chain_id=0))
    raw = bytes.fromhex(set_code(7, *authorizations, data=b"\x01\x02")[2:])
    found = read_transaction(raw)
    assert "0x" + found.sender.hex() == FIRST_ADDRESS.lower()
    assert [(one.chain_id, one.nonce) for one in found.authorizations] == [(CHAIN_ID, 0), (0, 8)]
    assert encode(found) == raw
    assert read_receiver(raw) == (bytes.fromhex(OWNER.address[2:]), b"\x01\x02")
    for end in range(len(raw)):
        with pytest.raises(UnreadableTransaction):
            read_transaction(raw[:end])
    assert show_authorizations(found.authorizations)[1]["chainId"] == "0x0"


async def test_a_sender_that_delegates_itself_goes_on_behind_both_nonces(gateway):
    await gateway.send(set_code(0, authorize(FIRST_KEY, 1), to=RECEIVER))
    assert await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "pending") == "0x2"
    hash_ = await gateway.send(sign(2, chainId=CHAIN_ID))
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_no_authorizations_and_blobs_are_refused_with_the_reason(gateway):
    items = rlp.decode(bytes.fromhex(set_code(0, authorize(OWNER.key, 0))[4:]))
    items[9] = []
    error = await gateway.error("eth_sendRawTransaction", "0x04" + rlp.encode(items).hex())
    assert error["message"] == "malformed transaction: the list of authorizations is empty"
    blobs = {name: one for name, one in FIELDS.items() if name != "gasPrice"} | {
        "type": 3,
        "nonce": 0,
        "maxFeePerBlobGas": GWEI,
        "blobVersionedHashes": ["0x01" + "00" * 31],
    }
    signed = Account.sign_transaction(blobs, FIRST_KEY)
    error = await gateway.error(
        "eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()
    )
    assert (error["code"], "no blobs" in error["message"]) == (-32000, True)


async def test_a_confidential_paratime_knows_neither(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        raw = set_code(0, authorize(OWNER.key, 0, chain_id=0x5AFD), chainId=0x5AFD)
        assert (await gateway.error("eth_sendRawTransaction", raw))["message"] == (
            "malformed transaction"
        )
