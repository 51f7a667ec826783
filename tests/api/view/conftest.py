"""A gateway, `qanat view` in front of it, and a contract with a secret."""

import pytest

from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.signing import artifact
from tests.support.view import running_view


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
async def view(gateway):
    async with running_view(gateway) as view:
        yield view


@pytest.fixture
async def vault(view):
    sent = {"from": FIRST_ADDRESS, "data": artifact("Vault")["bytecode"]}
    receipt = await view.rpc(
        "eth_getTransactionReceipt", await view.rpc("eth_sendTransaction", sent)
    )
    assert receipt["status"] == "0x1"
    return receipt["contractAddress"]
