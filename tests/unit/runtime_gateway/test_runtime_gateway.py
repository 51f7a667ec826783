"""The gateway of a ParaTime over a real runtime in memory: submit, ask, follow, lose a node."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from qanat.paratime.harness import CHAIN_CONTEXT, RUNTIME_ID, LocalChain
from qanat.paratime.signing import Account, open_result
from services.runtime_gateway.api import build_api
from services.runtime_gateway.edge import MAX_BODY_BYTES
from services.runtime_gateway.node import BACK_ROUNDS, ChainInfo, RuntimeGatewayNode
from services.runtime_gateway.rounds import (
    MAX_BACKLOG,
    MAX_BACKLOG_BYTES,
    FollowerTooSlow,
    Rewound,
    Rounds,
    read_round,
)
from shared.api.compute import ComputeStatus, Submission
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.errors import PeerUnavailable
from shared.gateways import finality, past
from shared.gateways.compute_nodes import ComputeNodes
from shared.kit import bodies
from shared.types.block import BlockHeader, RoundBlock
from shared.types.sdk_transaction import TransactionRecord
from tests.support.fake_consensus import TRUST_ROOT, FakeConsensus
from tests.support.turns import until

JSON = {"Content-Type": "application/json"}
ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)


TRUST = replace(TRUST_ROOT, chain_context=CHAIN_CONTEXT)


class NotesChain:
    """The chain behind all nodes; each transaction is a round at once."""

    def __init__(self) -> None:
        self.local = LocalChain("examples.sealed_notes")
        self.blocks = [RoundBlock(self.local.header)]
        self.rewinds: list[int] = []
        self.epoch = self.local.epoch
        self._changed = asyncio.Event()

    def run(self, *raws: bytes) -> None:
        records = self.local.run(*raws)
        self.blocks.append(RoundBlock(self.local.header, raws, tuple(map(encode_record, records))))
        self.announce()

    def idle(self, count: int) -> None:
        for _ in range(count):
            self.run()

    def rewind(self, number: int) -> None:
        """Go back with the state."""
        del self.blocks[number + 1 :]
        self.local.runtime.rollback(number)
        self.local.header = self.blocks[-1].header
        self.rewinds.append(number)
        self.announce()

    def announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self) -> None:
        await self._changed.wait()


class Node:
    """A compute node; what it shows may be forged."""

    def __init__(self, chain: NotesChain, name: str = "compute-0") -> None:
        self.chain, self.name = chain, name
        self.is_up = True
        self.forge: Callable[[RoundBlock], RoundBlock] = lambda block: block
        self.asked = 0

    async def fetch_status(self) -> ComputeStatus:
        self._must_be_up()
        header = self.chain.blocks[-1].header
        return ComputeStatus(
            self.name, bytes(32), RUNTIME_ID, header.round, header.state_root, self.chain.epoch,
            is_ready=True, is_worker=True, is_backup=False, mr_enclave=bytes(32), is_mock_tee=True,
        )  # fmt: skip

    async def keep_awake(self) -> bool:
        self._must_be_up()
        return False

    async def submit_transactions(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        self._must_be_up()
        local = self.chain.local
        (checked,) = local.runtime.check(raws, local.context())
        if not checked.module:
            self.chain.run(*raws)
        return (Submission(checked.hash, checked.module, checked.code, checked.message),)

    async def query(self, method: str, args: bytes, round: int | None = None) -> bytes:  # noqa: A002
        self._must_be_up()
        self.asked += 1
        local = self.chain.local
        return local.runtime.query(method, args, local.context())

    async def fetch_round(self, round: int) -> RoundBlock | None:  # noqa: A002
        self._must_be_up()
        blocks = self.chain.blocks
        return self.forge(blocks[round]) if round < len(blocks) else None

    async def watch_rounds(self, from_round: int) -> AsyncIterator[RoundBlock]:
        sent, rewinds = from_round, len(self.chain.rewinds)
        while True:
            changed = asyncio.ensure_future(self.chain.wait_for_change())
            await asyncio.sleep(0)
            try:
                self._must_be_up()
                if len(self.chain.rewinds) != rewinds:
                    raise PeerUnavailable("the network was rewound")
                for block in self.chain.blocks[sent:]:
                    sent += 1
                    yield self.forge(block)
                await changed
            finally:
                changed.cancel()

    def fail(self) -> None:
        self.is_up = False
        self.chain.announce()

    def _must_be_up(self) -> None:
        if not self.is_up:
            raise PeerUnavailable("it is down")


@pytest.fixture
async def chain() -> NotesChain:
    return NotesChain()


@pytest.fixture
async def node(chain: NotesChain) -> Node:
    return Node(chain)


@asynccontextmanager
async def serving(
    chain: NotesChain, *nodes: Node, limit: int = 64
) -> AsyncIterator[RuntimeGatewayNode]:
    consensus = FakeConsensus(chain, runtime_id=RUNTIME_ID, chain_context=CHAIN_CONTEXT)
    made = RuntimeGatewayNode(
        "gateway",
        ChainInfo(RUNTIME_ID, CHAIN_CONTEXT, confidential=True),
        ComputeNodes({node.name: node for node in nodes}),
        consensus,
        TRUST,
        Rounds(limit, 1 << 20),
    )
    async with made.running():
        await until(lambda: made.waiting_for is None)
        yield made


@pytest.fixture
async def gateway(chain: NotesChain, node: Node) -> AsyncIterator[RuntimeGatewayNode]:
    async with serving(chain, node) as made:
        yield made


@pytest.fixture
async def http(gateway: RuntimeGatewayNode) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(build_api(gateway)) as client:
        yield client


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


def show(data: bytes) -> str:
    return "0x" + data.hex()


async def write(node: Node, http: httpx.AsyncClient, text: str) -> tuple[Any, bytes | None]:
    raw, key = node.chain.local.sign(ALICE, "notes.Write", text)
    answer = await http.post("/v1/transactions", json={"raw": show(raw)})
    assert answer.status_code == 200, answer.text
    return answer.json(), key


async def test_a_transaction_is_answered_with_its_sealed_result(node, http):
    answer, key = await write(node, http, "a canary")
    assert answer["round"] == 1
    assert open_result(bytes.fromhex(answer["result_cbor"][2:]), key) == 0
    assert answer["events"] == [{"module": "notes", "code": 1, "value": {"note": 0}}]
    again = await http.get(f"/v1/transactions/{answer['hash']}")
    assert again.json() == answer
    shown = await http.get("/v1/rounds/1")
    assert shown.json()["transactions"][0]["hash"] == answer["hash"]
    assert "canary" not in again.text + shown.text


async def test_info_tells_what_a_client_needs(node, http):
    info = (await http.get("/v1/info")).json()
    assert (info["runtime_id"], info["chain_context"]) == (show(RUNTIME_ID), CHAIN_CONTEXT)
    assert info["runtime"]["name"] == "sealed-notes"
    assert "notes.Write" in info["runtime"]["methods"]
    assert info["call_data_key"]["epoch"] == node.chain.epoch
    assert info["mock_tee"] is True


async def test_questions_go_in_json_or_cbor(node, http):
    await write(node, http, "x")
    for question in (
        {"method": "accounts.Nonce", "args": {"address": show(ALICE.address)}},
        {
            "method": "accounts.Nonce",
            "args_cbor": show(cbor.encode({"address": ALICE.address})),
        },
    ):
        answer = (await http.post("/v1/query", json=question)).json()
        assert answer == {"answer": 1, "answer_cbor": "0x01"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/query", {"method": "no.Such"}, 400),
        ("/v1/query", {"method": "accounts.Nonce", "args": 1.5}, 400),
        ("/v1/query", {"method": "accounts.Nonce", "args": "text"}, 400),
        ("/v1/query", {"method": "accounts.Nonce", "args_cbor": "0x0"}, 400),
        ("/v1/query", {"method": "accounts.Nonce", "args_cbor": "0xd81c81d81d00"}, 400),
        ("/v1/query", {"method": "x", "more": 1}, 422),
        ("/v1/transactions", {"raw": "zz"}, 400),
        ("/v1/transactions", {"raw": "0x00"}, 400),
        ("/v1/transactions", {"raw": "0x00", "wait_s": 1e9}, 422),
    ],
)
async def test_bad_requests_are_refused(http, path, body, status):
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "body",
    [
        '{"method": "notes.Total", "args": ' + "[" * 800 + "]" * 800 + "}",
        r'{"method": "notes.Total", "args": "\ud800"}',
        r'{"method": "notes.Total", "args": {"\ud800": 1}}',
        r'{"method": "\ud800"}',
        r'{"method": "x", "\ud800": 1}',
        '{"method": "x", "round": NaN}',
        '{"method": "x", "more": ' + "[" * 800 + "]" * 800 + "}",
    ],
    ids=[
        "deep",
        "half",
        "half-key",
        "half-method",
        "half-name",
        "no-number",
        "deep-more",
    ],
)
@pytest.mark.parametrize("path", ["/v1/query", "/v1/transactions"])
async def test_what_only_json_can_say_is_no_bug(http, path, body):
    answer = await http.post(path, content=body, headers=JSON)
    assert answer.status_code in (400, 422), answer.text


async def test_a_body_that_is_too_long_is_refused(http):
    answer = await http.post("/v1/transactions", content=b"x" * (MAX_BODY_BYTES + 1), headers=JSON)
    assert answer.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for(gateway, monkeypatch):
    monkeypatch.setattr(bodies, "TIMEOUT_S", 0.05)

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async with client_of(build_api(gateway)) as http:
        answer = await http.post("/v1/query", content=half(), headers=JSON)
    assert answer.status_code == 408


async def test_only_json_comes_in(http):
    answer = await http.post("/v1/query", content=b'{"method": "notes.Total"}')
    assert answer.status_code == 415


async def test_a_foreign_host_is_refused_and_pages_read_what_they_may(gateway):
    app = build_api(gateway, hosts=("localhost",), origins=("https://ours.example",))
    async with client_of(app) as http:
        assert (await http.get("/health", headers={"Host": "evil.example"})).status_code == 403
        for host in ("localhost:8555", "127.0.0.1:8555", "[::1]:8555"):
            assert (await http.get("/health", headers={"Host": host})).status_code == 200
        ours = {"Host": "localhost", "Origin": "https://ours.example"}
        answer = await http.get("/health", headers=ours)
        assert answer.headers["access-control-allow-origin"] == "https://ours.example"
        preflight = await http.options("/v1/query", headers=ours)
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        foreign = await http.get("/health", headers=ours | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers


async def test_what_is_not_here_is_not_found(http):
    for path in ("/v1/rounds/99", "/v1/transactions/0x" + "00" * 32):
        assert (await http.get(path)).status_code == 404


async def test_events_are_followed_from_a_round_on(node, gateway):
    followed = gateway.rounds.follow(0)
    seen = [await anext(followed)]
    raw, _ = node.chain.local.sign(ALICE, "notes.Write", "x")
    await gateway.submit(raw)
    async with asyncio.timeout(5):
        seen.append(await anext(followed))
    assert [one.header.round for one in seen] == [0, 1]
    await followed.aclose()
    assert gateway.rounds.follower_count == 0


async def test_a_node_that_is_gone_makes_it_unready_and_comes_back(node, gateway, http):
    (member,) = gateway._nodes.members
    node.fail()
    await gateway.check_node(member)
    assert (await http.get("/health")).status_code == 503
    assert (await http.post("/v1/query", json={"method": "notes.Total"})).status_code == 503
    node.is_up = True
    await gateway.check_node(member)
    assert (await http.get("/health")).status_code == 200


# -- proofs ------------------------------------------------------------------------------------


def forged(block: RoundBlock) -> RoundBlock:
    """Results that the header does not name."""
    record = decode_record(TransactionRecord, block.results[0]) if block.results else None
    if record is None:
        return block
    lie = replace(record, result=cbor.encode({"ok": b"a lie"}))
    return replace(block, results=(encode_record(lie),))


async def test_results_that_a_node_forged_are_not_shown(chain, monkeypatch):
    liar, honest = Node(chain, "liar"), Node(chain, "honest")
    liar.forge = forged
    honest.is_up = False
    monkeypatch.setattr(Node, "query", lambda *_: asyncio.sleep(0, b""))
    monkeypatch.setattr(finality, "FINAL_TIMEOUT_S", 0.2)
    async with serving(chain, liar, honest) as gateway:
        raw, _ = chain.local.sign(ALICE, "notes.Write", "x")
        chain.run(raw)
        await until(lambda: not gateway._nodes.members[0].is_up)
        assert gateway.rounds.newest.number == 0
        honest.is_up = True
        await until(lambda: gateway.rounds.newest.number == 1)
        assert gateway.rounds.newest == read_round(chain.blocks[1])


async def test_a_round_that_consensus_did_not_finalize_is_not_shown(chain, node, monkeypatch):
    monkeypatch.setattr(finality, "FINAL_TIMEOUT_S", 0.2)
    async with serving(chain, node) as gateway:
        node.forge = lambda block: replace(block, header=replace(block.header, timestamp=1))
        chain.idle(2)
        await until(lambda: not gateway._nodes.members[0].is_up)
        assert gateway.rounds.newest.number == 0


async def test_a_rewind_unlearns_and_is_told(chain, node, gateway, http):
    first = (await write(node, http, "one"))[0]
    second = (await write(node, http, "two"))[0]
    followed = gateway.rounds.follow(2)
    assert (await anext(followed)).number == 2
    chain.rewind(1)
    async with asyncio.timeout(10):
        assert await anext(followed) == Rewound(1)
    assert (await http.get(f"/v1/transactions/{second['hash']}")).status_code == 404
    assert (await http.get(f"/v1/transactions/{first['hash']}")).status_code == 200
    chain.idle(2)
    await until(lambda: gateway.rounds.newest.number == 3)
    assert gateway.rounds.newest.hash == chain.blocks[3].header.hash()
    assert gateway.rounds.incarnation == 1
    await followed.aclose()


async def test_old_rounds_are_proven_before_they_are_shown(chain, monkeypatch):
    chain.idle(BACK_ROUNDS + 20)
    liar, honest = Node(chain, "liar"), Node(chain, "honest")
    async with (
        serving(chain, liar, honest, limit=128) as gateway,
        client_of(build_api(gateway)) as http,
    ):
        oldest = gateway.rounds.oldest
        assert oldest.number == chain.blocks[-1].header.round - BACK_ROUNDS
        liar.forge = lambda block: replace(block, header=replace(block.header, timestamp=1))
        for number in (0, 3, oldest.number - 1):
            shown = (await http.get(f"/v1/rounds/{number}")).json()
            assert shown["hash"] == show(chain.blocks[number].header.hash())
        honest.forge = liar.forge
        assert (await http.get("/v1/rounds/3")).status_code == 503
        monkeypatch.setattr(past, "MAX_PAST_ROUNDS", 2)
        assert (await http.get("/v1/rounds/3")).status_code == 404


async def test_questions_go_to_every_node_that_answers(chain):
    nodes = [Node(chain, f"compute-{i}") for i in range(3)]
    async with serving(chain, *nodes) as gateway, client_of(build_api(gateway)) as http:
        before = [one.asked for one in nodes]
        for _ in range(6):
            question = {"method": "notes.Total"}
            assert (await http.post("/v1/query", json=question)).status_code == 200
            # What comes in one turn of the loop goes to one node.
            await asyncio.sleep(0)
        assert all(one.asked > count for one, count in zip(nodes, before, strict=True))
        nodes[0].fail()
        for _ in range(3):
            assert (await http.post("/v1/query", json=question)).status_code == 200


def a_round(number: int, previous: BlockHeader | None, salt: int = 0, size: int = 0) -> RoundBlock:
    chain = LocalChain("examples.sealed_notes").header if previous is None else previous
    header = BlockHeader(
        version=1,
        namespace=RUNTIME_ID,
        round=number,
        timestamp=salt,
        header_type=chain.header_type,
        previous_hash=bytes(32) if previous is None else previous.hash(),
        io_root=chain.io_root,
        state_root=chain.state_root,
    )
    record = TransactionRecord(
        hash=bytes([salt]) * 31 + bytes([number]),
        sender=bytes(21),
        nonce=0,
        gas_used=1,
        fee=0,
        result=cbor.encode({"ok": bytes(size)}),
    )
    return RoundBlock(header, (b"raw",), (encode_record(record),))


def test_memory_is_bounded_by_rounds_and_bytes():
    rounds = Rounds(4, 10_000)
    previous = None
    for number in range(8):
        block = a_round(number, previous, size=1_000)
        previous = block.header
        rounds.add(read_round(block))
    assert [n for n in range(8) if rounds.find(n)] == [4, 5, 6, 7]
    rounds.add(read_round(a_round(8, previous, size=9_500)))
    assert [n for n in range(9) if rounds.find(n)] == [8]


@pytest.mark.parametrize(
    ("rounds_behind", "size"),
    [(MAX_BACKLOG, 0), (5, MAX_BACKLOG_BYTES // 4)],
    ids=["many", "large"],
)
async def test_a_follower_that_does_not_read_is_dropped(rounds_behind, size):
    rounds = Rounds(4, 1 << 20)
    followed = rounds.follow(0)
    first = a_round(0, None)
    rounds.add(read_round(first))
    await anext(followed)
    previous = first.header
    for number in range(1, rounds_behind + 3):
        block = a_round(number % 200, previous, salt=number % 250, size=size)
        previous = block.header
        rounds.add(read_round(block))
    with pytest.raises(FollowerTooSlow):
        async for _ in followed:
            pass


def test_values_survive_json():
    from services.runtime_gateway.shapes import from_json, to_json

    value = {"a": [1, b"\x01", None, True, "text"], "b": {"c": b""}}
    assert from_json(json.loads(json.dumps(to_json(value)))) == value
