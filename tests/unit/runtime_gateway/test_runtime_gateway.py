"""The gateway of a ParaTime over a real runtime in memory: submit, ask, follow, lose a node."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from qanat.paratime.harness import CHAIN_CONTEXT, RUNTIME_ID, LocalChain
from qanat.paratime.signing import Account, open_result
from services.runtime_gateway.api import MAX_BODY_BYTES, build_api
from services.runtime_gateway.node import RuntimeGatewayNode
from services.runtime_gateway.rounds import Rounds, read_round
from shared.api.compute import Submission
from shared.encoding import cbor
from shared.encoding.record import encode_record
from shared.errors import PeerUnavailable
from shared.types.block import BlockHeader, RoundBlock
from shared.types.sdk_transaction import TransactionRecord

ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)


class Status:
    chain_context = CHAIN_CONTEXT
    round = 0


class Node:
    """A compute node that executes at once."""

    def __init__(self, chain: LocalChain) -> None:
        self.chain = chain
        self.blocks = [RoundBlock(chain.header)]
        self.is_up = True
        self._news = asyncio.Event()

    async def fetch_status(self) -> Status:
        self._must_be_up()
        status = Status()
        status.round = len(self.blocks) - 1
        return status

    async def submit_transactions(self, raws: tuple[bytes, ...]) -> tuple[Submission, ...]:
        self._must_be_up()
        (checked,) = self.chain.runtime.check(raws, self.chain.context())
        if not checked.module:
            records = self.chain.run(*raws)
            self.add(RoundBlock(self.chain.header, raws, tuple(map(encode_record, records))))
        return (Submission(checked.hash, checked.module, checked.code, checked.message),)

    async def query(self, method: str, args: bytes, round: int | None = None) -> bytes:  # noqa: A002
        self._must_be_up()
        return self.chain.runtime.query(method, args, self.chain.context())

    async def fetch_round(self, round: int) -> RoundBlock | None:  # noqa: A002
        self._must_be_up()
        return self.blocks[round] if round < len(self.blocks) else None

    async def watch_rounds(self, from_round: int) -> AsyncIterator[RoundBlock]:
        sent = from_round
        while True:
            self._must_be_up()
            for block in self.blocks[sent:]:
                sent += 1
                yield block
            await self._news.wait()
            self._news.clear()

    def add(self, block: RoundBlock) -> None:
        self.blocks.append(block)
        self._news.set()

    def fail(self) -> None:
        self.is_up = False
        self._news.set()

    def _must_be_up(self) -> None:
        if not self.is_up:
            raise PeerUnavailable("it is down")


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    yield Node(LocalChain("examples.sealed_notes"))


@pytest.fixture
async def gateway(node: Node) -> AsyncIterator[RuntimeGatewayNode]:
    made = RuntimeGatewayNode(
        RUNTIME_ID, {"compute-0": node}, node, Rounds(64, 1 << 20), confidential=True
    )
    async with made.running():
        async with asyncio.timeout(5):
            while made.waiting_for is not None:
                await asyncio.sleep(0.005)
        yield made


@pytest.fixture
async def http(gateway: RuntimeGatewayNode) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_api(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


def show(data: bytes) -> str:
    return "0x" + data.hex()


async def write(node: Node, http: httpx.AsyncClient, text: str) -> tuple[Any, bytes | None]:
    raw, key = node.chain.sign(ALICE, "notes.Write", text)
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


async def test_a_body_that_is_too_long_is_refused(http):
    answer = await http.post("/v1/transactions", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 400


async def test_what_is_not_here_is_not_found(http):
    for path in ("/v1/rounds/99", "/v1/transactions/0x" + "00" * 32):
        assert (await http.get(path)).status_code == 404


async def test_events_are_followed_from_a_round_on(node, gateway):
    followed = gateway.rounds.follow(0)
    seen = [await anext(followed)]
    raw, _ = node.chain.sign(ALICE, "notes.Write", "x")
    await gateway.submit(raw)
    async with asyncio.timeout(5):
        seen.append(await anext(followed))
    assert [one.header.round for one in seen] == [0, 1]
    await followed.aclose()
    assert gateway.rounds.follower_count == 0


async def test_a_node_that_is_gone_makes_it_unready_and_comes_back(node, gateway, http):
    node.fail()
    await gateway._check_node("compute-0")
    assert (await http.get("/health")).status_code == 503
    assert (await http.post("/v1/query", json={"method": "notes.Total"})).status_code == 503
    node.is_up = True
    await gateway._check_node("compute-0")
    assert (await http.get("/health")).status_code == 200


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


def test_a_rewind_unlearns_what_it_replaces():
    rounds = Rounds(16, 1 << 20)
    old = [a_round(0, None)]
    for number in (1, 2, 3):
        old.append(a_round(number, old[-1].header))
    for block in old:
        assert rounds.add(read_round(block))
    assert not rounds.add(read_round(old[3])), "known"
    replaced = read_round(a_round(2, old[1].header, salt=7))
    assert rounds.add(replaced)
    assert rounds.newest == replaced
    assert rounds.find(3) is None
    assert rounds.find_transaction(read_round(old[3]).records[0].hash) is None
    foreign = read_round(a_round(9, a_round(8, None, salt=3).header, salt=9))
    rounds.add(foreign)
    assert (rounds.newest, rounds.find(1)) == (foreign, None)


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


async def test_a_follower_that_does_not_read_is_dropped():
    from services.runtime_gateway.rounds import MAX_BACKLOG, FollowerTooSlow

    rounds = Rounds(4, 1 << 20)
    followed = rounds.follow(0)
    first = a_round(0, None)
    rounds.add(read_round(first))
    await anext(followed)
    previous = first.header
    for number in range(1, MAX_BACKLOG + 3):
        block = a_round(number % 200, previous, salt=number % 250)
        previous = block.header
        rounds.add(read_round(block))
    with pytest.raises(FollowerTooSlow):
        async for _ in followed:
            pass


def test_values_survive_json():
    from services.runtime_gateway.shapes import from_json, to_json

    value = {"a": [1, b"\x01", None, True, "text"], "b": {"c": b""}}
    assert from_json(json.loads(json.dumps(to_json(value)))) == value
