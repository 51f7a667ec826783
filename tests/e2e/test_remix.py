"""Remix's own runner, listener and debugger, through `qanat view` on a confidential ParaTime."""

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.support.networks import ProcessNetwork, RpcFailure
from tests.support.node_clients import install_node_packages, run_client
from tests.support.view_command import RunningView

FROM = Account.from_key(
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"
).address
AMOUNT, DOUBLED = 21, 42
ENVELOPE = "0xa264626f6479a4"

pytestmark = [pytest.mark.long, pytest.mark.node]


@pytest.fixture(scope="module")
def remix(node_clients: Path) -> Path:
    folder = node_clients / "remix"
    install_node_packages(folder)
    return folder


def plain(variable: dict[str, Any]) -> Any:
    """The value of a variable, without Remix's notes of its type."""
    value = variable["value"]
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value


def state_of(stop: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(one) for name, one in stop["state"].items()}


def test_remix_deploys_runs_and_debugs_what_is_encrypted(
    process_network: ProcessNetwork, remix: Path
) -> None:
    view = RunningView(process_network)
    try:
        seen = run_client(remix, "remix.mjs", str(view.url), FROM, timeout_s=180)
    finally:
        assert view.close() == 0
    assert seen["statuses"] == [1, 1]
    assert list(seen["looked"].values()) == [f"uint256: {5 + DOUBLED}", "string: savings"]
    assert seen["told"] == ["Purse", "keep(uint256)", {"uint256 amount": str(AMOUNT)}]
    assert seen["events"] == [["Kept", str(AMOUNT)]]
    # Line by line: locals of an inner function, and state before and after it is written.
    inside, after = seen["inside"], seen["after"]
    assert [inside["row"], after["row"]] == [seen["rows"]["inside"], seen["rows"]["after"]]
    assert inside["locals"]["number"]["value"] == str(AMOUNT)
    assert inside["locals"]["result"]["value"] == str(DOUBLED)
    before = {
        "total": "5",
        "sealedUp": False,
        "label": "savings",
        "keeper": {"who": "0x" + FROM[2:].upper(), "since": "7"},
        "history": [],
    }
    assert state_of(inside) == before
    assert state_of(after) == before | {"total": str(5 + DOUBLED), "history": [str(DOUBLED)]}
    assert (inside["slots"], after["slots"]) == (3, 5)
    # Nobody else sees any of it.
    call = next(line for line in view.lines if "0xbfc207cf" in line and "sendTransaction" in line)
    assert "sealed" in call
    newest = process_network.rpc("eth_getBlockByNumber", seen["block"], True)
    (transaction,) = (one for one in newest["transactions"] if one["to"] == seen["purse"].lower())
    assert transaction["input"].startswith(ENVELOPE)
    asked = (newest["hash"], 0, seen["purse"], "0x", 10)
    with pytest.raises(RpcFailure, match="keep secrets"):
        process_network.rpc("debug_storageRangeAt", *asked)
