"""MetaMask's own controllers: a network is added, and a page writes, reads, pays and signs."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import SECOND_KEY, ProcessNetwork, load_artifact
from tests.support.node_clients import run_client
from tests.support.view_command import RunningView

NOBODY = "0x0000000000000000000000000000000000000000"
SECOND = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ENVELOPE = "0xa264626f6479a4"
SECRET = b"what MetaMask hides from everybody".hex()

pytestmark = [pytest.mark.long, pytest.mark.node]


def use_metamask(folder: Path, url: str | None) -> dict[str, Any]:
    """Have a page write, read, pay and sign by a wallet at an endpoint; what it saw."""
    artifact = load_artifact("Vault")
    seen: dict[str, Any] = run_client(folder, "dapp.mjs", str(url), SECOND_KEY, str(artifact.path))
    assert seen["chainId"] == 0x5AFD
    assert seen["estimated"] == "eth_gasPrice"
    for sent in ("created", "written", "paid"):
        assert (seen[sent]["status"], seen[sent]["receipt"]) == ("confirmed", 1)
        assert seen[sent]["type"] == ("0x2" if seen["is1559"] else "0x0")
    assert seen["received"] == 15 * 10**17
    assert (seen["reason"], seen["custom"]) == ("the reason is plain", "NotOwner")
    assert (seen["typed"], seen["plain"]) == (True, True)
    return seen


@pytest.mark.parametrize(("profile", "is_1559"), [("strict", False), ("dev", True)])
def test_metamask_through_view_is_encrypted(
    process_network: ProcessNetwork, metamask: Path, profile: str, is_1559: bool
) -> None:
    began = process_network.block_number()
    view = RunningView(process_network, "--profile", profile)
    try:
        seen = use_metamask(metamask, view.url)
    finally:
        assert view.close() == 0
    assert (seen["is1559"], seen["whoAmI"], seen["revealed"]) == (is_1559, SECOND, True)
    inputs = [
        one["input"]
        for number in range(began + 1, process_network.block_number() + 1)
        for one in process_network.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]
    ]
    assert [one.startswith(ENVELOPE) for one in inputs] == [True, True, False]
    assert inputs[2] == "0x"
    assert all(SECRET not in one for one in inputs)


def test_metamask_at_the_gateway_is_in_plain(
    process_network: ProcessNetwork, metamask: Path
) -> None:
    seen = use_metamask(metamask, process_network.url)
    assert (seen["is1559"], seen["whoAmI"], seen["revealed"]) == (False, NOBODY, "NotOwner")
    assert SECRET in process_network.rpc("eth_getTransactionByHash", seen["stored"])["input"]
