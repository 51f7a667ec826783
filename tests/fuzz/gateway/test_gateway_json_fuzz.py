"""Whatever arrives at the JSON edge gets a documented answer, and the service lives on."""

import asyncio
import json

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.gateway.app import build_node
from services.gateway.rpc.dispatch import Dispatcher
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.table import build_method_table
from services.gateway.unlocked import UnlockedAccounts
from shared.gateways.compute_nodes import ComputeNodes
from tests.support.fake_compute import FakeChain, FakeComputeNode
from tests.support.fake_consensus import TRUST_ROOT, FakeConsensus
from tests.support.gateway import BALANCES, FIRST_ADDRESS, listening, make_settings, running_gateway
from tests.support.rounds import make_chain, make_record
from tests.support.short_run import examples

DOCUMENTED_CODES = {3, -32000, -32003, -32600, -32601, -32602, -32700}
HASH = "0x" + "ab" * 32


@pytest.fixture(scope="module")
def loop():
    """The one loop of the gateway: what waits in it is bound to it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def dispatcher(tmp_path_factory, loop):
    """Every method over one fake node and a few rounds; nothing runs in the background."""
    chain = FakeChain(balances=BALANCES, is_automatic=False)
    node = build_node(
        make_settings(tmp_path_factory.mktemp("gateway"), unsafe_dev_controls=True),
        ComputeNodes({"host:1": FakeComputeNode(chain)}),
        FakeConsensus(chain),
        TRUST_ROOT,
        probe=None,
    )

    async def fill() -> None:
        for one in make_chain(
            5, lambda number: (make_record(number, logs=[(b"a" * 20, (), b"")]),)
        ):
            node.index.append(one)

    loop.run(fill())
    return Dispatcher(build_method_table(node, UnlockedAccounts(), Impersonations()), node.awake)


METHODS = [
    "eth_sendRawTransaction", "eth_call", "eth_estimateGas", "eth_getBalance",
    "eth_getTransactionCount", "eth_getCode", "eth_getStorageAt", "eth_feeHistory",
    "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockHash", "eth_getLogs",
    "eth_getBlockTransactionCountByNumber", "eth_getTransactionByHash",
    "eth_getTransactionReceipt", "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByBlockNumberAndIndex", "eth_subscribe", "eth_unsubscribe", "web3_sha3",
    "eth_chainId", "oasis_callDataPublicKey", "oasis_getTransactionOutcome",
    "oasis_sendRawTransaction", "oasis_getTransactionResult", "oasis_query",
    "oasis_proveApp", "oasis_runtimeInfo",
    "eth_sendRawTransactionSync", "eth_newFilter", "eth_newBlockFilter",
    "eth_newPendingTransactionFilter", "eth_getFilterChanges", "eth_getFilterLogs",
    "eth_uninstallFilter", "eth_getBlockReceipts", "debug_getRawTransaction",
    "debug_getRawReceipts", "debug_getRawHeader", "debug_getRawBlock",
    "eth_getRawTransactionByHash", "eth_getRawTransactionByBlockHashAndIndex",
    "eth_getRawTransactionByBlockNumberAndIndex", "evm_snapshot", "evm_revert", "net_peerCount",
    "debug_traceTransaction", "debug_traceCall", "debug_traceBlockByNumber",
    "debug_traceBlockByHash", "trace_transaction", "trace_block", "trace_get", "trace_filter",
    "trace_call", "trace_callMany", "trace_rawTransaction", "trace_replayTransaction",
    "trace_replayBlockTransactions", "eth_createAccessList", "eth_simulateV1", "eth_getProof",
    "ots_getBlockDetails", "ots_getBlockTransactions", "ots_getContractCreator", "ots_hasCode",
    "ots_getTransactionBySenderAndNonce", "ots_traceTransaction", "ots_getTransactionError",
]  # fmt: skip

LIKELY = st.sampled_from(
    [
        FIRST_ADDRESS, HASH, "latest", "pending", "earliest", "safe", "0x0", "0x1", "0x", "0xffff",
        "0x" + "f" * 64, "0x" + "f" * 65, "-0x1", "", "0x0g", "0x\u0661", 0, -1, 1.5, 2**63, 1e308,
        True, None, [], {}, "newHeads", "logs", "0x" + "00" * 2000,
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    ["from", "to", "gas", "gasPrice", "value", "data", "input", "nonce", "blockHash", "blockNumber",
     "fromBlock", "toBlock", "address", "topics", "accessList", "chainId", "maxFeePerGas"]
) | st.text(max_size=5)  # fmt: skip
LEAVES = (
    LIKELY
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=80).map(lambda raw: "0x" + raw.hex())
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
REQUESTS = st.fixed_dictionaries(
    {"id": VALUES, "method": st.sampled_from(METHODS) | LEAVES},
    optional={"jsonrpc": st.just("2.0") | LEAVES, "params": st.lists(VALUES, max_size=5) | VALUES},
)


def verify_answer(answer) -> None:
    assert answer["jsonrpc"] == "2.0"
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    if "error" in answer:
        assert answer["error"]["code"] in DOCUMENTED_CODES
        assert answer["error"]["message"] != "internal error"


def answer_of(loop, dispatcher, body):
    async def run():
        answer = await dispatcher.answer(body)
        alive = await dispatcher.answer(b'{"id":1,"method":"eth_chainId"}')
        assert orjson.loads(alive)["result"] == "0x5afd"
        return answer

    return loop.run(run())


@given(request=REQUESTS)
@settings(max_examples=examples(600), deadline=None)
def test_any_request_gets_a_documented_answer(loop, dispatcher, request):
    verify_answer(orjson.loads(answer_of(loop, dispatcher, orjson.dumps(request))))


@given(batch=st.lists(REQUESTS | VALUES, min_size=1, max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_any_batch_gets_an_answer_for_each_request(loop, dispatcher, batch):
    answer = answer_of(loop, dispatcher, orjson.dumps(batch))
    expected = [one for one in batch if not (isinstance(one, dict) and "id" not in one)]
    answers = orjson.loads(answer) if answer else []
    for one in answers:
        verify_answer(one)
    assert len(answers) >= len(expected)


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"\x00")
@example(b"\xef\xbb\xbf{}")
@example(b'{"id":1e999,"method":"eth_chainId"}')
@example(b'{"id":' + b"9" * 400 + b',"method":"eth_chainId"}')
@example(b'{"id":1,"method":"eth_chainId","params":' + b"[" * 1200)
@example(b'{"id":1,"id":2,"method":"eth_chainId"}')
@example(b'{"id":"\\ud800","method":"eth_chainId"}')
@settings(max_examples=examples(300), deadline=None)
def test_any_bytes_get_a_documented_answer(loop, dispatcher, body):
    answer = answer_of(loop, dispatcher, body)
    if answer:
        decoded = orjson.loads(answer)
        for one in decoded if isinstance(decoded, list) else [decoded]:
            verify_answer(one)


@given(depth=st.integers(1, 1000))
@settings(max_examples=examples(30), deadline=None)
def test_any_nesting_of_parameters_gets_a_documented_answer(loop, dispatcher, depth):
    nested = "[" * depth + "]" * depth
    body = f'{{"id":1,"method":"eth_getLogs","params":[{{"topics":{nested}}}]}}'
    verify_answer(json.loads(answer_of(loop, dispatcher, body.encode())))


GARBAGE = [
    b"\x00" * 100,
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: !!\r\n\r\n"
    ),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_on_the_socket_hurts_nobody(tmp_path, garbage):
    async with running_gateway(tmp_path) as gateway, listening(gateway.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        writer.write_eof()
        try:
            async with asyncio.timeout(10):
                await reader.read()
        except ConnectionError:
            pass
        writer.close()
        assert await gateway.rpc("eth_chainId") == "0x5afd"
