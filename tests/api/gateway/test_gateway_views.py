"""View requests through the gateway, as its clients make them."""

import json

import pytest

from qanat.view.asking import ask_as_owner
from qanat.view.errors import QuestionTooLarge
from qanat.view.gateway import Gateway, GatewayRefused
from qanat.view.viewing import as_owner, as_sender, fetch_view, read_trace
from services.gateway.probe import PlainCallProbe
from services.gateway.rpc.shapes import show_bytes as show
from shared.crypto.hashes import keccak256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.evm import EvmQuery, StorageQuery
from shared.types.sight import MAX_QUESTION_BYTES, Question
from tests.support.fake_compute import DEBUG_KEY, FakeChain
from tests.support.gateway import BALANCES, FIRST_KEY, running_gateway
from tests.support.signing import log_emitter, sign

WORD = bytes(31) + b"\x2a"
# Keeps the first word in slot 0, and returns what it was given.
ECHO = bytes.fromhex("5f355f55365f5f37365ff3")
ECHO_INIT = bytes.fromhex("600b600c600039600b6000f3") + ECHO
DIFF = b'{"geth":{"tracer":"prestateTracer","tracerConfig":{"diffMode":true}}}'


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path, chain=FakeChain(balances=BALANCES)) as running:
        yield running


@pytest.fixture
def client(gateway):
    return Gateway("http://localhost:8545", transport=gateway.client._transport)


async def store(gateway) -> bytes:
    """Deploy the echo and call it; the hash of the call."""
    deployed = await gateway.send(sign(0, to=b"", value=0, data=ECHO_INIT, gas=500_000))
    echo = (await gateway.rpc("eth_getTransactionReceipt", deployed))["contractAddress"]
    return bytes.fromhex((await gateway.send(sign(1, to=echo, value=0, data=WORD)))[2:])


async def test_owner_and_sender_see_and_strangers_do_not(gateway, client):
    hash_ = await store(gateway)
    trace = read_trace(await fetch_view(client, hash_, as_owner(DEBUG_KEY)))
    assert (trace["input"], trace["output"]) == ("0x" + WORD.hex(),) * 2
    changes = read_trace(await fetch_view(client, hash_, as_owner(DEBUG_KEY), style=DIFF))
    assert "0x" + WORD.hex() in json.dumps(changes)
    own = read_trace(await fetch_view(client, hash_, as_sender(bytes.fromhex(FIRST_KEY[2:]))))
    assert own["input"] == "0x" + WORD.hex()
    for stranger in (as_owner(Signer(b"\x01" * 32)), as_sender(b"\x01" * 32)):
        with pytest.raises(GatewayRefused, match="not signed by"):
            await fetch_view(client, hash_, stranger)


async def test_what_the_gateway_carries_is_sealed(gateway, client):
    hash_ = await store(gateway)
    carried = []
    ask_all = client.ask_all

    async def watch(wanted, headers):
        answers = await ask_all(wanted, headers)
        carried.append(json.dumps([wanted, answers]))
        return answers

    client.ask_all = watch
    view = await fetch_view(client, hash_, as_owner(DEBUG_KEY))
    assert WORD.hex() in view.trace.decode()
    assert len(carried) == 1
    assert WORD.hex() not in carried[0]


async def test_parameters_say_for_what_a_request_is_signed(gateway):
    shown = await gateway.rpc("oasis_viewParameters")
    assert shown["chainContext"] == gateway.chain.chain_context
    assert int(shown["chainId"], 16) == gateway.chain.chain_id
    assert int(shown["incarnation"], 16) == 0


GOOD = {
    "transaction": "0x" + "11" * 32,
    "asker": "0x" + "22" * 32,
    "expires": "0xffffffffff",
    "signature": "0x" + "33" * 64,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction": None},
        {"asker": "0x22"},
        {"expires": "0x10000000000000000"},
        {"signature": "0x" + "33" * 63},
        {"style": 3},
        {"style": "x" * 70_000},
    ],
)
async def test_bad_requests_are_refused_at_the_edge(gateway, changes):
    error = await gateway.error("oasis_viewTransaction", GOOD | changes)
    assert error["code"] == -32602
    assert not [one for node in gateway.computes for one in node.calls if "View" in one]


async def test_unknown_transactions_and_public_paratimes_have_no_view(gateway, tmp_path):
    error = await gateway.error("oasis_viewTransaction", GOOD)
    assert error["message"] == "transaction not found"
    chain = FakeChain(balances=BALANCES, confidential=False)
    folder = tmp_path / "public"
    folder.mkdir()
    async with running_gateway(
        folder, chain=chain, probe=PlainCallProbe(), confidential=False
    ) as public:
        hash_ = await public.send(sign(0, to=b"", value=0, data=log_emitter(), gas=500_000))
        error = await public.error("oasis_viewTransaction", GOOD | {"transaction": hash_})
        assert "debug_traceTransaction" in error["message"]


GOOD_QUESTION = {
    "asker": "0x" + "22" * 32,
    "expires": "0xffffffffff",
    "round": "0x0",
    "epoch": "0x2",
    "nonce": "0x" + "44" * 15,
    "data": "0x" + "55" * 40,
    "signature": "0x" + "33" * 64,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"asker": None},
        {"expires": "soon"},
        {"round": "latest"},
        {"epoch": None},
        {"nonce": "0x44"},
        {"data": "0x" + "55" * (MAX_QUESTION_BYTES + 1)},
        {"signature": "0x" + "33" * 65},
    ],
)
async def test_bad_questions_are_refused_at_the_edge(gateway, changes):
    error = await gateway.error("oasis_askAsOwner", GOOD_QUESTION | changes)
    assert error["code"] == -32602
    assert not [one for node in gateway.computes for one in node.calls if "Owner" in one]


async def test_questions_of_strangers_and_of_no_round_are_refused(gateway):
    error = await gateway.error("oasis_askAsOwner", GOOD_QUESTION)
    assert "debug key" in error["message"]
    error = await gateway.error("oasis_askAsOwner", GOOD_QUESTION | {"round": "0xffff"})
    assert error["message"] == "header not found"


async def test_a_question_and_its_answer_are_sealed_on_their_way(gateway, client):
    await store(gateway)
    (transaction,) = gateway.chain.blocks[-1].transactions
    newest = gateway.chain.newest.round
    echo = (await gateway.rpc("eth_getTransactionByHash", show(keccak256(transaction))))["to"]
    slot = Question(
        EvmQuery.STORAGE, encode_record(StorageQuery(bytes.fromhex(echo[2:]), bytes(32)))
    )
    assert await ask_as_owner(client, DEBUG_KEY, slot, newest) == WORD
    assert await ask_as_owner(client, DEBUG_KEY, slot, newest - 1) == bytes(32)
    with pytest.raises(GatewayRefused, match="not signed by"):
        await ask_as_owner(client, Signer(b"\x01" * 32), slot, newest)
    large = Question(EvmQuery.SIMULATE, bytes(MAX_QUESTION_BYTES))
    with pytest.raises(QuestionTooLarge):
        await ask_as_owner(client, DEBUG_KEY, large, newest)


async def test_a_question_is_sealed_anew_when_the_epoch_ends_under_it(gateway, client):
    ask_all = client.ask_all

    async def turn(wanted, headers):
        answers = await ask_all(wanted, headers)
        if wanted[0][0] == "oasis_viewParameters" and gateway.chain.epoch < 4:
            gateway.chain.advance_epoch()
        return answers

    client.ask_all = turn
    newest = gateway.chain.newest.round
    slot = Question(EvmQuery.STORAGE, encode_record(StorageQuery(bytes(20), bytes(32))))
    assert await ask_as_owner(client, DEBUG_KEY, slot, newest) == bytes(32)
    assert gateway.chain.epoch == 4
