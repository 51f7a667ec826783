"""
A gateway over an imported chain of Ethereum.

With the archive of ethereum/execution-apis beside the checkout, all of its files are replayed.
"""

import json
import lzma
from contextlib import asynccontextmanager

import httpx
import pytest
from eth_account import Account

from services.gateway.config import BadSettings, read_gateway_settings
from services.gateway.imported.app import build_imported, running, settings_of
from services.gateway.imported.chain import ChainNotImported, load_chain
from shared.crypto.hashes import keccak256
from tests.support.execution_apis import (
    ABSENT,
    ARCHIVE,
    COUNTS,
    count,
    differences,
    recorded_files,
    unpack,
)
from tests.support.json_schema import faults_of
from tests.support.metrics_page import ROOT

SCHEMAS = ROOT / "tests" / "vectors" / "execution-apis.json.xz"
RESULTS = json.loads(lzma.decompress(SCHEMAS.read_bytes()))["results"]
CHAIN_ID = 1337
RICH = Account.from_key("0x" + "11" * 32)
CONTRACT = "0x" + "c0" * 20
NOBODY = "0x" + "99" * 20
STORE = "0x5f545f5260205ff3"
"""Returns slot 0."""
GENESIS = {
    "config": {
        "chainId": CHAIN_ID,
        **{
            f"{fork}Block": 0
            for fork in (
                *("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople"),
                *("petersburg", "istanbul", "berlin", "london", "mergeNetsplit"),
            )
        },
        **{f"{fork}Time": 0 for fork in ("shanghai", "cancun", "prague", "osaka")},
        "blobSchedule": {
            fork: {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716}
            for fork in ("cancun", "prague", "osaka")
        },
    },
    "gasLimit": "0x1c9c380",
    "difficulty": "0x0",
    "alloc": {
        RICH.address: {"balance": hex(10**20)},
        CONTRACT: {"balance": "0x1", "code": STORE, "storage": {"0x00": "0x2a"}},
    },
}


class Asker:
    """Asks one gateway."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ask(self, method, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return (await self.client.post("/", json=body)).json()

    async def rpc(self, method, *params):
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method, *params):
        answer = await self.ask(method, *params)
        assert "result" not in answer, answer
        return answer["error"]


@asynccontextmanager
async def serving(folder, genesis, blocks):
    chain = load_chain(genesis, blocks)
    node, app = build_imported(chain, settings_of(chain, folder))
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8545")
    async with running(node), client:
        yield Asker(client)


def write(folder, genesis=GENESIS, blocks=b""):
    names = folder / "genesis.json", folder / "chain.rlp"
    names[0].write_text(json.dumps(genesis))
    names[1].write_bytes(blocks)
    return names


@pytest.fixture
async def gateway(tmp_path):
    async with serving(tmp_path, *write(tmp_path)) as asker:
        yield asker


@pytest.mark.skipif(not ARCHIVE.exists(), reason=ABSENT)
async def test_every_recorded_file_is_answered_as_recorded(tmp_path):
    folder = unpack(tmp_path)
    files = recorded_files(folder)
    failures = []
    async with serving(tmp_path, folder / "genesis.json", folder / "chain.rlp") as asker:
        for one in files:
            for exchange in one.exchanges:
                answer = (await asker.client.post("/", json=exchange.request)).json()
                faults = differences_of(one, exchange, answer)
                failures += [f"{one.name}: {fault}" for fault in list(faults)[:3]]
    assert failures == []
    assert json.loads(COUNTS.read_text())["files"] == count(files)


def differences_of(file, exchange, answer):
    """Where an answer is not what the file has; of some files only the form counts."""
    schema = RESULTS.get(exchange.request["method"])
    if not file.is_schema_only or schema is None or "error" in exchange.response:
        wanted = exchange.response
        if file.is_schema_only and "error" not in wanted:
            # `testing_*` is in no schema: the names of all fields, then.
            return differences(shape_of(wanted), shape_of(answer))
        return differences(wanted, answer)
    if "error" in answer:
        return [str(answer["error"])]
    return [str(fault) for fault in faults_of(schema, answer["result"], "result")]


def shape_of(value):
    """Names and types, without values."""
    if isinstance(value, dict):
        return {name: shape_of(one) for name, one in value.items()}
    return type(value).__name__


@pytest.mark.skipif(not ARCHIVE.exists(), reason=ABSENT)
async def test_traces_of_every_namespace_answer_on_it(tmp_path):
    folder = unpack(tmp_path)
    async with serving(tmp_path, folder / "genesis.json", folder / "chain.rlp") as asker:
        block = await asker.rpc("eth_getBlockByNumber", "latest", True)
        hash_ = block["transactions"][0]["hash"]
        tracer = {"tracer": "callTracer"}
        frame = await asker.rpc("debug_traceTransaction", hash_, tracer)
        assert frame["type"] == "CREATE"
        receipt = await asker.rpc("eth_getTransactionReceipt", hash_)
        assert frame["gasUsed"] == receipt["gasUsed"]
        frames = await asker.rpc("trace_transaction", hash_)
        assert frames[0]["transactionHash"] == hash_
        call = {"to": "0x17e7eedce4ac02ef114a7ed9fe6e2f33feba1667", "data": "0xff01"}
        traced = await asker.rpc("debug_traceCall", call, "latest", tracer)
        assert traced["output"] == await asker.rpc("eth_call", call) == "0xffee"
        diff = await asker.rpc(
            "debug_traceTransaction",
            hash_,
            {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}},
        )
        sender = block["transactions"][0]["from"]
        assert diff["post"][sender]["nonce"] == int(block["transactions"][0]["nonce"], 16) + 1
        assert (await asker.client.get("/v1/status")).status_code == 200


@pytest.mark.skipif(not ARCHIVE.exists(), reason=ABSENT)
@pytest.mark.parametrize("at", [100, 20_000, -200])
def test_a_changed_byte_of_the_blocks_is_found_and_named(tmp_path, at):
    folder = unpack(tmp_path)
    blocks = bytearray((folder / "chain.rlp").read_bytes())
    blocks[at] ^= 1
    with pytest.raises(ChainNotImported, match=r"^block \d+: "):
        load_chain(*write(tmp_path, json.loads((folder / "genesis.json").read_text()), blocks))


# -- without the archive: a chain that is only its genesis ------------------------------------


async def test_a_genesis_alone_is_a_chain(gateway):
    assert await gateway.rpc("eth_blockNumber") == "0x0"
    assert await gateway.rpc("eth_chainId") == hex(CHAIN_ID)
    assert await gateway.rpc("eth_getBalance", RICH.address) == hex(10**20)
    assert await gateway.rpc("eth_getCode", CONTRACT, "latest") == STORE
    block = await gateway.rpc("eth_getBlockByNumber", "finalized", True)
    raw = bytes.fromhex((await gateway.rpc("debug_getRawHeader", "0x0"))[2:])
    assert block["hash"] == "0x" + keccak256(raw).hex()
    assert (await gateway.client.get("/health")).status_code == 200
    status = (await gateway.client.get("/status")).json()
    assert (status["profile"], status["waiting_for"]) == ("ethereum", None)


async def test_calls_run_as_their_sender_on_what_is_pretended(gateway):
    call = {"to": CONTRACT}
    assert int(await gateway.rpc("eth_call", call), 16) == 42
    pretended = {CONTRACT: {"stateDiff": {"0x" + "00" * 32: "0x" + "07".rjust(64, "0")}}}
    assert int(await gateway.rpc("eth_call", call, "latest", pretended), 16) == 7
    origin = {CONTRACT: {"code": "0x325f5260205ff3"}}
    seen = await gateway.rpc("eth_call", call | {"from": NOBODY}, "latest", origin)
    assert seen[-40:] == NOBODY[2:]
    poor = await gateway.error("eth_call", call | {"from": NOBODY, "value": "0x1"})
    assert "insufficient funds for gas * price + value" in poor["message"]


async def test_an_estimate_is_the_least_that_does(gateway):
    call = {"from": RICH.address, "to": CONTRACT}
    gas = await gateway.rpc("eth_estimateGas", call)
    assert await gateway.rpc("eth_call", call | {"gas": gas}) != "0x"
    short = hex(int(gas, 16) - 1)
    assert (await gateway.error("eth_call", call | {"gas": short}))["message"] == "out of gas"
    never = {CONTRACT: {"code": "0xfe"}}
    refused = await gateway.error("eth_estimateGas", call, "latest", never)
    assert refused["message"] == "invalid opcode: INVALID"


async def test_absent_accounts_are_proven_absent(gateway):
    proof = await gateway.rpc("eth_getProof", NOBODY, ["0x0"], "latest")
    assert (proof["balance"], proof["nonce"]) == ("0x0", "0x0")
    assert proof["storageProof"] == [{"key": "0x0", "value": "0x0", "proof": []}]
    block = await gateway.rpc("eth_getBlockByNumber", "latest", False)
    root = keccak256(bytes.fromhex(proof["accountProof"][0][2:])).hex()
    assert block["stateRoot"] == "0x" + root


def transfer(nonce, **changes):
    fields = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "gas": 21_000,
        "to": NOBODY,
        "value": 5,
        "maxFeePerGas": 2 * 10**9,
        "maxPriorityFeePerGas": 7,
    }
    return "0x" + RICH.sign_transaction(fields | changes).raw_transaction.hex()


async def test_the_pool_keeps_what_could_run_and_blocks_are_built_of_it(gateway):
    hash_ = await gateway.rpc("eth_sendRawTransaction", transfer(0))
    await gateway.rpc("eth_sendRawTransaction", transfer(2))
    assert await gateway.rpc("txpool_status") == {"pending": "0x1", "queued": "0x1"}
    assert (await gateway.rpc("txpool_content"))["queued"][RICH.address]["2"]["nonce"] == "0x2"
    known = await gateway.error("eth_sendRawTransaction", transfer(0))
    assert known["message"] == "already known"
    cheap = await gateway.error("eth_sendRawTransaction", transfer(0, value=6))
    assert cheap["message"] == "replacement transaction underpriced"
    parent = (await gateway.rpc("eth_getBlockByNumber", "latest", False))["hash"]
    attributes = {
        "timestamp": "0xc",
        "prevRandao": "0x" + "01" * 32,
        "suggestedFeeRecipient": NOBODY,
        "withdrawals": [],
        "parentBeaconBlockRoot": "0x" + "02" * 32,
    }
    built = await gateway.rpc("testing_buildBlockV1", parent, attributes)
    assert len(built["executionPayload"]["transactions"]) == 1
    assert built["blockValue"] == hex(7 * 21_000)
    exact = await gateway.rpc("testing_buildBlockV1", parent, attributes, [transfer(0)], "0x")
    assert exact["executionPayload"] == built["executionPayload"]
    assert await gateway.rpc("eth_blockNumber") == "0x0"
    assert await gateway.rpc("eth_getTransactionByHash", hash_) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chainId": 1}, "invalid chain id for signer"),
        ({"gas": 10**9}, "exceeds block gas limit"),
        ({"value": 10**21}, "insufficient funds for gas"),
    ],
)
async def test_what_could_never_run_is_refused(gateway, changes, message):
    assert (
        message
        in (await gateway.error("eth_sendRawTransaction", transfer(0, **changes)))["message"]
    )


@pytest.mark.parametrize("raw", ["0x", "0x00", "0x03", "0x03c0", "0x03f8ff", "0x02c0", "0xc0"])
async def test_what_is_no_transaction_is_refused(gateway, raw):
    assert (await gateway.error("eth_sendRawTransaction", raw))["code"] == -32000


async def test_questions_about_blocks_that_are_not_there_are_refused(gateway):
    assert (await gateway.error("eth_getBalance", NOBODY, "0x1"))["message"] == "header not found"
    missing = {"blockHash": "0x" + "00" * 32}
    refused = await gateway.error("eth_getBalance", NOBODY, missing)
    assert refused["message"] == "header for hash not found"
    assert await gateway.rpc("eth_getBlockByNumber", "0x1", False) is None


async def test_nothing_of_an_oasis_network_answers(gateway):
    for method in ("oasis_callDataPublicKey", "evm_mine", "hardhat_setBalance", "eth_sign"):
        assert (await gateway.error(method))["code"] == -32601


@pytest.mark.parametrize(
    "simulation", [{}, {"blockStateCalls": []}, {"blockStateCalls": [{}] * 257}, 5]
)
async def test_simulations_that_are_none_are_refused(gateway, simulation):
    assert (await gateway.error("eth_simulateV1", simulation))["code"] in (-32602, -38026)


async def test_simulated_blocks_give_what_is_withdrawn(gateway):
    given = {"index": "0x0", "validatorIndex": "0x1", "address": NOBODY, "amount": "0x2"}
    pay = {"from": NOBODY, "to": CONTRACT, "value": hex(2 * 10**9)}
    blocks = [{"blockOverrides": {"withdrawals": [given]}}, {"calls": [pay]}]
    first, second = await gateway.rpc("eth_simulateV1", {"blockStateCalls": blocks})
    assert first["withdrawals"] == [given]
    empty, _ = await gateway.rpc("eth_simulateV1", {"blockStateCalls": [{}, {}]})
    assert first["withdrawalsRoot"] != empty["withdrawalsRoot"]
    assert first["stateRoot"] != empty["stateRoot"]
    assert second["calls"][0]["status"] == "0x1"
    error = await gateway.error("eth_simulateV1", {"blockStateCalls": [{"calls": [pay]}]})
    assert error["code"] == -38014


async def test_time_ends(gateway):
    last = {"blockOverrides": {"time": "0xffffffffffffffff"}}
    error = await gateway.error("eth_simulateV1", {"blockStateCalls": [last, {}]})
    assert error["code"] == -38021


@pytest.mark.parametrize(
    ("genesis", "blocks", "why"),
    [
        ({}, b"", "chainId|alloc"),
        (GENESIS | {"alloc": {"0x1": {}}}, b"", "0x1 is no address"),
        (GENESIS | {"gasLimit": "lots"}, b"", "lots"),
        (GENESIS, b"\x01", "^block 1: "),
        (GENESIS, b"\xc0", "^block 1: "),
    ],
)
def test_files_that_are_no_chain_are_refused(tmp_path, genesis, blocks, why):
    with pytest.raises(ChainNotImported, match=why):
        load_chain(*write(tmp_path, genesis, blocks))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ChainNotImported, match=r"genesis\.json"):
        load_chain(tmp_path / "genesis.json", tmp_path / "chain.rlp")


def test_no_paratime_answers_by_the_profile_ethereum(tmp_path):
    environ = {
        "QANAT_NODE_NAME": "gateway",
        "QANAT_DATA_DIR": str(tmp_path),
        "QANAT_RUNTIME_ID": "00" * 32,
        "QANAT_COMPUTE": "a:1",
        "QANAT_CONSENSUS": "c:1",
        "QANAT_GENESIS": "g",
        "QANAT_PROFILE": "ethereum",
    }
    with pytest.raises(BadSettings, match="PROFILE"):
        read_gateway_settings(environ)
