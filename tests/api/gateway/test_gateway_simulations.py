"""
`eth_simulateV1` on a public ParaTime: what it refuses and with which code, and what it shows.

With the archive of ethereum/execution-apis beside the checkout, its recorded files are put to a
ParaTime that stands where their chain stands; `tests/vectors/simulation-deviations.json` says of
which the answer is another, and why.
"""

import json
import lzma

import pytest

from services.gateway.probe import PlainCallProbe
from shared.crypto.hashes import keccak256
from tests.support.execution_apis import ABSENT, ARCHIVE, recorded_files, unpack
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.json_schema import faults_of
from tests.support.metrics_page import ROOT
from tests.support.signing import sign
from tests.support.simulations import HEAD, HEAD_TIME_S, accounts_of, differing, simulations

VECTORS = ROOT / "tests" / "vectors"
TABLE = json.loads((VECTORS / "simulation-deviations.json").read_text())
RESULTS = json.loads(lzma.decompress((VECTORS / "execution-apis.json.xz").read_bytes()))["results"]
CHAIN_ID = 0xA514
POOR = "0x" + "c0" * 20
SHA256 = "0x" + "00" * 19 + "02"
ELSEWHERE = "0x" + "00" * 17 + "123456"
PRICE = hex(100 * 10**9)
"""The least of the chain."""
LONG = "0x" + "00" * 0x20001
"""Init code over 128 KiB."""
PAY = {"from": FIRST_ADDRESS, "to": SECOND_ADDRESS, "value": "0x1"}


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    async with running_gateway(
        tmp_path, chain=chain, probe=PlainCallProbe(), confidential=False, chain_id=CHAIN_ID
    ) as running:
        yield running


def payload(*calls, validation=False, **block):
    return {"blockStateCalls": [block | {"calls": list(calls)}], "validation": validation}


@pytest.mark.parametrize(
    ("call", "validates", "code", "words"),
    [
        ({"nonce": "0x0"}, True, -38012, "less than block base fee"),
        ({"maxFeePerGas": PRICE, "nonce": "0x1"}, True, -38011, "nonce too high"),
        ({"maxFeePerGas": PRICE, "gas": "0x5207"}, True, -38013, "intrinsic gas too low"),
        ({"maxFeePerGas": hex(10**30)}, True, -38014, "insufficient funds for gas"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, True, -32602, "higher than max"),
        ({"value": hex(10**30)}, False, -38014, "insufficient funds for gas * price + value"),
        ({"gas": "0x1"}, False, -38013, "intrinsic gas too low"),
        ({"gas": hex(2**40)}, False, -38015, "block gas limit reached"),
        ({"to": None, "data": LONG}, False, -38025, "max initcode size exceeded"),
        ({"chainId": "0x1"}, False, -32000, "chainId does not match"),
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, False, -32000, "both gasPrice and"),
        ({"blobVersionedHashes": ["0x01" + "00" * 31]}, False, -32602, "no blobs"),
        ({"nonce": "0x" + "f" * 17}, False, -32602, "64 bits"),
    ],
)
async def test_a_call_that_may_not_run_refuses_the_whole(gateway, call, validates, code, words):
    wanted = payload(PAY, PAY | call, validation=False)
    wanted["validation"] = validates
    if validates:
        wanted["blockStateCalls"][0]["calls"].pop(0)
    error = await gateway.error("eth_simulateV1", wanted, "latest")
    assert error["code"] == code
    assert words in error["message"]


async def test_a_nonce_that_is_used_is_refused_only_with_validation(gateway):
    await gateway.send(sign(0, chainId=CHAIN_ID))
    call = PAY | {"nonce": "0x0", "maxFeePerGas": PRICE}
    error = await gateway.error("eth_simulateV1", payload(call, validation=True), "latest")
    assert (error["code"], "nonce too low" in error["message"]) == (-38010, True)
    (block,) = await gateway.rpc("eth_simulateV1", payload(call), "latest")
    assert block["calls"][0]["status"] == "0x1"


async def test_a_simulation_shows_the_transactions_that_calls_would_be(gateway):
    offered = PAY | {"maxFeePerGas": PRICE, "maxPriorityFeePerGas": "0x1", "gas": "0x5208"}
    wanted = payload(offered, PAY | {"gasPrice": PRICE, "gas": "0x5208"}, validation=True)
    wanted |= {"returnFullTransactions": True, "traceTransfers": True}
    (block,) = await gateway.rpc("eth_simulateV1", wanted, "latest")
    assert block["baseFeePerGas"] == PRICE
    first, second = block["transactions"]
    assert (first["type"], first["nonce"], first["chainId"]) == ("0x2", "0x0", hex(CHAIN_ID))
    assert (second["type"], second["nonce"], second["gasPrice"]) == ("0x0", "0x1", PRICE)
    filled = await gateway.rpc("eth_fillTransaction", offered | {"nonce": "0x0"})
    assert first["hash"] == "0x" + keccak256(bytes.fromhex(filled["raw"][2:])).hex()
    assert [call["logs"][0]["transactionHash"] for call in block["calls"]] == [
        first["hash"],
        second["hash"],
    ]
    assert [call["logs"][0]["logIndex"] for call in block["calls"]] == ["0x0", "0x1"]
    assert int(block["logsBloom"], 16) != 0
    assert list(faults_of(RESULTS["eth_simulateV1"], [block], "result")) == []


async def test_without_validation_nothing_is_asked_of_the_price(gateway):
    given = {"index": "0x0", "validatorIndex": "0x1", "address": POOR, "amount": "0x1"}
    blocks = [
        {"blockOverrides": {"withdrawals": [given], "feeRecipient": POOR}, "calls": [PAY]},
        {"calls": [{"from": POOR, "to": SECOND_ADDRESS, "value": hex(10**9)}]},
    ]
    ran = await gateway.rpc("eth_simulateV1", {"blockStateCalls": blocks}, "latest")
    assert [block["baseFeePerGas"] for block in ran] == ["0x0", "0x0"]
    assert ran[0]["withdrawals"] == [given]
    assert [block["miner"] for block in ran] == [POOR, POOR]
    assert ran[1]["calls"][0]["status"] == "0x1"
    assert list(faults_of(RESULTS["eth_simulateV1"], ran, "result")) == []


async def test_contracts_see_the_hashes_that_simulated_blocks_show(gateway):
    looks = {POOR: {"code": "0x600143034060005260206000f3"}}
    blocks = [{"stateOverrides": looks, "calls": [{"to": POOR}]}, {"calls": [{"to": POOR}]}]
    ran = await gateway.rpc("eth_simulateV1", {"blockStateCalls": blocks}, "latest")
    assert [block["calls"][0]["returnData"] for block in ran] == [
        block["parentHash"] for block in ran
    ]


async def test_precompiles_move_in_calls_too(gateway):
    moved = {SHA256: {"movePrecompileToAddress": ELSEWHERE}}
    call = {"data": "0x01"}
    known = await gateway.rpc("eth_call", call | {"to": SHA256}, "latest")
    there = await gateway.rpc("eth_call", call | {"to": ELSEWHERE}, "latest", moved)
    assert there == known != "0x"
    assert await gateway.rpc("eth_call", call | {"to": SHA256}, "latest", moved) == "0x"
    wrong = {ELSEWHERE: {"movePrecompileToAddress": SHA256}}
    for method, params in (
        ("eth_call", [{"to": SHA256}, "latest", wrong]),
        ("eth_simulateV1", [payload(stateOverrides=wrong), "latest"]),
    ):
        error = await gateway.error(method, *params)
        assert (error["code"], error["message"].endswith("is not a precompile")) == (-32000, True)


async def test_what_costs_too_much_is_told_with_the_code_of_limits(gateway):
    loops = {POOR: {"code": "0x5b5f56"}}
    calls = [{"to": POOR}] * 1001
    error = await gateway.error("eth_simulateV1", payload(*calls), "latest")
    assert (error["code"], "1000 calls" in error["message"]) == (-38026, True)
    blocks = [{"stateOverrides": loops, "calls": [{"to": POOR}]}] * 5
    error = await gateway.error("eth_simulateV1", {"blockStateCalls": blocks}, "latest")
    assert error["code"] == -38026


@pytest.mark.skipif(not ARCHIVE.exists(), reason=ABSENT)
async def test_recorded_files_are_answered_as_by_ethereum_but_where_a_paratime_differs(tmp_path):
    folder = unpack(tmp_path)
    genesis = json.loads((folder / "genesis.json").read_text())
    # Where the recorded chain stands, the zero address has received fees.
    accounts = [*accounts_of(genesis), (bytes(20), 1, 0, b"", [])]
    chain_id = genesis["config"]["chainId"]
    chain = FakeChain(
        chain_id=chain_id, confidential=False, accounts=accounts, start_s=HEAD_TIME_S - HEAD
    )
    while chain.newest.round < HEAD:
        chain.mine()
    found = set()
    async with running_gateway(
        tmp_path, chain=chain, probe=PlainCallProbe(), confidential=False, chain_id=chain_id
    ) as gateway:
        for one in simulations(recorded_files(folder)):
            for exchange in one.exchanges:
                answer = (await gateway.client.post("/", json=exchange.request)).json()
                if list(differing(answer, exchange.response)):
                    found.add(one.name.removeprefix("eth_simulateV1/ethSimulate-"))
    assert found == {name for one in TABLE["deviations"] for name in one["files"]}
