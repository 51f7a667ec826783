"""
Every answer fits the schemas of ethereum/execution-apis, but where the table says why not.

`tests/vectors/execution-apis-deviations.json` is that table: a deviation that is not in it fails,
and so does one that no longer occurs.
"""

import json
import lzma

import pytest

from tests.support.gateway import FIRST_ADDRESS, running_gateway
from tests.support.json_schema import faults_of
from tests.support.metrics_page import ROOT
from tests.support.signing import GWEI, RECEIVER, log_emitter, sign

VECTORS = ROOT / "tests" / "vectors"
RESULTS = json.loads(lzma.decompress((VECTORS / "execution-apis.json.xz").read_bytes()))["results"]
TABLE = json.loads((VECTORS / "execution-apis-deviations.json").read_text())
ABSENT = {name: reason for one in TABLE["absent"] for name in one["methods"] for reason in [one]}
SLOT = "0x" + "00" * 32
TYPED = {"gasPrice": None, "maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 3 * GWEI, "type": 2}
ACCESS = [{"address": RECEIVER, "storageKeys": [SLOT]}]


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def questions(gateway):
    """(method, parameters) of questions whose answers have something in them."""
    topic = b"\x01" * 32
    hashes = [
        await gateway.send(raw)
        for raw in (
            sign(0),
            sign(1, accessList=ACCESS, type=1),
            sign(2, **TYPED),
            sign(3, to=b"", value=0, data=log_emitter(topic, data=b"x")),
            sign(4, to=b"", value=0, data=b"\xfe", gas=100_000),
        )
    ]
    gateway.chain.is_automatic = False
    raw = sign(5)
    receipts = [await gateway.rpc("eth_getTransactionReceipt", one) for one in hashes]
    block, number = receipts[3]["blockHash"], receipts[3]["blockNumber"]
    filters = [
        await gateway.rpc("eth_newFilter", {"fromBlock": "0x0"}),
        await gateway.rpc("eth_newBlockFilter"),
        await gateway.rpc("eth_newPendingTransactionFilter"),
    ]
    await gateway.mine()
    call = {"from": FIRST_ADDRESS, "to": RECEIVER}
    asked = [(name, [one]) for name in BY_HASH for one in (*hashes, SLOT)]
    asked += [(name, [number]) for name in BY_BLOCK]
    asked += [(name, []) for name in WITHOUT if name in RESULTS]
    asked += [
        (f"eth_getBlockBy{kind}", [which, is_full])
        for kind, known, none in (("Hash", block, SLOT), ("Number", number, "0xffff"))
        for which in (known, none)
        for is_full in (True, False)
    ]
    asked += [("eth_getFilterChanges", [one]) for one in filters]
    return [
        *asked,
        ("eth_call", [call, "latest"]),
        ("eth_estimateGas", [call]),
        ("eth_feeHistory", ["0x3", "latest", [25, 75]]),
        ("eth_feeHistory", ["0x3", "latest", []]),
        ("eth_getBalance", [FIRST_ADDRESS, "latest"]),
        ("eth_fillTransaction", [call]),
        ("eth_fillTransaction", [call | {"accessList": ACCESS}]),
        ("eth_fillTransaction", [call | {"maxFeePerGas": "0x1"} | {"maxPriorityFeePerGas": "0x1"}]),
        ("eth_getCode", [RECEIVER, "latest"]),
        ("eth_getStorageAt", [RECEIVER, "0x0", "latest"]),
        ("eth_getTransactionCount", [FIRST_ADDRESS, "pending"]),
        ("eth_getBlockTransactionCountByHash", [block]),
        ("eth_getTransactionByBlockHashAndIndex", [block, "0x0"]),
        ("eth_getTransactionByBlockNumberAndIndex", [number, "0x0"]),
        ("eth_getFilterLogs", [filters[0]]),
        ("eth_getLogs", [{"fromBlock": "0x0"}]),
        ("eth_newFilter", [{}]),
        ("eth_uninstallFilter", [filters[0]]),
        ("eth_sendRawTransaction", [raw]),
        ("txpool_content", []),
        ("txpool_contentFrom", [FIRST_ADDRESS]),
        ("txpool_status", []),
    ]


BY_HASH = ("eth_getTransactionByHash", "eth_getTransactionReceipt", "debug_getRawTransaction")
BY_BLOCK = (
    *("eth_getBlockReceipts", "eth_getBlockTransactionCountByNumber"),
    *("debug_getRawBlock", "debug_getRawHeader", "debug_getRawReceipts"),
)
WITHOUT = (
    *("eth_accounts", "eth_blockNumber", "eth_chainId", "eth_gasPrice", "eth_syncing"),
    *("eth_maxPriorityFeePerGas", "eth_newBlockFilter", "eth_newPendingTransactionFilter"),
    *("net_version", "eth_config"),
)
OTHERS = frozenset(
    {
        *("debug_traceTransaction", "debug_traceBlockByHash", "debug_traceBlockByNumber"),
        *("eth_createAccessList", "eth_getProof", "eth_simulateV1"),
    }
)
"""Traces, and what only a public ParaTime has: their own tests compare them with go-ethereum's."""


async def test_answers_fit_the_specification_but_where_sapphire_differs(gateway):
    found, answered = set(), set()
    for method, params in await questions(gateway):
        answer = await gateway.ask(method, *params)
        assert "error" not in answer or method in ABSENT, (method, params, answer)
        answered.add(method)
        if "error" not in answer:
            faults = faults_of(RESULTS[method], answer["result"], "result")
            found |= {(method, path, fault) for path, fault in faults}
    assert answered | OTHERS | ABSENT.keys() >= RESULTS.keys()
    listed = {
        (method, one["path"], one["fault"])
        for one in TABLE["deviations"]
        for method in one["methods"]
    }
    assert found - listed == set()
    assert listed - found == set(), "these no longer occur"


async def test_what_is_said_to_be_absent_is(gateway):
    for method in ABSENT:
        assert (await gateway.error(method))["code"] == -32601, f"{method} is served now"


def test_each_deviation_has_a_reason():
    for one in (*TABLE["absent"], *TABLE["deviations"]):
        assert len(one["reason"]) > 20, one


async def test_every_method_is_described_and_takes_its_parameters_by_name(gateway):
    document = await gateway.rpc("rpc.discover")
    assert document["openrpc"].startswith("1.")
    methods = {one["name"]: one for one in document["methods"]}
    profile = (await gateway.client.get("/v1/profile")).json()
    assert sorted(methods) == profile["methods"]
    assert all(one["summary"].endswith((".", "?")) for one in methods.values())
    balance = methods["eth_getBalance"]
    assert [(one["name"], one["required"]) for one in balance["params"]] == [
        ("account", True),
        ("block", False),
    ]
    assert balance["result"]["schema"] == {"type": "string"}
    for name, given in (
        ("eth_getBlockByNumber", {"block": "0x1", "withTransactions": False}),
        ("eth_getTransactionByBlockNumberAndIndex", {"block": "0x1", "position": "0x0"}),
    ):
        wanted = {one["name"] for one in methods[name]["params"]}
        assert wanted == given.keys(), wanted
