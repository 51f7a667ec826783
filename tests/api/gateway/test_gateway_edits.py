"""Edits of the state and impersonation by RPC: what is asked of the owner, and that it is shown."""

import pytest

from services.gateway.unlocked import UNLOCKED_FILE
from shared.rules.dev_transactions import dev_address
from tests.support.fake_compute import SIGNER, FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.signing import GWEI, RECEIVER, sign

STRANGER = "0x" + "77" * 20
ANSWERS_SLOT = "0x5f545f5260205ff3"
"""Answers its first slot: PUSH0 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN."""
OWNER = "0x" + dev_address(SIGNER.public_key).hex()


@pytest.fixture(params=[True, False], ids=["confidential", "public"])
async def gateway(tmp_path, request):
    chain = FakeChain(balances=BALANCES, confidential=request.param)
    settings = {"unsafe_dev_controls": True, "confidential": request.param}
    if not request.param:
        from services.gateway.probe import PlainCallProbe

        settings["probe"] = PlainCallProbe()
    async with running_gateway(tmp_path, chain=chain, **settings) as running:
        yield running


@pytest.mark.parametrize("prefix", ["hardhat", "anvil"])
async def test_accounts_are_what_is_said(gateway, prefix):
    assert await gateway.rpc(f"{prefix}_setBalance", STRANGER, "0x64") is True
    assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x64"
    assert await gateway.rpc(f"{prefix}_setNonce", STRANGER, "0x9") is True
    assert await gateway.rpc("eth_getTransactionCount", STRANGER, "latest") == "0x9"
    assert await gateway.rpc(f"{prefix}_setCode", STRANGER, ANSWERS_SLOT) is True
    assert await gateway.rpc("eth_getCode", STRANGER, "latest") == ANSWERS_SLOT
    assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x64"
    value = "0x" + "ab" * 32
    assert await gateway.rpc(f"{prefix}_setStorageAt", STRANGER, "0x0", value) is True
    assert await gateway.rpc("eth_call", {"to": STRANGER}, "latest") == value
    shown = await gateway.rpc("eth_getStorageAt", STRANGER, "0x0", "latest")
    is_secret = gateway.node.settings.confidential
    assert shown == ("0x" + "00" * 32 if is_secret else value)


async def test_an_edit_is_a_transaction_of_the_owner_in_a_block(gateway):
    start = int(await gateway.rpc("eth_blockNumber"), 16)
    await gateway.rpc("hardhat_setBalance", STRANGER, "0x64")
    block = await gateway.rpc("eth_getBlockByNumber", hex(start + 1), True)
    (shown,) = block["transactions"]
    assert (shown["from"], shown["to"], shown["type"]) == (OWNER, STRANGER, "0x0")
    assert bytes.fromhex(shown["input"][2:]) == b"edit: balance"
    receipt = await gateway.rpc("eth_getTransactionReceipt", shown["hash"])
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", "0x0")
    # Nobody signed it as Ethereum's are signed, so there are no such bytes.
    await gateway.error("debug_getRawTransaction", shown["hash"])


async def test_a_nonce_does_not_fall(gateway):
    await gateway.rpc("hardhat_setNonce", STRANGER, "0x9")
    error = await gateway.error("hardhat_setNonce", STRANGER, "0x8")
    assert "smaller" in error["message"]
    assert await gateway.rpc("eth_getTransactionCount", STRANGER, "latest") == "0x9"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("hardhat_setBalance", ["0x00", "0x1"]),
        ("hardhat_setBalance", [STRANGER, "0x1" + "00" * 32]),
        ("hardhat_setBalance", [STRANGER, -1]),
        ("hardhat_setNonce", [STRANGER, hex(2**64)]),
        ("hardhat_setCode", [STRANGER, "0x0"]),
        ("hardhat_setStorageAt", [STRANGER, "0x" + "00" * 33, "0x1"]),
        ("hardhat_impersonateAccount", ["0x00"]),
    ],
)
async def test_what_cannot_be_is_refused(gateway, method, params):
    assert (await gateway.error(method, *params))["code"] == -32602


@pytest.mark.parametrize("method", ["hardhat_addBalance", "anvil_addBalance"])
async def test_more_is_added_to_a_balance(gateway, method):
    await gateway.rpc("evm_setAccountBalance", STRANGER, "0x64")
    assert await gateway.rpc(method, STRANGER, "0x5") is True
    assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x69"


async def test_the_owners_own_nonce_stays_his(gateway):
    assert "malformed" in (await gateway.error("hardhat_setNonce", OWNER, "0x9"))["message"]


async def test_the_next_price_is_the_one_that_is_said(gateway):
    await gateway.rpc("hardhat_setNextBlockBaseFeePerGas", hex(300 * GWEI))
    error = await gateway.error("eth_sendRawTransaction", sign(0))
    assert "gas price too low" in error["message"]
    await gateway.send(sign(0, gasPrice=300 * GWEI))
    # From there it falls by the chain's own rule, unless somebody says more.
    await gateway.rpc("anvil_setNextBlockBaseFeePerGas", 1)
    await gateway.send(sign(1))


async def test_without_automine_an_edit_makes_a_block(gateway):
    await gateway.rpc("evm_setAutomine", False)
    await gateway.rpc("hardhat_setBalance", STRANGER, "0x7")
    assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x7"


@pytest.mark.parametrize("prefix", ["hardhat", "anvil"])
async def test_who_is_impersonated_sends_and_pays(gateway, prefix):
    call = {"from": STRANGER, "to": RECEIVER, "value": "0x5"}
    assert "unknown account" in (await gateway.error("eth_sendTransaction", call))["message"]
    await gateway.rpc("hardhat_setBalance", STRANGER, hex(10**18))
    assert await gateway.rpc(f"{prefix}_impersonateAccount", STRANGER) is True
    hash_ = await gateway.rpc("eth_sendTransaction", call)
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    assert (receipt["from"], receipt["status"]) == (STRANGER, "0x1")
    assert await gateway.rpc("eth_getBalance", RECEIVER, "latest") == "0x5"
    paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    left = int(await gateway.rpc("eth_getBalance", STRANGER, "latest"), 16)
    assert left == 10**18 - 5 - paid
    assert await gateway.rpc(f"{prefix}_stopImpersonatingAccount", STRANGER) is True
    assert await gateway.rpc(f"{prefix}_stopImpersonatingAccount", STRANGER) is False
    assert "unknown account" in (await gateway.error("eth_sendTransaction", call))["message"]


async def test_contracts_send_and_everybody_may_where_it_is_said(gateway):
    await gateway.rpc("hardhat_setCode", STRANGER, ANSWERS_SLOT)
    await gateway.rpc("hardhat_setBalance", STRANGER, hex(10**18))
    await gateway.rpc("anvil_autoImpersonateAccount", True)
    made = {"from": STRANGER, "data": "0x60015ff3", "gas": hex(200_000)}
    receipt = await gateway.rpc(
        "eth_getTransactionReceipt", await gateway.rpc("eth_sendTransaction", made)
    )
    assert (receipt["status"], receipt["from"]) == ("0x1", STRANGER)
    assert receipt["contractAddress"] is not None
    await gateway.rpc("anvil_autoImpersonateAccount", False)
    assert "unknown account" in (await gateway.error("eth_sendTransaction", made))["message"]
    hash_ = await gateway.rpc("eth_sendUnsignedTransaction", made)
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["from"] == STRANGER


async def test_who_is_unlocked_and_impersonated_signs_himself(tmp_path):
    (tmp_path / UNLOCKED_FILE).write_text(
        '["0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"]'
    )
    async with running_gateway(tmp_path, unsafe_dev_controls=True) as gateway:
        await gateway.rpc("anvil_autoImpersonateAccount", True)
        hash_ = await gateway.rpc("eth_sendTransaction", {"from": FIRST_ADDRESS, "to": RECEIVER})
        assert len(await gateway.rpc("debug_getRawTransaction", hash_)) > 100
        hash_ = await gateway.rpc("eth_sendTransaction", {"from": SECOND_ADDRESS, "to": RECEIVER})
        await gateway.error("debug_getRawTransaction", hash_)


@pytest.mark.parametrize(
    "method",
    ["hardhat_setBalance", "hardhat_impersonateAccount", "eth_sendUnsignedTransaction"],
)
async def test_pages_of_elsewhere_edit_nothing(gateway, method):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [STRANGER, "0x1"]}
    headers = {"origin": "https://evil.example"}
    answer = (await gateway.client.post("/", json=body, headers=headers)).json()
    assert "error" in answer
    assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x0"


async def test_enclaves_without_the_key_refuse_whatever_the_gateway_wants(tmp_path):
    chain = FakeChain(balances=BALANCES, has_dev_controls=False)
    async with running_gateway(tmp_path, chain=chain, unsafe_dev_controls=True) as gateway:
        assert (
            "malformed" in (await gateway.error("hardhat_setBalance", STRANGER, "0x1"))["message"]
        )
        assert await gateway.rpc("eth_getBalance", STRANGER, "latest") == "0x0"


async def test_a_network_without_dev_controls_has_no_such_methods(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        for method in ("hardhat_setBalance", "hardhat_impersonateAccount"):
            assert (await gateway.error(method, STRANGER))["code"] == -32601
