"""The HTTP edge: framing of JSON-RPC, limits, browsers, hosts, health, status and metrics."""

import asyncio
import json

import httpx
import pytest

from services.gateway.rpc import dispatch
from shared.errors import PeerUnavailable
from shared.types.evm import EvmQuery
from tests.support.fake_compute import CHAIN_ID as CHAIN_ID_NUMBER
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, listening, running_gateway
from tests.support.signing import RECEIVER, sign
from tests.support.turns import until

JSON = {"content-type": "application/json"}
CHAIN_ID = '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def post(gateway, body, **headers):
    return await gateway.client.post("/", content=body, headers=JSON | headers)


# -- framing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("{", "column 2"),
        ("{'id':1}", "column 2"),
        (b"\xff\xfe", "column 1"),
        ("[" * 2000, "column"),
        ('{"id":1}}', "column 9"),
    ],
)
async def test_what_is_no_json_says_where(gateway, body, where):
    error = (await post(gateway, body)).json()["error"]
    assert error["code"] == -32700
    assert error["message"].startswith("parse error: ")
    assert where in error["message"]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("", -32700, "parse error: the request is empty"),
        ("[]", -32600, "empty batch"),
        ("17", -32600, "invalid request"),
        ("null", -32600, "invalid request"),
        ('"eth_chainId"', -32600, "invalid request"),
        ('{"jsonrpc":"2.0"}', -32600, "invalid request"),
        ('{"id":{},"method":"eth_chainId"}', -32600, "invalid request"),
        ('{"id":null,"method":7}', -32600, "invalid request"),
        ('{"id":null,"method":"eth_chainId","params":"x"}', -32602, "non-array args"),
        ('{"id":null,"method":"eth_chainId","params":[1]}', -32602,
         "too many arguments, want at most 0"),
        ('{"id":null,"method":"eth_getBalance","params":[]}', -32602,
         "missing value for required argument 0"),
        ('{"id":null,"method":"eth_getBalance","params":["0x12"]}', -32602,
         "invalid argument 0: hex string has length 2, want 40"),
    ],
)  # fmt: skip
async def test_bad_requests_get_the_texts_of_go_ethereum(gateway, body, code, message):
    answer = await post(gateway, body)
    assert answer.status_code == 200
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": code, "message": message},
    }


@pytest.mark.parametrize("id_", [0, -1, 2**63, "text", "", None, 1.5])
async def test_ids_come_back_as_they_were(gateway, id_):
    request = {"jsonrpc": "2.0", "id": id_, "method": "eth_chainId"}
    answer = (await post(gateway, json.dumps(request))).json()
    assert answer == {"jsonrpc": "2.0", "id": id_, "result": "0x5afd"}


async def test_invalid_request_keeps_its_id(gateway):
    assert (await post(gateway, '{"id":7}')).json()["id"] == 7


async def test_notifications_get_no_answer(gateway):
    assert (await post(gateway, '{"jsonrpc":"2.0","method":"eth_chainId"}')).content == b""
    assert (await post(gateway, '[{"jsonrpc":"2.0","method":"eth_nothing"}]')).content == b""


async def test_batch_answers_in_order_and_mixes_errors(gateway):
    body = f'[{CHAIN_ID},7,{{"id":"x","method":"no"}},{{"method":"eth_chainId"}},{CHAIN_ID}]'
    answers = (await post(gateway, body)).json()
    assert [(one["id"], "result" in one) for one in answers] == [
        (1, True),
        (None, False),
        ("x", False),
        (1, True),
    ]


async def test_batches_are_limited_as_in_go_ethereum(gateway):
    assert len((await post(gateway, f"[{','.join([CHAIN_ID] * 1000)}]")).json()) == 1000
    (answer,) = (await post(gateway, f"[17,{','.join([CHAIN_ID] * 1000)}]")).json()
    assert (answer["id"], answer["error"]) == (1, {"code": -32600, "message": "batch too large"})


async def test_parameters_come_by_name(gateway):
    by_name = {"account": RECEIVER, "Block": "latest"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": by_name}
    assert (await gateway.client.post("/", json=request)).json()["result"] == "0x0"
    request["params"] = {"block": "latest"}
    error = (await gateway.client.post("/", json=request)).json()["error"]
    takes = "eth_getBalance takes account, block?"
    assert error == {"code": -32602, "message": f"missing parameter 'account': {takes}"}
    request["params"] = by_name | {"adress": RECEIVER}
    error = (await gateway.client.post("/", json=request)).json()["error"]
    assert error == {"code": -32602, "message": f"unknown parameter 'adress': {takes}"}
    request |= {"method": "eth_chainId", "params": {"of": 1}}
    error = (await gateway.client.post("/", json=request)).json()["error"]
    assert error["message"] == "unknown parameter 'of': eth_chainId takes none"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", {"Address": RECEIVER, "Block": "latest"}),
        ("eth_call", {"Transaction": {"to": RECEIVER}, "Block": "latest"}),
        ("eth_getStorageAt", {"Address": RECEIVER, "Storage slot": "0x0", "Block": "latest"}),
        ("eth_getBlockByNumber", {"Block": "latest", "Hydrated transactions": False}),
        ("eth_getTransactionByHash", {"Transaction hash": "0x" + "00" * 32}),
        ("eth_getLogs", {"Filter": {}}),
        ("eth_feeHistory", {"blockCount": "0x1", "newestBlock": "latest"}),
        ("txpool_contentFrom", {"address": RECEIVER}),
    ],
)
async def test_parameters_have_the_names_of_ethereums_description_as_well(gateway, method, params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    assert "result" in (await gateway.client.post("/", json=request)).json()


async def test_batch_answers_are_cut(gateway, monkeypatch):
    zero = "0x" + "00" * 20
    monkeypatch.setattr(dispatch, "MAX_BATCH_RESPONSE_BYTES", 200_000)
    call = json.dumps({"id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", True]})
    answers = (await post(gateway, f"[{','.join([call] * 1000)}]")).json()
    assert len(answers) == 1000
    assert "result" in answers[0]
    assert answers[-1]["error"] == {"code": -32003, "message": "response too large"}
    assert await gateway.rpc("eth_getBalance", zero, "latest") == "0x0"


async def test_answers_of_one_step_are_cut_as_well(gateway, monkeypatch):
    call = {"id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", True]}
    one = len((await post(gateway, json.dumps(call))).content)
    monkeypatch.setattr(dispatch, "MAX_BATCH_RESPONSE_BYTES", one)
    answers = (await post(gateway, json.dumps([call | {"id": i} for i in range(8)]))).json()
    assert [answer["id"] for answer in answers] == list(range(8))
    assert sum("result" in answer for answer in answers) == 2
    assert sum(answer.get("error", {}).get("code") == -32003 for answer in answers) == 6


async def test_long_unknown_method_names_are_cut(gateway):
    error = await gateway.error("x" * 100_000)
    assert error["code"] == -32601
    assert len(error["message"]) < 400


async def test_a_bug_is_an_internal_error_and_the_service_lives_on(gateway, monkeypatch):
    monkeypatch.setattr("shared.api.evm.EvmQueries.fetch_code", lambda *_: 1 / 0)
    error = await gateway.error("eth_getCode", "0x" + "00" * 20, "latest")
    assert error == {"code": -32000, "message": "internal error"}
    assert await gateway.rpc("eth_chainId") == "0x5afd"


# -- HTTP --------------------------------------------------------------------------------------


async def test_every_answer_names_the_profile(gateway):
    assert (await post(gateway, CHAIN_ID)).headers["x-qanat-profile"] == "strict"


@pytest.mark.parametrize("size", [5 * 1024 * 1024 + 1, 8 * 1024 * 1024])
async def test_bodies_over_five_mebibytes_are_refused(gateway, size):
    assert (await post(gateway, b" " * size)).status_code == 413


async def test_streamed_bodies_are_joined_and_limited(gateway):
    async def parts(text, count):
        for _ in range(count):
            yield text

    half = len(CHAIN_ID) // 2

    async def halves():
        yield CHAIN_ID[:half].encode()
        yield CHAIN_ID[half:].encode()

    assert (await post(gateway, halves())).json()["result"] == "0x5afd"
    assert (await post(gateway, parts(b" " * 65536, 200))).status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_content_types_of_foreign_forms_are_refused(gateway, kind):
    answer = await gateway.client.post("/", content=CHAIN_ID, headers={"content-type": kind})
    assert answer.status_code == 415
    assert "-H 'content-type: application/json'" in answer.text


async def test_content_type_may_name_its_charset(gateway):
    answer = await gateway.client.post(
        "/", content=CHAIN_ID, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.json()["result"] == "0x5afd"


@pytest.mark.parametrize(
    ("verb", "status"), [("GET", 200), ("HEAD", 200), ("PUT", 405), ("DELETE", 405)]
)
async def test_other_verbs(gateway, verb, status):
    answer = await gateway.client.request(verb, "/")
    assert answer.status_code == status
    assert answer.headers.get("allow") == (None if status == 200 else "GET, HEAD, OPTIONS, POST")


async def test_who_looks_with_a_browser_is_told_what_is_here(gateway):
    async with listening(gateway.app) as port, httpx.AsyncClient() as browser:
        looked = await browser.get(f"http://127.0.0.1:{port}/")
        assert "JSON-RPC of Qanat, a devnet (TEE: MOCK)" in looked.text
        assert (await browser.head(f"http://127.0.0.1:{port}/")).text == ""


async def test_any_web_page_may_call_by_default(gateway):
    answer = await post(gateway, CHAIN_ID, origin="https://dapp.example")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "x-qanat-profile"
    preflight = await gateway.client.options(
        "/",
        headers={
            "origin": "https://dapp.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type, x-token",
        },
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type, x-token"
    assert "access-control-allow-private-network" not in preflight.headers


async def test_pages_from_outside_may_ask_inwards(gateway):
    asked = {"origin": "https://dapp.example", "access-control-request-private-network": "true"}
    preflight = await gateway.client.options("/", headers=asked)
    assert preflight.headers["access-control-allow-private-network"] == "true"


async def test_origins_can_be_limited(tmp_path):
    async with running_gateway(tmp_path, cors_origins=("https://good.example",)) as gateway:
        good = await post(gateway, CHAIN_ID, origin="https://good.example")
        bad = await post(gateway, CHAIN_ID, origin="https://bad.example")
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        assert "access-control-allow-origin" not in bad.headers
        assert bad.headers["vary"] == "Origin"
        asked = {"origin": "https://bad.example", "access-control-request-private-network": "true"}
        preflight = await gateway.client.options("/", headers=asked)
        assert "access-control-allow-private-network" not in preflight.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("node.example", 200),
        ("NODE.example:8545", 200),
        ("127.0.0.1:8545", 200),
        ("[::1]:8545", 200),
        ("evil.example", 403),
        ("evil.example:8545", 403),
        ("", 403),
    ],
)
async def test_virtual_hosts_can_be_limited(tmp_path, host, status):
    async with running_gateway(tmp_path, virtual_hosts=("node.example",)) as gateway:
        answer = await post(gateway, CHAIN_ID, host=host)
        assert answer.status_code == status
        assert (await gateway.client.get("/health", headers={"host": host})).status_code == status


# -- health and status -------------------------------------------------------------------------


async def test_health_is_an_empty_body_and_other_verbs_do_not_exist(gateway):
    answer = await gateway.client.get("/health")
    assert (answer.status_code, answer.content) == (200, b"")
    for verb in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        assert (await gateway.client.request(verb, "/health")).status_code == 404


async def test_verbose_health_says_that_the_tee_is_a_mock(gateway):
    details = (await gateway.client.get("/health?verbose")).json()
    assert details == (await gateway.client.get("/status")).json()
    assert (details["ready"], details["tee"], details["waiting_for"]) == (True, "MOCK", None)
    assert details["compute"][0]["name"] == "compute-0"


class KeylessProbe:
    """Fails for nodes that are said to have no keys."""

    def __init__(self):
        self.keyless = set()

    async def check(self, api):
        if api.name in self.keyless:
            raise PeerUnavailable("ephemeral secret not found")
        return 2


async def test_node_that_loses_its_keys_is_passed_over(tmp_path):
    probe = KeylessProbe()
    async with running_gateway(tmp_path, nodes=2, probe=probe) as gateway:
        probe.keyless.add("compute-1")
        gateway.chain.advance_epoch()
        await until(lambda: not gateway.node.readiness.describe()[1]["ok"])
        assert gateway.node.readiness.is_ready
        gateway.computes[1].calls.clear()
        for _ in range(5):
            await gateway.rpc("eth_getBalance", "0x" + "00" * 20, "latest")
        assert EvmQuery.ACCOUNT not in gateway.computes[1].calls
        probe.keyless.add("compute-0")
        gateway.chain.advance_epoch()
        await until(lambda: not gateway.node.readiness.is_ready)
        assert (await gateway.client.get("/health")).status_code == 503


async def test_gateway_is_unready_until_an_encrypted_call_went_through_every_node(tmp_path):
    probe = KeylessProbe()
    probe.keyless.add("compute-1")
    async with running_gateway(tmp_path, nodes=2, probe=probe, ready=False) as gateway:
        await until(lambda: gateway.node.readiness.describe()[0]["ok"])
        answer = await gateway.client.get("/health")
        assert (answer.status_code, answer.content) == (503, b"")
        status = (await gateway.client.get("/status")).json()
        assert status["waiting_for"] == ("a call through compute-1: ephemeral secret not found")
        probe.keyless.clear()
        await until(lambda: gateway.node.readiness.is_ready)
        assert (await gateway.client.get("/health")).status_code == 200


async def test_metrics_count_methods(gateway):
    await gateway.rpc("eth_chainId")
    text = (await gateway.client.get("/metrics")).text
    assert 'qanat_gateway_rpc_requests_total{method="eth_chainId"}' in text
    assert "qanat_gateway_newest_round 1.0" in text
    assert "qanat_gateway_ready 1.0" in text


async def test_paths_that_do_not_exist(gateway):
    assert (await gateway.client.get("/nothing")).status_code == 404
    assert (await gateway.client.post("/rpc", content=CHAIN_ID)).status_code == 404


async def test_real_sockets_serve_pipelined_requests(gateway):
    async with listening(gateway.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(CHAIN_ID)}\r\n\r\n{CHAIN_ID}"
        )
        writer.write(request.encode() * 3)
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["result"] == "0x5afd"
        writer.close()
        await writer.wait_closed()


# -- the read API -------------------------------------------------------------------------------


async def test_a_young_network_has_a_page_before_anything_is_in_the_database(gateway):
    assert gateway.node.index.durable_number == -1, "rounds without transactions wait"
    shown = (await gateway.client.get("/v1/finality")).json()
    newest = gateway.chain.newest.round
    assert (shown["proven_round"], shown["shown_round"]) == (newest, newest)
    assert shown.get("durable_round") is None
    assert (await gateway.client.get("/status")).json()["durable_round"] is None


async def test_what_the_gateway_holds_can_be_read(gateway):
    await gateway.send(sign(0))
    await until(lambda: gateway.node.index.durable_number == gateway.chain.newest.round)
    shown = {
        name: (await gateway.client.get(f"/v1/{name}")).json()
        for name in ("status", "profile", "finality", "peers", "rounds", "pool")
    }
    newest = gateway.chain.newest
    assert shown["status"]["is_ready"] is True
    assert (shown["status"]["tee"], shown["status"]["round"]) == ("MOCK", newest.round)
    assert shown["profile"]["profile"] == "strict"
    assert "eth_getLogs" in shown["profile"]["methods"]
    assert shown["finality"]["proven_round"] == shown["finality"]["durable_round"] == newest.round
    assert shown["peers"][0]["name"] == "compute-0"
    assert (shown["peers"][0]["is_up"], shown["peers"][0].get("failure")) == (True, None)
    assert shown["rounds"][0]["hash"] == "0x" + newest.hash().hex()
    assert len(shown["rounds"][0]["transactions"]) == 1
    assert shown["pool"] == []
    one = await gateway.client.get(f"/v1/rounds/{newest.round}")
    assert one.json() == shown["rounds"][0]
    assert (await gateway.client.get("/v1/rounds/999")).status_code == 404


async def test_the_pool_of_a_node_can_be_read(tmp_path):
    chain = FakeChain(balances=BALANCES, is_automatic=False)
    async with running_gateway(tmp_path, chain=chain, answer="admitted") as gateway:
        hash_ = await gateway.rpc("eth_sendRawTransaction", sign(0))
        (waiting,) = (await gateway.client.get("/v1/pool")).json()
        assert waiting["hash"] == hash_


async def test_docs_describe_what_can_be_read(gateway):
    paths = (await gateway.client.get("/openapi.json")).json()["paths"]
    assert {"/v1/status", "/v1/pool", "/v1/peers", "/v1/finality", "/v1/profile"} <= paths.keys()
    docs = await gateway.client.get("/docs")
    assert docs.headers["content-type"].startswith("text/html")
    # JSON-RPC is where it was.
    assert await gateway.rpc("eth_chainId") == hex(CHAIN_ID_NUMBER)
