"""
What shows storage, through `qanat view` on a confidential ParaTime: for the debug key, and sealed.

What a public ParaTime answers to the same question, from its gateway, is the model.
"""

import json

import pytest
from eth_account import Account

from qanat.view.asking import is_owner
from services.gateway.probe import PlainCallProbe
from shared.crypto.signing import Signer
from tests.api.view.test_view_calls import PARTS, SECRET, call, decode, encode, send
from tests.api.view.test_view_transactions import typed
from tests.support.fake_compute import DEBUG_KEY, FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.view import running_view

KEPT = "0x" + (SECRET.ljust(31, b"\0") + bytes([2 * len(SECRET)])).hex()
"""What slot 0 holds: a short text and its length."""
SLOT_READER = "0x" + bytes.fromhex("5f545f523360205260405ff3").hex()
"""Code that returns slot 0 and its caller."""
TELLTALE = "0x" + bytes.fromhex("5f545f5260205ffd").hex()
"""Code that reverts with slot 0."""
STRANGER = Account.from_key(b"\x44" * 32).address


@pytest.fixture
async def view(gateway):
    async with running_view(gateway, debug_key=DEBUG_KEY) as view:
        yield view


@pytest.fixture
async def kept(view, vault):
    """A vault with the secret in it."""
    await send(view, vault, "store", SECRET)
    view.wire.heard.clear()
    yield vault
    for plain in (SECRET, bytes.fromhex(KEPT[2:])):
        assert not view.wire.has_heard(plain)


@pytest.fixture
async def public(tmp_path):
    """A public ParaTime with the same vault at the same address."""
    folder = tmp_path / "public"
    folder.mkdir()
    chain = FakeChain(balances=BALANCES, confidential=False)
    async with (
        running_gateway(folder, chain=chain, probe=PlainCallProbe(), confidential=False) as gateway,
        running_view(gateway) as view,
    ):
        sent = {"from": FIRST_ADDRESS, "data": PARTS["bytecode"]}
        hash_ = await view.rpc("eth_sendTransaction", sent)
        vault = (await view.rpc("eth_getTransactionReceipt", hash_))["contractAddress"]
        await send(view, vault, "store", SECRET)
        yield gateway


def request(vault, name, *arguments, **changes):
    return {"from": FIRST_ADDRESS, "to": vault, "data": encode(name, *arguments)} | changes


# -- the owner ---------------------------------------------------------------------------------


async def test_slots_are_read_at_any_block(view, gateway, kept):
    assert await view.rpc("eth_getStorageAt", kept, "0x0", "latest") == KEPT
    assert await view.rpc("eth_getStorageAt", kept, "0x0") == KEPT
    assert int(await view.rpc("eth_getStorageAt", kept, "0x1", "pending"), 16) == 1
    newest = await view.rpc("eth_getBlockByNumber", "latest", False)
    before = hex(int(newest["number"], 16) - 1)
    assert int(await view.rpc("eth_getStorageAt", kept, "0x0", before), 16) == 0
    by_hash = {"blockHash": newest["hash"]}
    assert await view.rpc("eth_getStorageAt", kept, "0x0", by_hash) == KEPT
    assert int(await view.rpc("eth_getStorageAt", STRANGER, "0x0", "latest"), 16) == 0
    assert int(await gateway.rpc("eth_getStorageAt", kept, "0x0", "latest"), 16) == 0


async def test_slots_are_listed_as_they_were_before_a_transaction(view, gateway, kept, public):
    other = b"\x5a" * len(SECRET)
    hash_ = await send(view, kept, "store", other)
    sent = await view.rpc("eth_getTransactionByHash", hash_)
    listed = await view.rpc("debug_storageRangeAt", sent["blockHash"], 0, kept, "0x", 10)
    of_kept = {one["key"]: one["value"] for one in listed["storage"].values()}
    assert of_kept == {f"0x{0:064x}": KEPT, f"0x{1:064x}": f"0x{1:064x}"}
    assert listed["nextKey"] is None
    asked = ("debug_storageRangeAt", sent["blockHash"], hash_, kept, "0x", 1)
    assert (await view.rpc(*asked))["nextKey"] in listed["storage"]
    assert "out of range" in (await view.ask(*asked[:2], 1, *asked[3:]))["error"]["message"]
    assert "keep secrets" in (await gateway.ask(*asked[:2], 0, *asked[3:]))["error"]["message"]
    async with running_view(public) as other_view:
        stored = await send(other_view, kept, "store", other)
        block = (await other_view.rpc("eth_getTransactionByHash", stored))["blockHash"]
        shown = await public.rpc("debug_storageRangeAt", block, 0, kept, "0x", 10)
    assert shown == listed


@pytest.mark.parametrize(
    "make",
    [
        lambda v: ("debug_traceCall", request(v, "reveal"), "latest", {"tracer": "callTracer"}),
        lambda v: ("debug_traceCall", request(v, "reveal"), "latest"),
        lambda v: (
            "debug_traceCall",
            request(v, "store", SECRET),
            "latest",
            {
                "tracer": "prestateTracer",
                "tracerConfig": {"diffMode": True},
                # What it has paid so far depends on envelopes.
                "stateOverrides": {FIRST_ADDRESS: {"balance": "0x1"}},
            },
        ),
        lambda v: (
            "debug_traceCall",
            request(v, "reveal"),
            "latest",
            {"tracer": "callTracer", "stateOverrides": {v: {"code": SLOT_READER}}},
        ),
        lambda v: ("trace_call", request(v, "reveal"), ["trace", "stateDiff", "vmTrace"]),
        lambda v: (
            "trace_callMany",
            [
                [request(v, "store", SECRET[::-1]), ["trace"]],
                [request(v, "reveal"), ["trace"]],
            ],
            "latest",
        ),
        lambda v: ("trace_rawTransaction", typed(2, v), ["trace"]),
        lambda v: ("eth_createAccessList", request(v, "reveal")),
        lambda v: ("eth_createAccessList", request(v, "failWithReason"), "latest"),
        lambda v: ("eth_call", request(v, "reveal"), "latest", {v: {"code": SLOT_READER}}),
        lambda v: (
            "eth_call",
            request(v, "blockFacts"),
            "latest",
            {},
            {"number": "0x1234", "time": "0x99999999"},
        ),
    ],
)
async def test_answers_are_those_of_a_public_paratime(view, public, kept, make):
    asked = make(kept)
    answer, model = await view.rpc(*asked), await public.rpc(*asked)
    assert answer == model


async def test_simulated_blocks_build_on_each_other(view, public, kept):
    other = SECRET[::-1]
    payload = {
        "blockStateCalls": [
            {"calls": [request(kept, "store", other)]},
            {
                "blockOverrides": {"number": "0x40", "time": "0x7fffffff"},
                "calls": [request(kept, "reveal"), request(kept, "failWithReason")],
            },
        ],
        "returnFullTransactions": True,
    }
    blocks = await view.rpc("eth_simulateV1", payload, "latest")
    model = await public.rpc("eth_simulateV1", payload, "latest")
    assert len(blocks) == len(model) > 2
    assert decode("reveal", blocks[-1]["calls"][0]["returnData"]) == (other,)
    assert blocks[-1]["calls"][1]["error"] == model[-1]["calls"][1]["error"]
    newest = await view.rpc("eth_getBlockByNumber", "latest", False)
    assert blocks[0]["parentHash"] == newest["hash"]
    assert [one["gasUsed"] for one in blocks] == [one["gasUsed"] for one in model]
    assert not view.wire.has_heard(other)
    assert await call(view, kept, "reveal") == (SECRET,)


@pytest.mark.parametrize(
    ("call", "validates", "code"),
    [
        ({"value": hex(10**30)}, False, -38014),
        ({"gas": "0x1"}, False, -38013),
        ({"gas": hex(2**40)}, False, -38015),
        ({}, True, -38012),
        ({"maxFeePerGas": hex(10**11), "nonce": "0x99"}, True, -38011),
    ],
)
async def test_simulations_are_refused_as_by_a_public_paratime(
    view, public, kept, call, validates, code
):
    blocks = [{"calls": [request(kept, "reveal", **call)]}]
    wanted = {"blockStateCalls": blocks, "validation": validates}
    error = await view.error("eth_simulateV1", wanted, "latest")
    model = await public.error("eth_simulateV1", wanted, "latest")
    assert (error["code"], model["code"]) == (code, code)
    # Balances are not: what an envelope costs more.
    assert error["message"].partition(" have ")[0] == model["message"].partition(" have ")[0]


async def test_a_simulation_is_validated_and_moves_what_is_there(view, kept):
    random_bytes = "0x01" + "00" * 18 + "01"
    offered = request(kept, "reveal", maxFeePerGas=hex(10**12), gas="0x186a0")
    blocks = [
        {"calls": [offered]},
        {
            "stateOverrides": {random_bytes: {"movePrecompileToAddress": STRANGER}},
            "calls": [offered | {"to": STRANGER}, offered | {"to": random_bytes}],
        },
    ]
    wanted = {"blockStateCalls": blocks, "validation": True}
    first, second = await view.rpc("eth_simulateV1", wanted, "latest")
    assert decode("reveal", first["calls"][0]["returnData"]) == (SECRET,)
    assert int(first["baseFeePerGas"], 16) == 10**11
    moved, gone = second["calls"]
    assert (gone["status"], gone["returnData"]) == ("0x1", "0x")
    assert moved["gasUsed"] != gone["gasUsed"]


async def test_calls_with_overrides_are_from_whom_they_say(view, kept):
    pretended = {kept: {"code": SLOT_READER}}
    asked = {"from": STRANGER, "to": kept, "data": "0x"}
    answer = await view.rpc("eth_call", asked, "latest", pretended)
    assert (answer[:66], "0x" + answer[-40:]) == (KEPT, STRANGER.lower())
    balance = {STRANGER: {"balance": hex(10**18)}}
    gas = await view.rpc("eth_estimateGas", asked | {"value": hex(10**17)}, "latest", balance)
    assert int(gas, 16) >= 21_000
    # What pretends nothing goes the way of other calls: signed, and nobody where it cannot be.
    view.wire.heard.clear()
    await view.rpc("eth_call", request(kept, "reveal"), "latest", {}, None)
    assert not any(b"oasis_askAsOwner" in one for one in view.wire.heard)


async def test_an_estimate_with_overrides_counts_the_envelope(view, kept):
    plain = request(kept, "store", SECRET)
    gas = await view.rpc("eth_estimateGas", plain, "latest", {STRANGER: {"nonce": "0x1"}})
    hash_ = await send(view, kept, "store", SECRET, gas=gas)
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_reverts_and_bad_overrides_come_as_from_a_gateway(view, public, kept):
    telltale = {kept: {"code": TELLTALE}}
    for method in ("eth_call", "eth_estimateGas"):
        asked = {"from": FIRST_ADDRESS, "to": kept, "data": "0x"}
        error = await view.error(method, asked, "latest", telltale)
        assert (error["code"], error["data"]) == (3, KEPT)
    asked = request(kept, "failWithReason")
    pretended = {STRANGER: {"balance": "0x1"}}
    assert await view.error("eth_call", asked, "latest", pretended) == await public.error(
        "eth_call", asked, "latest", pretended
    )
    for method, params in (
        ("eth_call", [asked, "latest", {kept: {"code": "zz"}}]),
        ("eth_call", [asked, "latest", 5]),
        ("debug_traceCall", [asked, "latest", "callTracer"]),
        ("debug_traceCall", [asked]),
        ("eth_getStorageAt", [kept, "slot"]),
        ("eth_getStorageAt", [kept, "0x0", "yesterday"]),
        ("trace_call", [asked, ["everything"]]),
        ("eth_simulateV1", [{"blockStateCalls": []}]),
    ):
        assert (await view.error(method, *params))["code"] == -32602, (method, params)
    for method, params in (
        ("eth_getStorageAt", [kept, "0x0", "0xffff"]),
        ("debug_traceCall", [asked, "latest", {"txIndex": "0x0"}]),
        ("debug_traceCall", [asked, "latest", {"tracer": "{step: 1}"}]),
    ):
        assert (await view.error(method, *params))["code"] in (-32000, -32602), (method, params)


async def test_what_is_asked_is_noted_as_sealed(view, kept):
    await view.rpc("debug_traceCall", request(kept, "reveal"), "latest")
    assert "debug_traceCall" in view.lines[-1]
    assert "signed by the debug key" in view.lines[-1]


# -- explorers ---------------------------------------------------------------------------------


async def test_explorers_see_calls_of_sealed_transactions(view, public, kept):
    hash_ = await view.rpc("eth_sendRawTransaction", typed(2, kept))
    (model,) = (await public_sent(public, 2, kept))["transactions"]
    assert await view.rpc("ots_traceTransaction", hash_) == await public.rpc(
        "ots_traceTransaction", model
    )
    assert await view.rpc("ots_getInternalOperations", hash_) == []
    assert await view.rpc("ots_getTransactionError", hash_) == "0x"
    refused = await send(view, kept, "store", SECRET, **{"from": SECOND_ADDRESS, "gas": "0x30d40"})
    error = await view.rpc("ots_getTransactionError", refused)
    assert error.endswith(SECOND_ADDRESS[2:].lower())
    filtered = await view.rpc(
        "trace_filter", {"fromBlock": "earliest", "toBlock": "latest", "toAddress": [kept]}
    )
    assert [one["transactionHash"] for one in filtered][-2:] == [hash_, refused]
    (last,) = await view.rpc("trace_filter", {"toBlock": "latest", "count": 1})
    assert last == filtered[-1]
    error = await view.error("ots_traceTransaction", "0x" + "77" * 32)
    assert "not found" in error["message"]


async def public_sent(public, nonce, vault):
    await public.send(typed(nonce, vault))
    return await public.rpc("eth_getBlockByNumber", "latest", False)


async def test_who_made_a_contract_is_found_also_inside_a_sealed_call(view, kept):
    made = await view.rpc("ots_getContractCreator", kept)
    assert made["creator"] == FIRST_ADDRESS.lower()
    creation = await view.rpc("eth_getTransactionReceipt", made["hash"])
    assert creation["contractAddress"] == kept
    # Its init code makes another contract, whose code is one byte.
    inner = bytes.fromhex("60015ff3")  # returns a byte of zero
    outer = b"\x63" + inner + bytes.fromhex("5f526004601c5ff0") + bytes.fromhex("5f5260205ff3")
    sent = {"from": FIRST_ADDRESS, "data": "0x" + outer.hex(), "gas": "0x7a120"}
    hash_ = await view.rpc("eth_sendTransaction", sent)
    top = (await view.rpc("eth_getTransactionReceipt", hash_))["contractAddress"]
    child = "0x" + (await view.rpc("eth_getCode", top, "latest"))[-40:]
    assert await view.rpc("eth_getCode", child, "latest") == "0x00"
    assert await view.rpc("ots_getContractCreator", child) == {
        "hash": hash_,
        "creator": top.lower(),
    }
    assert await view.rpc("ots_getContractCreator", STRANGER) is None


# -- strangers ---------------------------------------------------------------------------------


QUESTIONS = (
    ("eth_createAccessList", lambda v: [request(v, "reveal")]),
    ("eth_simulateV1", lambda v: [{"blockStateCalls": [{"calls": [request(v, "reveal")]}]}]),
    ("debug_traceCall", lambda v: [request(v, "reveal"), "latest"]),
    ("trace_call", lambda v: [request(v, "reveal"), ["trace"]]),
    ("eth_call", lambda v: [request(v, "reveal"), "latest", {v: {"code": SLOT_READER}}]),
    ("eth_estimateGas", lambda v: [request(v, "reveal"), "latest", {v: {"code": TELLTALE}}]),
)


async def test_another_networks_debug_key_is_refused(gateway, kept):
    async with running_view(gateway, debug_key=Signer(b"\x05" * 32)) as view:
        for method, make in (*QUESTIONS, ("eth_getStorageAt", lambda v: [v, "0x0", "latest"])):
            error = await view.error(method, *make(kept))
            assert "not signed by this network's debug key" in error["message"], method
            assert "data" not in error
        assert not view.wire.has_heard(bytes.fromhex(encode("reveal")[2:]))


async def test_whose_key_it_is_is_known_before_a_tool_asks(gateway, view, public):
    upstream = view.answers._gateway
    assert await is_owner(upstream, DEBUG_KEY)
    assert not await is_owner(upstream, Signer(b"\x05" * 32))
    async with running_view(public) as other:
        # No enclave there has a key to which a question is sealed.
        assert not await is_owner(other.answers._gateway, DEBUG_KEY)
    gateway.computes[0].is_cut_off = True
    # Who cannot be asked now may know it later.
    assert await is_owner(upstream, Signer(b"\x05" * 32))


async def test_without_a_debug_key_it_is_refused_and_nothing_is_sent(gateway, kept):
    async with running_view(gateway) as view:
        view.wire.heard.clear()
        for method, make in QUESTIONS:
            error = await view.error(method, *make(kept))
            assert "debug key" in error["message"], method
        assert view.wire.heard == []
        # What anybody sees of a slot: nothing.
        assert int(await view.rpc("eth_getStorageAt", kept, "0x0", "latest"), 16) == 0


async def test_on_a_public_paratime_overrides_have_their_effect(public, tmp_path):
    async with running_view(public, debug_key=DEBUG_KEY) as view:
        (creation,) = (await view.rpc("eth_getBlockByNumber", "0x2", False))["transactions"]
        vault = (await view.rpc("eth_getTransactionReceipt", creation))["contractAddress"]
        asked = {"from": STRANGER, "to": vault, "data": "0x"}
        answer = await view.rpc("eth_call", asked, "latest", {vault: {"code": SLOT_READER}})
        assert answer[:66] == KEPT
        seen = await view.rpc(
            "eth_call", request(vault, "blockFacts"), "latest", None, {"number": "0x1234"}
        )
        assert decode("blockFacts", seen)[0] == 0x1234
        balance = {STRANGER: {"balance": hex(10**18)}}
        assert await view.rpc("eth_estimateGas", asked, "latest", balance)
        assert not [one for one in view.wire.heard if b"askAsOwner" in one]
        assert json.loads(view.wire.heard[-1])["params"][2] == balance
