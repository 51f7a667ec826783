"""Was it encrypted? Marks, and the assertion that fails what came in plain."""

import pytest
from evm_native import x25519_public

from qanat.view.envelopes import EpochKey, seal
from services.gateway.config import read_gateway_settings
from services.gateway.encryption import MAX_TEXT_BYTES, read_envelope
from shared.encoding import cbor
from shared.kit.settings import BadSettings
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS, running_gateway
from tests.support.signing import RECEIVER, sign

OTHER = "0x" + "77" * 20
SUBCALL = "0x0100000000000000000000000000000000000103"
WORD = "0x" + "00" * 31 + "2a"


@pytest.fixture
async def gateway(tmp_path):
    chain = FakeChain(balances=BALANCES)
    async with running_gateway(tmp_path, chain=chain, unsafe_dev_controls=True) as running:
        yield running


async def sealed_word(gateway) -> bytes:
    shown = await gateway.rpc("oasis_callDataPublicKey")
    return seal(bytes(32), EpochKey(shown["epoch"], bytes.fromhex(shown["key"][2:]))).data


async def plain_requests(gateway, to: str) -> list[tuple]:
    """Every way in which plain calldata comes to a contract."""
    call = {"to": to, "from": FIRST_ADDRESS, "data": WORD}
    raws = [
        sign(0, to=to, value=0, data=bytes(32)),
        sign(
            0,
            to=to,
            value=0,
            data=bytes(32),
            gasPrice=None,
            maxFeePerGas=10**11,
            maxPriorityFeePerGas=1,
            accessList=[],
        ),
        sign(0, to=to, value=0, data=bytes(32), accessList=[]),
    ]
    return [
        ("eth_call", call, "latest"),
        ("eth_estimateGas", call),
        ("eth_fillTransaction", call),
        *(("eth_sendRawTransaction", raw) for raw in raws),
        ("eth_sendRawTransactionSync", raws[0]),
    ]


async def test_plain_calls_to_a_listed_contract_fail_and_say_where_they_came_from(gateway):
    assert await gateway.rpc("qanat_requireEncryption", [RECEIVER]) == [RECEIVER]
    for method, *params in await plain_requests(gateway, RECEIVER):
        error = await gateway.error(method, *params)
        assert f"to {RECEIVER} came in plain" in error["message"], method
        assert "User-Agent 'python-httpx" in error["message"]
    assert gateway.chain.pool == []
    await gateway.rpc("eth_call", {"to": OTHER, "data": WORD}, "latest")
    await gateway.rpc("eth_sendRawTransaction", sign(0, to=OTHER, data=bytes(32)))


async def test_encrypted_calls_and_transactions_pass(gateway):
    await gateway.rpc("qanat_requireEncryption", "all")
    data = await sealed_word(gateway)
    await gateway.rpc("eth_call", {"to": RECEIVER, "data": "0x" + data.hex()}, "latest")
    hash_ = await gateway.send(sign(0, to=RECEIVER, value=0, data=data))
    outcome = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    assert outcome["encrypted"] is True
    assert outcome["envelope"]["epoch"] == hex(gateway.chain.epoch)
    assert len(outcome["envelope"]["key"]) == 66


async def test_all_means_calls_with_calldata_to_contracts(gateway):
    assert await gateway.rpc("qanat_requireEncryption", "all") == "all"
    error = await gateway.error("eth_call", {"to": OTHER, "data": WORD}, "latest")
    assert "came in plain" in error["message"]
    # A transfer hides nothing, a creation calls no contract, clients ask a precompile for the key.
    await gateway.send(sign(0, to=OTHER, value=1))
    await gateway.send(sign(1, to=b"", value=0, data=b"\x00"))
    answer = await gateway.ask("eth_call", {"to": SUBCALL, "data": WORD}, "latest")
    assert "came in plain" not in str(answer)
    assert await gateway.rpc("qanat_requireEncryption", "none") == []
    await gateway.rpc("eth_call", {"to": OTHER, "data": WORD}, "latest")


async def test_every_call_is_marked(gateway):
    data = await sealed_word(gateway)
    await gateway.rpc("eth_call", {"to": RECEIVER, "data": WORD}, "latest")
    await gateway.rpc("eth_call", {"to": RECEIVER, "data": "0x" + data.hex()}, "latest")
    encrypted, plain = await gateway.rpc("qanat_recentCalls", "0x2")
    assert (encrypted["encrypted"], plain["encrypted"]) == (True, False)
    assert encrypted["envelope"]["epoch"] == hex(gateway.chain.epoch)
    assert plain["envelope"] is None
    assert plain["to"] == RECEIVER
    assert "python-httpx" in plain["origin"]


async def test_plain_transactions_are_marked_by_their_outcome(gateway):
    hash_ = await gateway.send(sign(0, to=RECEIVER, value=0, data=bytes(32)))
    outcome = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    assert (outcome["encrypted"], outcome["envelope"]) == (False, None)


async def test_what_a_request_says_of_itself_is_kept_up_to_a_limit(gateway):
    headers = {"user-agent": "x" * 10_000, "origin": "http://localhost:3000"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": OTHER}, "latest"]}
    await gateway.client.post("/", json=body, headers=headers)
    (mark,) = await gateway.rpc("qanat_recentCalls", "0x1")
    assert "Origin 'http://localhost:3000'" in mark["origin"]
    assert len(mark["origin"]) < MAX_TEXT_BYTES + 100


@pytest.mark.parametrize("bad", ["some", [], {}, ["0x12"], 5])
async def test_bad_requirements_are_refused(gateway, bad):
    answer = await gateway.ask("qanat_requireEncryption", bad)
    assert answer.get("result") == [] if bad == [] else answer["error"]["code"] == -32602


async def test_web_pages_do_not_change_what_is_required(gateway):
    body = {"jsonrpc": "2.0", "id": 1, "method": "qanat_requireEncryption", "params": ["all"]}
    answer = await gateway.client.post("/", json=body, headers={"origin": "http://evil.example"})
    assert "dev controls" in answer.json()["error"]["message"]


def test_a_setting_says_it_from_the_start():
    environment = {
        "QANAT_NODE_NAME": "gateway",
        "QANAT_DATA_DIR": "/tmp",
        "QANAT_RUNTIME_ID": "80" + "00" * 31,
        "QANAT_COMPUTE": "a:1",
        "QANAT_CONSENSUS": "c:1",
        "QANAT_GENESIS": "/tmp/genesis.cbor",
    }
    settings = read_gateway_settings(environment | {"QANAT_REQUIRE_ENCRYPTION": OTHER})
    assert settings.require_encryption == (OTHER,)
    with pytest.raises(BadSettings, match="REQUIRE_ENCRYPTION"):
        read_gateway_settings(environment | {"QANAT_REQUIRE_ENCRYPTION": "0x12"})


def test_only_envelopes_are_taken_for_envelopes():
    key = x25519_public(b"\1" * 32)
    envelope = seal(b"data", EpochKey(7, key))
    found = read_envelope(envelope.data)
    assert found is not None
    assert found.epoch == 7
    query = cbor.encode({"data": envelope.call, "leash": {}, "signature": b""})
    assert read_envelope(query) == found
    plain = [
        b"",
        b"\xa2",
        b"\xa1" * 40,
        bytes(100),
        cbor.encode({"body": b"plain"}),
        cbor.encode({"format": 0, "body": b"plain"}),
        cbor.encode({"format": 1, "body": {"pk": key}}),
        cbor.encode({"format": 1, "body": b"x"}),
        cbor.encode({"data": {"body": b"x"}, "leash": {}, "signature": b""}),
        cbor.encode({"data": b"x", "leash": {}, "signature": b""}),
    ]
    assert [read_envelope(one) for one in plain] == [None] * len(plain)
