"""Overrides of state and block in `eth_call` and estimates: on public ParaTimes alone."""

import pytest

from services.gateway.probe import PlainCallProbe
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, running_gateway

CHAIN_ID = 0xA514
CONTRACT = "0x" + "c0" * 20
NOBODY = "0x" + "09" * 20
SEEN = "0x33315f525f546020524360405260605ff3"
"""Returns balance of the caller ‖ slot 0 ‖ number of the block."""
SLOT = "0x" + "0" * 64
STATE = {
    CONTRACT: {"code": SEEN, "stateDiff": {SLOT: f"0x{8:064x}"}},
    NOBODY: {"balance": "0x7"},
}
PROFILES = pytest.mark.parametrize("profile", ["strict", "dev"])


def public(tmp_path, **settings):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    return running_gateway(
        tmp_path,
        chain=chain,
        probe=PlainCallProbe(),
        confidential=False,
        chain_id=CHAIN_ID,
        **settings,
    )


@PROFILES
async def test_a_call_sees_the_state_and_the_block_that_it_pretends(tmp_path, profile):
    async with public(tmp_path, profile=profile) as gateway:
        call = {"from": NOBODY, "to": CONTRACT, "data": "0x01"}
        answer = await gateway.rpc("eth_call", call, "latest", STATE, {"number": "0x77"})
        assert answer == "0x" + "".join(f"{one:064x}" for one in (7, 8, 0x77))
        assert await gateway.rpc("eth_call", call, "latest") == "0x"
        assert await gateway.rpc("eth_call", call, "latest", {}, {}) == "0x"
        assert await gateway.rpc("eth_getCode", CONTRACT, "latest") == "0x"


@PROFILES
async def test_an_estimate_pretends_as_a_call_does(tmp_path, profile):
    async with public(tmp_path, profile=profile) as gateway:
        payment = {"from": NOBODY, "to": FIRST_ADDRESS, "value": "0x5"}
        rich = {NOBODY: {"balance": "0x5"}}
        assert int(await gateway.rpc("eth_estimateGas", payment, "latest", rich), 16) < 30_000
        reverting = {CONTRACT: {"code": "0x60075f5260205ffd"}}
        call = {"to": CONTRACT, "from": FIRST_ADDRESS}
        error = await gateway.error("eth_call", call, "latest", reverting)
        assert (error["code"], int(error["data"], 16)) == (3, 7)
        if profile == "dev":
            error = await gateway.error("eth_estimateGas", call, "latest", reverting)
            assert error["code"] == 3


@PROFILES
@pytest.mark.parametrize(
    "state",
    [
        {CONTRACT: {"nonce": "many"}},
        {CONTRACT: {"nonsense": "0x1"}},
        {CONTRACT: {"state": {}, "stateDiff": {}}},
        {"0xbad": {}},
        [],
        "0x",
    ],
)
async def test_overrides_that_cannot_be_read_are_bad_parameters(tmp_path, profile, state):
    async with public(tmp_path, profile=profile) as gateway:
        for method in ("eth_call", "eth_estimateGas"):
            error = await gateway.error(method, {"to": CONTRACT, "data": "0x01"}, "latest", state)
            assert error["code"] == -32602


async def test_a_confidential_paratime_ignores_them_in_strict_and_says_so_in_dev(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        call = {"to": CONTRACT, "data": "0x01"}
        assert await gateway.rpc("eth_call", call, "latest", STATE) == "0x"
    (tmp_path / "dev").mkdir()
    async with running_gateway(tmp_path / "dev", profile="dev") as gateway:
        for method in ("eth_call", "eth_estimateGas"):
            error = await gateway.error(method, call, "latest", STATE)
            assert error["code"] == -32000
            assert "confidential" in error["message"]
        assert await gateway.rpc("eth_call", call, "latest", {}) == "0x"
