"""Traces, simulations and what explorers ask, through the gateway of a public ParaTime."""

import asyncio

import pytest

from services.gateway.probe import PlainCallProbe
from services.gateway.rpc import parity
from shared.crypto.hashes import keccak256
from shared.types.evm import EvmQuery
from tests.support.fake_compute import FakeChain
from tests.support.gateway import (
    BALANCES,
    FIRST_ADDRESS,
    SECOND_ADDRESS,
    running_gateway,
)
from tests.support.signing import sign

CHAIN_ID = 0xA514
CELL = "36600c575f545f5260205ff35b5f355f5500"
"""Returns slot 0 on empty calldata, else stores the first word of calldata there."""
NO_LUCK = "60075f5260205ffd"
"""Reverts with the word 7."""
WORD = "0x" + f"{8:064x}"
CALL_TRACER = {"tracer": "callTracer"}


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES, chain_id=CHAIN_ID, confidential=False)
    async with running_gateway(
        tmp_path, chain=chain, probe=PlainCallProbe(), confidential=False, chain_id=CHAIN_ID
    ) as running:
        yield running


def forwarder(target: str) -> str:
    """Code that hands its calldata on."""
    return f"365f5f375f5f365f5f73{target[2:]}5af1005b"


async def deploy(gateway, nonce, code: str) -> str:
    runtime = bytes.fromhex(code)
    size = f"60{len(runtime):02x}"
    init = bytes.fromhex(f"{size}600c600039{size}6000f3") + runtime
    raw = sign(nonce, to=b"", value=0, data=init, gas=500_000, chainId=CHAIN_ID)
    receipt = await gateway.rpc("eth_getTransactionReceipt", await gateway.send(raw))
    assert receipt["status"] == "0x1"
    return receipt["contractAddress"]


@pytest.fixture
async def cell(gateway):
    return await deploy(gateway, 0, CELL)


async def write(gateway, nonce, to, word=WORD) -> str:
    return await gateway.send(
        sign(nonce, to=to, value=0, data=bytes.fromhex(word[2:]), gas=500_000, chainId=CHAIN_ID)
    )


async def test_a_trace_has_the_gas_of_the_receipt_and_the_calls_inside(gateway, cell):
    through = await deploy(gateway, 1, forwarder(cell))
    hash_ = await write(gateway, 2, through)
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    trace = await gateway.rpc("debug_traceTransaction", hash_, CALL_TRACER)
    assert (trace["from"], trace["to"]) == (FIRST_ADDRESS.lower(), through.lower())
    assert (trace["gasUsed"], trace["input"]) == (receipt["gasUsed"], WORD)
    assert [inner["to"] for inner in trace["calls"]] == [cell.lower()]


async def test_without_a_tracer_steps_are_shown(gateway, cell):
    hash_ = await write(gateway, 1, cell)
    steps = await gateway.rpc("debug_traceTransaction", hash_)
    assert [step["op"] for step in steps["structLogs"]][-2:] == ["SSTORE", "STOP"]
    few = await gateway.rpc("debug_traceTransaction", hash_, {"limit": 2, "disableStack": True})
    assert len(few["structLogs"]) == 2
    assert "stack" not in few["structLogs"][0]


async def test_blocks_are_traced_whole_by_number_and_hash(gateway, cell):
    gateway.chain.is_automatic = False
    words = [f"0x{number:064x}" for number in (3, 4)]
    raws = [
        sign(1 + i, to=cell, value=0, data=bytes.fromhex(word[2:]), gas=99_999, chainId=CHAIN_ID)
        for i, word in enumerate(words)
    ]
    gateway.chain.submit([bytes.fromhex(raw[2:]) for raw in raws])
    number = hex(await gateway.mine())
    block = await gateway.rpc("eth_getBlockByNumber", number, False)
    by_number = await gateway.rpc("debug_traceBlockByNumber", number, CALL_TRACER)
    assert [one["txHash"] for one in by_number] == block["transactions"]
    assert [one["result"]["input"] for one in by_number] == words
    by_hash = await gateway.rpc("debug_traceBlockByHash", block["hash"], CALL_TRACER)
    assert by_hash == by_number
    # The second begins where the first ended.
    diff = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    second = await gateway.rpc("debug_traceTransaction", block["transactions"][1], diff)
    slot = "0x" + "0" * 64
    assert second["pre"][cell.lower()]["storage"][slot] == words[0]
    assert second["post"][cell.lower()]["storage"][slot] == words[1]
    await _check_storage(gateway, cell, block)
    refused = await gateway.ask("debug_traceBlockByNumber", "0x0")
    assert refused["error"]["message"] == "genesis is not traceable"
    frames = await gateway.rpc("trace_block", number)
    assert [frame["transactionPosition"] for frame in frames] == [0, 1]
    found = await gateway.rpc("trace_filter", {"fromBlock": "0x0", "toAddress": [cell], "count": 9})
    assert found[-2:] == frames
    only = {"fromBlock": "0x0", "toAddress": [cell], "after": len(found) - 1}
    assert await gateway.rpc("trace_filter", only) == frames[1:]
    assert await gateway.rpc("trace_filter", {"fromAddress": [cell]}) == []


async def _check_storage(gateway, cell, block):
    """What a cell held before each of two transactions that wrote 3 and 4."""
    hash_, slot = "0x" + keccak256(bytes(32)).hex(), "0x" + "0" * 64

    async def ask(position, start="0x", limit=10, at=block["hash"]):
        return await gateway.rpc("debug_storageRangeAt", at, position, cell, start, limit)

    assert await ask(0) == {"storage": {}, "nextKey": None}
    kept = {"storage": {hash_: {"key": slot, "value": f"0x{3:064x}"}}, "nextKey": None}
    for position in (1, "0x1", block["transactions"][1]):
        assert await ask(position) == kept
    assert await ask(1, at=block["number"]) == kept
    assert await ask(1, start=hash_) == kept
    assert await ask(1, start=hash_[:6]) == kept
    assert await ask(1, start="0xff") == {"storage": {}, "nextKey": None}
    assert await ask(1, limit=0) == {"storage": {}, "nextKey": hash_}
    refused = await gateway.error("debug_storageRangeAt", block["hash"], 2, cell, "0x", 10)
    assert "index 2 out of range" in refused["message"]


async def test_calls_are_traced_with_overrides_of_state_and_block(gateway, cell):
    call = {"to": cell}
    plain = await gateway.rpc("debug_traceCall", call, "latest", CALL_TRACER)
    assert plain["output"] == "0x" + "0" * 64
    overrides = {cell: {"stateDiff": {"0x" + "0" * 64: WORD}}}
    traced = await gateway.rpc(
        "debug_traceCall", call, "latest", CALL_TRACER | {"stateOverrides": overrides}
    )
    assert traced["output"] == WORD
    numbered = {cell: {"code": "0x435f5260205ff3"}}
    options = {"stateOverrides": numbered, "blockOverrides": {"number": "0x77"}} | CALL_TRACER
    traced = await gateway.rpc("debug_traceCall", call, "latest", options)
    assert int(traced["output"], 16) == 0x77
    assert (
        "txIndex"
        in (await gateway.error("debug_traceCall", call, "latest", {"txIndex": "0x0"}))["message"]
    )


async def test_parity_frames_and_replays(gateway, cell):
    through = await deploy(gateway, 1, forwarder(cell))
    hash_ = await write(gateway, 2, through)
    receipt = await gateway.rpc("eth_getTransactionReceipt", hash_)
    frames = await gateway.rpc("trace_transaction", hash_)
    assert [frame["traceAddress"] for frame in frames] == [[], [0]]
    assert {frame["blockHash"] for frame in frames} == {receipt["blockHash"]}
    assert {hex(frame["blockNumber"]) for frame in frames} == {receipt["blockNumber"]}
    assert await gateway.rpc("trace_get", hash_, ["0x0"]) == frames[1]
    assert await gateway.rpc("trace_get", hash_, [5]) is None
    types = ["trace", "stateDiff"]
    one = await gateway.rpc("trace_replayTransaction", hash_, types)
    assert (one["vmTrace"], len(one["trace"])) == (None, 2)
    assert cell.lower() in one["stateDiff"]
    whole = await gateway.rpc("trace_replayBlockTransactions", receipt["blockNumber"], types)
    assert whole == [one | {"transactionHash": hash_}]
    assert await gateway.rpc("trace_transaction", "0x" + "99" * 32) is None
    assert await gateway.rpc("trace_block", "0xffff") is None


async def test_parity_calls_build_on_each_other(gateway, cell):
    calls = [[{"to": cell, "data": WORD}, ["stateDiff"]], [{"to": cell}, ["trace"]]]
    first, second = await gateway.rpc("trace_callMany", calls, "latest")
    assert first["stateDiff"] is not None
    assert second["output"] == WORD
    alone = await gateway.rpc("trace_call", {"to": cell}, ["trace"], "latest")
    assert alone["output"] == "0x" + "0" * 64
    raw = sign(1, to=cell, value=0, data=bytes.fromhex(WORD[2:]), gas=99_999, chainId=CHAIN_ID)
    unsent = await gateway.rpc("trace_rawTransaction", raw, ["trace"])
    assert unsent["trace"][0]["action"]["input"] == WORD
    assert await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "latest") == "0x1"


async def test_access_lists(gateway, cell):
    through = await deploy(gateway, 1, forwarder(cell))
    made = await gateway.rpc("eth_createAccessList", {"to": through, "data": WORD}, "latest")
    assert made["accessList"] == [{"address": cell.lower(), "storageKeys": ["0x" + "0" * 64]}]
    assert int(made["gasUsed"], 16) > 21_000
    fails = await deploy(gateway, 2, NO_LUCK)
    assert (await gateway.rpc("eth_createAccessList", {"to": fails}))[
        "error"
    ] == "execution reverted"


async def test_simulated_blocks_follow_each_other(gateway, cell):
    fails = await deploy(gateway, 1, NO_LUCK)
    base = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    number = int(base["number"], 16)
    rich = "0x" + "42" * 20
    payload = {
        "traceTransfers": True,
        "blockStateCalls": [
            {
                "stateOverrides": {rich: {"balance": "0x64"}},
                "calls": [
                    {"to": cell, "data": WORD},
                    {"to": fails},
                    {"from": rich, "to": SECOND_ADDRESS, "value": "0x64"},
                ],
            },
            {"blockOverrides": {"number": hex(number + 3)}, "calls": [{"to": cell}]},
        ],
    }
    blocks = await gateway.rpc("eth_simulateV1", payload, "latest")
    assert [int(one["number"], 16) - number for one in blocks] == [1, 2, 3]
    assert blocks[0]["parentHash"] == base["hash"]
    assert [one["parentHash"] for one in blocks[1:]] == [one["hash"] for one in blocks[:2]]
    stored, failed, paid = blocks[0]["calls"]
    assert (stored["status"], failed["status"], paid["status"]) == ("0x1", "0x0", "0x1")
    assert failed["error"] == {
        "code": 3, "message": "execution reverted", "data": "0x" + f"{7:064x}"
    }  # fmt: skip
    assert int(paid["logs"][0]["data"], 16) == 100
    assert paid["logs"][0]["blockHash"] == blocks[0]["hash"]
    assert blocks[2]["calls"][0]["returnData"] == WORD
    assert (await gateway.rpc("eth_call", {"to": cell}, "latest")) == "0x" + "0" * 64
    for bad in ({}, {"blockStateCalls": []}, {"blockStateCalls": [{}], "validation": 1}):
        assert (await gateway.error("eth_simulateV1", bad, "latest"))["code"] == -32602


@pytest.mark.parametrize(
    ("blocks", "code", "message"),
    [
        ([{"blockOverrides": {"number": "0x0"}}], -38020, "block numbers must be in order"),
        ([{"blockOverrides": {"time": "0x0"}}], -38021, "block timestamps must be in order"),
        ([{"blockOverrides": {"number": "0xffff"}}], -38026, "too many blocks"),
        ([{}] * 257, -38026, "too many blocks"),
    ],
)
async def test_blocks_that_do_not_follow_are_refused_with_the_codes_of_ethereum(
    gateway, blocks, code, message
):
    error = await gateway.error("eth_simulateV1", {"blockStateCalls": blocks}, "latest")
    assert error["code"] == code
    assert message in error["message"]


async def test_what_otterscan_asks(gateway, cell):
    assert await gateway.rpc("ots_getApiLevel") == 8
    through = await deploy(gateway, 1, forwarder(cell))
    hash_ = await write(gateway, 2, through)
    for _ in range(3):
        await gateway.mine()
    assert await gateway.rpc("ots_hasCode", cell, "latest") is True
    assert await gateway.rpc("ots_hasCode", FIRST_ADDRESS) is False
    creator = await gateway.rpc("ots_getContractCreator", through)
    assert creator["creator"] == FIRST_ADDRESS.lower()
    receipt = await gateway.rpc("eth_getTransactionReceipt", creator["hash"])
    assert receipt["contractAddress"] == through
    assert await gateway.rpc("ots_getContractCreator", FIRST_ADDRESS) is None
    assert await gateway.rpc("ots_getTransactionBySenderAndNonce", FIRST_ADDRESS, 2) == hash_
    assert await gateway.rpc("ots_getTransactionBySenderAndNonce", FIRST_ADDRESS, 3) is None
    calls = await gateway.rpc("ots_traceTransaction", hash_)
    assert [(call["depth"], call["to"]) for call in calls] == [
        (0, through.lower()),
        (1, cell.lower()),
    ]
    assert await gateway.rpc("ots_getInternalOperations", hash_) == []
    assert await gateway.rpc("ots_getTransactionError", hash_) == "0x"
    fails = await deploy(gateway, 3, NO_LUCK)
    failed = await gateway.send(sign(4, to=fails, value=0, gas=99_999, chainId=CHAIN_ID))
    assert await gateway.rpc("ots_getTransactionError", failed) == "0x" + f"{7:064x}"
    number = (await gateway.rpc("eth_getTransactionReceipt", failed))["blockNumber"]
    details = await gateway.rpc("ots_getBlockDetails", number)
    assert details["block"]["transactionCount"] == 1
    assert int(details["totalFees"], 16) > 0
    assert await gateway.rpc("ots_getBlockDetailsByHash", details["block"]["hash"]) == details
    page = await gateway.rpc("ots_getBlockTransactions", number, 0, 10)
    assert [one["hash"] for one in page["fullblock"]["transactions"]] == [failed]
    assert page["receipts"][0]["logs"] is None
    assert (await gateway.rpc("ots_getBlockTransactions", number, 1, 10))["receipts"] == []


async def test_a_contract_made_by_a_contract_has_that_one_as_its_creator(gateway):
    # Creates a contract whose code is one STOP: init code 60015ff3 returns a byte of nothing.
    factory = await deploy(gateway, 0, "6360015ff35f526004601c5ff000")
    hash_ = await write(gateway, 1, factory)
    (made,) = await gateway.rpc("ots_getInternalOperations", hash_)
    assert (made["type"], made["from"]) == (2, factory.lower())
    creator = await gateway.rpc("ots_getContractCreator", made["to"])
    assert creator == {"hash": hash_, "creator": factory.lower()}


async def test_a_filter_ends_with_its_time_and_its_size(gateway, cell, monkeypatch):
    await write(gateway, 1, cell)
    everything = {"fromBlock": "0x0"}
    assert len(await gateway.rpc("trace_filter", everything)) == 2
    monkeypatch.setattr(parity, "MAX_FILTER_BYTES", 10)
    assert "too many" in (await gateway.error("trace_filter", everything))["message"]
    monkeypatch.setattr(parity, "FILTER_TIMEOUT_S", 0.01)
    gateway.computes[0].is_paused = True
    assert "takes over" in (await gateway.error("trace_filter", everything))["message"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("debug_traceTransaction", ["0x" + "99" * 32], -32000),
        ("debug_traceTransaction", ["0x99"], -32602),
        ("debug_traceTransaction", ["0x" + "99" * 32, 3], -32602),
        ("debug_traceBlockByNumber", ["0xffff"], -32000),
        ("debug_traceCall", [{}], -32602),
        ("debug_traceCall", [{}, "latest", {"tracer": "noSuchTracer"}], -32602),
        ("debug_traceCall", [{}, "latest", {"tracer": "{step: 1}"}], -32602),
        ("debug_traceCall", [{}, "latest", {"tracer": 3}], -32602),
        ("debug_traceCall", [{}, "latest", {"stateOverrides": {"0x1": {}}}], -32602),
        ("debug_traceCall", [{}, "latest", {"blockOverrides": []}], -32602),
        ("debug_traceCall", [{}, "latest", {"timeout": "soon"}], -32602),
        ("debug_traceCall", [{}, "latest", {"tracerConfig": "x" * 70_000}], -32602),
        ("trace_call", [{}, ["nothing"]], -32602),
        ("trace_callMany", [[[{}]]], -32602),
        ("trace_callMany", [[[{}, ["trace"]]] * 1001], -32602),
        ("trace_rawTransaction", ["0x1234", ["trace"]], -32000),
        ("trace_filter", [[]], -32602),
        ("trace_get", ["0x" + "99" * 32, "0x0"], -32602),
        ("ots_traceTransaction", ["0x" + "99" * 32], -32000),
    ],
)  # fmt: skip
async def test_bad_questions_get_an_error_and_the_gateway_lives(gateway, method, params, code):
    assert (await gateway.error(method, *params))["code"] == code
    assert await gateway.rpc("eth_blockNumber")


async def test_a_replay_that_ends_otherwise_than_the_block_is_not_shown(gateway, cell):
    hash_ = await write(gateway, 1, cell)
    honest = gateway.chain.environment
    gateway.chain.environment = lambda number: honest(number - 1)  # as a node that lies
    error = await gateway.error("debug_traceTransaction", hash_, CALL_TRACER)
    assert "transaction 0 cannot be in this round" in error["message"]
    other = await gateway.rpc("eth_getTransactionByHash", hash_)
    record = (await gateway.node.index.find_transaction(bytes.fromhex(hash_[2:]))).record
    gateway.chain.environment = honest
    object.__setattr__(record, "gas_used", record.gas_used + 1)
    error = await gateway.error("debug_traceTransaction", hash_, CALL_TRACER)
    assert "ends otherwise" in error["message"]
    assert other["hash"] == hash_


async def test_few_traces_are_asked_for_at_a_time(gateway, cell):
    hash_ = await write(gateway, 1, cell)
    compute = gateway.computes[0]
    compute.is_paused = True
    compute.calls.clear()
    waiting = [
        asyncio.create_task(gateway.ask("debug_traceTransaction", hash_, CALL_TRACER))
        for _ in range(6)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert compute.calls.count(EvmQuery.TRACE) == 2
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_confidential_paratime_shows_nothing_and_says_what_to_do(tmp_path):
    async with running_gateway(tmp_path) as gateway:
        hash_ = await gateway.send(sign(0))
        call = {"to": SECOND_ADDRESS}
        for method, *params in (
            ("debug_traceTransaction", hash_),
            ("debug_traceCall", call, "latest"),
            ("debug_traceBlockByNumber", "latest"),
            ("trace_transaction", hash_),
            ("trace_call", call, ["trace"]),
            ("ots_traceTransaction", hash_),
            ("eth_createAccessList", call),
            ("eth_simulateV1", {"blockStateCalls": [{"calls": [call]}]}, "latest"),
        ):
            error = await gateway.error(method, *params)
            assert error["message"].startswith("trace: contracts of this ParaTime keep secrets")
            assert "confidential = false" in error["message"]
