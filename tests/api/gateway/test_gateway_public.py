"""A public ParaTime through the gateway: Ethereum's own semantics, and no keys."""

import pytest

from services.gateway.probe import PlainCallProbe
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, SECOND_ADDRESS, running_gateway
from tests.support.signing import sign

CHAIN_ID = 0xA514
STORE_SENDER = "0x3360005500"
"""Writes the sender into slot 0."""
SHOW_SENDER_CODE = "3360005260206000f3"
"""Returns the sender."""


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    async with running_gateway(
        tmp_path,
        chain=chain,
        probe=PlainCallProbe(),
        confidential=False,
        chain_id=CHAIN_ID,
        unsafe_dev_controls=True,
    ) as running:
        yield running


async def deploy(gateway, nonce, code: str) -> str:
    runtime = bytes.fromhex(code)
    size = f"60{len(runtime):02x}"
    init = bytes.fromhex(f"{size}600c600039{size}6000f3") + runtime
    raw = sign(nonce, to=b"", value=0, data=init, gas=500_000, chainId=CHAIN_ID)
    receipt = await gateway.rpc("eth_getTransactionReceipt", await gateway.send(raw))
    assert receipt["status"] == "0x1"
    return receipt["contractAddress"]


async def test_it_is_ready_by_plain_calls_and_has_the_chain_id_of_emerald(gateway):
    assert gateway.node.readiness.is_ready
    assert await gateway.rpc("eth_chainId") == "0xa514"
    assert await gateway.rpc("net_version") == "42260"


async def test_there_is_no_key_and_the_error_says_why(gateway):
    error = await gateway.error("oasis_callDataPublicKey")
    assert error["code"] == -32601
    assert "this ParaTime is public" in error["message"]


async def test_calls_have_their_sender(gateway):
    contract = await deploy(gateway, 0, SHOW_SENDER_CODE)
    shown = await gateway.rpc("eth_call", {"from": SECOND_ADDRESS, "to": contract}, "latest")
    assert shown[-40:] == SECOND_ADDRESS[2:].lower()


async def test_storage_is_read_as_it_is(gateway):
    contract = await deploy(gateway, 0, STORE_SENDER[2:])
    await gateway.send(sign(1, to=contract, value=0, chainId=CHAIN_ID))
    value = await gateway.rpc("eth_getStorageAt", contract, "0x0", "latest")
    assert value[-40:] == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"


async def test_contracts_run_under_osaka_and_clients_are_told_so(gateway):
    # TSTORE(0, 1), then CLZ(TLOAD(0)): neither is in Shanghai.
    contract = await deploy(gateway, 0, "60015f5d5f5c1e5f5260205ff3")
    assert int(await gateway.rpc("eth_call", {"to": contract}, "latest"), 16) == 255
    assert (await gateway.rpc("anvil_nodeInfo"))["hardFork"] == "osaka"
    named = (await gateway.rpc("eth_config"))["current"]["precompiles"]
    assert named["P256VERIFY"] == "0x" + "100".zfill(40)
    assert named["BLS12_MAP_FP2_TO_G2"] == "0x" + "11".zfill(40)
    assert "SAPPHIRE_RANDOM_BYTES" not in named
