"""What compute nodes answer through the gateway: accounts, calls, estimates, fees, facts."""

import pytest
from evm_native import deoxysii_open, deoxysii_seal, mrae_key, x25519_public
from structlog.testing import capture_logs

from shared.encoding import cbor
from tests.support.gateway import FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.signing import GWEI, RECEIVER, artifact, sign
from tests.support.turns import until

SUBCALL = "0x0100000000000000000000000000000000000103"
CLIENT_SECRET = b"\x07" * 32


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path) as running:
        yield running


async def deploy(gateway, name, nonce=0):
    raw = sign(nonce, to=b"", value=0, data=artifact(name)["bytecode"], gas=5_000_000)
    receipt = await gateway.rpc("eth_getTransactionReceipt", await gateway.send(raw))
    assert receipt["status"] == "0x1"
    return receipt["contractAddress"]


def selector(text: str) -> str:
    from shared.crypto.hashes import keccak256

    return "0x" + keccak256(text.encode())[:4].hex()


async def seal(gateway, calldata: bytes, **changes) -> tuple[str, bytes]:
    """Envelope to the gateway's key, and the key that opens the answer."""
    key = await gateway.rpc("oasis_callDataPublicKey")
    shared_key = mrae_key(CLIENT_SECRET, bytes.fromhex(key["key"][2:]))
    body = {
        "pk": x25519_public(CLIENT_SECRET),
        "nonce": bytes(15),
        "epoch": key["epoch"],
        "data": deoxysii_seal(shared_key, bytes(15), cbor.encode({"body": calldata})),
    } | changes
    return "0x" + cbor.encode({"format": 1, "body": body}).hex(), shared_key


# -- accounts ----------------------------------------------------------------------------------


async def test_balance_and_nonce_follow_the_newest_block(gateway):
    assert await gateway.rpc("eth_getBalance", FIRST_ADDRESS, "latest") == "0x21e19e0c9bab2400000"
    await gateway.send(sign(0, value=5))
    assert await gateway.rpc("eth_getBalance", RECEIVER, "latest") == "0x5"
    assert await gateway.rpc("eth_getTransactionCount", FIRST_ADDRESS, "pending") == "0x1"


async def test_old_state_is_read_by_number_hash_and_eip_1898_object(gateway):
    await gateway.send(sign(0, value=5))
    before = await gateway.rpc("eth_getBlockByNumber", "0x1", False)
    for block in (
        "0x1",
        before["hash"],
        {"blockNumber": "0x1"},
        {"blockHash": before["hash"], "requireCanonical": True},
    ):
        assert await gateway.rpc("eth_getBalance", RECEIVER, block) == "0x0"
    for block in ("0x2", "latest", {"blockNumber": "latest"}):
        assert await gateway.rpc("eth_getBalance", RECEIVER, block) == "0x5"


async def test_state_of_unknown_blocks_is_an_error(gateway):
    future = await gateway.error("eth_getBalance", RECEIVER, "0xffff")
    assert future == {"code": -32000, "message": "header not found"}
    unknown = await gateway.error("eth_getBalance", RECEIVER, {"blockHash": "0x" + "99" * 32})
    assert unknown == {"code": -32000, "message": "header for hash not found"}


async def test_storage_of_a_confidential_contract_is_zero(gateway):
    vault = await deploy(gateway, "Vault")
    for slot in ("0x0", "0x1", "1", "0x" + "00" * 32):
        assert await gateway.rpc("eth_getStorageAt", vault, slot, "latest") == "0x" + "00" * 32


async def test_code_is_public(gateway):
    vault = await deploy(gateway, "Vault")
    assert len(await gateway.rpc("eth_getCode", vault, "latest")) > 1000
    assert await gateway.rpc("eth_getCode", RECEIVER, "latest") == "0x"


# -- calls -------------------------------------------------------------------------------------


async def test_unsigned_call_has_no_sender_whatever_from_says(gateway):
    vault = await deploy(gateway, "Vault")
    call = {"from": SECOND_ADDRESS, "to": vault, "data": selector("whoAmI()")}
    assert await gateway.rpc("eth_call", call, "latest") == "0x" + "00" * 32


async def test_input_wins_over_data_and_overrides_are_ignored(gateway):
    vault = await deploy(gateway, "Vault")
    call = {"to": vault, "input": selector("writes()"), "data": "0xdeadbeef"}
    assert await gateway.rpc("eth_call", call, "latest", {}, {}) == "0x" + "00" * 32


async def test_call_without_a_target_gives_the_address_it_would_make(gateway):
    result = await gateway.rpc("eth_call", {"data": "0x60006000f3"}, "latest")
    assert len(bytes.fromhex(result[2:])) == 20


async def test_call_key_is_found_through_the_subcall_precompile(gateway):
    method = b"core.CallDataPublicKey"
    arguments = (
        (64).to_bytes(32, "big")
        + (128).to_bytes(32, "big")
        + len(method).to_bytes(32, "big")
        + method.ljust(32, b"\0")
        + (1).to_bytes(32, "big")
        + b"\xf6".ljust(32, b"\0")
    )
    result = await gateway.rpc("eth_call", {"to": SUBCALL, "data": "0x" + arguments.hex()})
    key = await gateway.rpc("oasis_callDataPublicKey")
    assert key["key"][2:] in result


async def test_encrypted_call_gets_a_sealed_answer(gateway):
    vault = await deploy(gateway, "Vault")
    data, key = await seal(gateway, bytes.fromhex(selector("writes()")[2:]))
    answer = bytes.fromhex((await gateway.rpc("eth_call", {"to": vault, "data": data}))[2:])
    sealed = cbor.decode(answer)["ok"]
    opened = cbor.decode(deoxysii_open(key, sealed["nonce"], sealed["data"]))
    assert opened == {"ok": bytes(32)}


async def test_reverts_carry_reason_and_data(gateway):
    vault = await deploy(gateway, "Vault")
    for data in (
        selector("failWithReason()"),
        (await seal(gateway, bytes.fromhex(selector("failWithReason()")[2:])))[0],
    ):
        error = await gateway.error("eth_call", {"to": vault, "data": data}, "latest")
        assert error["code"] == 3
        assert error["message"] == "execution reverted: the reason is plain"
        assert error["data"].startswith("0x08c379a0")


async def test_custom_errors_carry_data_only(gateway):
    vault = await deploy(gateway, "Vault")
    error = await gateway.error(
        "eth_call", {"to": vault, "data": selector("failWithCustomError()")}, "latest"
    )
    assert (error["code"], error["message"]) == (3, "execution reverted")
    assert error["data"].startswith(selector("NotOwner(address)"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 2**40}, "core: invalid call format: epoch in the future"),
        ({"data": bytes(27)}, "core: invalid call format: Tag verification failed"),
    ],
)
async def test_envelopes_that_do_not_open_are_named(gateway, changes, message):
    data, _ = await seal(gateway, b"", **changes)
    error = await gateway.error("eth_call", {"to": RECEIVER, "data": data}, "latest")
    assert error["code"] == -32000
    assert error["message"].startswith("core: invalid call format")
    assert message.split(": ")[-1] in error["message"]


async def test_estimate_of_a_revert_is_no_error(gateway):
    vault = await deploy(gateway, "Vault")
    for data in (selector("failWithReason()"), (await seal(gateway, b"\xff" * 4))[0]):
        gas = int(await gateway.rpc("eth_estimateGas", {"to": vault, "data": data}), 16)
        assert 2_000_000 < gas <= 15_000_000


async def test_estimate_of_an_empty_call_is_that_of_the_original(gateway):
    assert await gateway.rpc("eth_estimateGas", {"to": "0x" + "00" * 20}) == "0x5722"


# -- transactions ------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", ["0x", "0x00", "0xc0", "0x02c0", "0x" + "deadbeef" * 8, "0x05c1c0"])
async def test_bytes_that_are_no_transaction_are_malformed(gateway, raw):
    error = await gateway.error("eth_sendRawTransaction", raw)
    assert error == {"code": -32000, "message": "malformed transaction"}


async def test_other_chain_is_malformed(gateway):
    error = await gateway.error("eth_sendRawTransaction", sign(0, chainId=1))
    assert error["message"] == "malformed transaction"


async def test_refusals_have_the_text_of_the_original(gateway):
    await gateway.send(sign(0))
    error = await gateway.error("eth_sendRawTransaction", sign(0, value=9))
    assert error == {
        "code": -32000,
        "message": "client: transaction check failed: runtime error: "
        "module: core code: 4 message: invalid nonce",
    }
    error = await gateway.error("eth_sendRawTransaction", sign(1, gasPrice=1))
    assert "runtime error: module: core code: 20 message: gas price too low" in error["message"]
    error = await gateway.error("eth_sendRawTransaction", sign(0, key="0x" + "99" * 32))
    assert "runtime error: module: core code: 5 message: " in error["message"]


async def test_transactions_of_one_moment_go_in_one_message(gateway):
    body = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_sendRawTransaction", "params": [sign(n)]}
        for n in range(20)
    ]
    answers = (await gateway.client.post("/", json=body)).json()
    assert [answer["id"] for answer in answers] == list(range(20))
    assert all("result" in answer for answer in answers)
    assert gateway.computes[0].calls.count("submit_transactions") == 1
    await gateway.until_round(2)
    assert await gateway.rpc("eth_getBlockTransactionCountByNumber", "latest") == "0x14"


# -- fees --------------------------------------------------------------------------------------


async def test_prices_are_the_floor_on_a_quiet_chain(gateway):
    assert await gateway.rpc("eth_gasPrice") == "0x174876e800"
    assert await gateway.rpc("eth_maxPriorityFeePerGas") == "0x174876e800"


async def test_fee_history_has_as_many_base_fees_as_rounds(gateway):
    await gateway.send(sign(0, gasPrice=None, maxFeePerGas=300 * GWEI, maxPriorityFeePerGas=7))
    for count in ("0x2", 2, "2"):
        history = await gateway.rpc("eth_feeHistory", count, "latest", [0, 50, 100])
        assert history["oldestBlock"] == "0x1"
        assert history["baseFeePerGas"] == [hex(100 * GWEI)] * 2
        assert history["reward"] == [["0x0"] * 3, ["0x7"] * 3]
        assert history["gasUsedRatio"][0] == 0
        assert 0 < history["gasUsedRatio"][1] < 0.01
    everything = await gateway.rpc("eth_feeHistory", "0x400", "finalized")
    assert everything["oldestBlock"] == "0x0"


@pytest.mark.parametrize("last", ["earliest", "0xffff"])
async def test_fee_history_of_what_is_not_kept_is_empty(gateway, last):
    empty = {"oldestBlock": "0x0", "gasUsedRatio": None}
    assert await gateway.rpc("eth_feeHistory", "0x1", last, []) == empty
    assert await gateway.rpc("eth_feeHistory", "0x0", "latest", []) == empty


@pytest.mark.parametrize("percentiles", [[50, 10], [-1], [101]])
async def test_percentiles_must_ascend_from_0_to_100(gateway, percentiles):
    error = await gateway.error("eth_feeHistory", "0x1", "latest", percentiles)
    assert error["code"] == -32000
    assert error["message"].startswith("invalid reward percentile: ")


# -- facts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("eth_chainId", "0x5afd"),
        ("net_version", "23293"),
        ("eth_accounts", []),
        ("eth_mining", False),
        ("eth_hashrate", "0x0"),
        ("eth_syncing", False),
        ("txpool_content", {"pending": {}, "queued": {}}),
    ],
)
async def test_facts(gateway, method, result):
    assert await gateway.rpc(method) == result


async def test_keccak_of_hello_world(gateway):
    assert await gateway.rpc("web3_sha3", "0x68656c6c6f20776f726c64") == (
        "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
    )


async def test_client_version_has_the_form_of_the_original(gateway):
    name, _, toolchain = (await gateway.rpc("web3_clientVersion")).split("/")
    assert (name, toolchain.startswith("qanat")) == ("oasis", True)


async def test_modules_are_listed(gateway):
    assert await gateway.rpc("rpc_modules") == dict.fromkeys(
        ("debug", "eth", "net", "oasis", "ots", "rpc", "trace", "txpool", "web3"), "1.0"
    )


async def test_call_data_key_has_hex_fields_and_a_plain_epoch(gateway):
    key = await gateway.rpc("oasis_callDataPublicKey")
    assert {name: len(value) for name, value in key.items() if name != "epoch"} == {
        "key": 66,
        "checksum": 66,
        "signature": 130,
    }
    assert key["epoch"] == 2


@pytest.mark.parametrize(
    "method",
    [
        "eth_coinbase", "eth_protocolVersion",
        "eth_sendTransaction", "eth_sign", "",
    ],
)  # fmt: skip
async def test_methods_that_sapphire_has_not_are_absent(gateway, method):
    assert await gateway.error(method) == {
        "code": -32601,
        "message": f"the method {method} does not exist/is not available",
    }


async def test_subscriptions_need_a_websocket(gateway):
    error = await gateway.error("eth_subscribe", "newHeads")
    assert error == {"code": -32601, "message": "notifications not supported"}


async def test_oasis_methods_can_be_switched_off(tmp_path):
    async with running_gateway(tmp_path, oasis_rpcs=False) as gateway:
        assert (await gateway.error("oasis_callDataPublicKey"))["code"] == -32601
        assert "oasis" not in await gateway.rpc("rpc_modules")


async def test_transaction_over_the_limit_is_too_large_and_says_so(gateway):
    raw = sign(0, to=b"", value=0, data=b"\x00" * 140_000, gas=5_000_000)
    size = len(raw) // 2 - 1
    error = await gateway.error("eth_sendRawTransaction", raw)
    assert error["code"] == -32000
    assert error["message"] == (
        f"oversized data: transaction size {size} is too large, limit 131072"
    )
    assert "submit_transactions" not in gateway.computes[0].calls


async def test_transaction_of_the_largest_size_is_let_through(gateway):
    fields = {"to": b"", "value": 0, "gas": 5_000_000}
    overhead = len(sign(0, **fields, data=b"\x01" * 130_000)) // 2 - 1 - 130_000
    raw = sign(0, **fields, data=b"\x01" * (131_072 - overhead))
    assert len(raw) // 2 - 1 == 131_072
    assert await gateway.send(raw)


async def test_field_names_of_calls_and_requests_in_other_case(gateway):
    vault = await deploy(gateway, "Vault")
    expected = await gateway.rpc("eth_call", {"to": vault, "data": selector("writes()")})
    assert expected != "0x"
    assert await gateway.rpc("eth_call", {"To": vault, "Data": selector("writes()")}) == expected
    body = {"JSONRPC": "2.0", "Id": 7, "Method": "eth_chainId", "Params": []}
    answer = (await gateway.client.post("/", json=body)).json()
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": "0x5afd"}


@pytest.mark.parametrize("wrong", ["x", [1], [{"address": 1}]])
async def test_wrong_access_list_of_a_call_is_a_bad_parameter(gateway, wrong):
    error = await gateway.error("eth_call", {"to": RECEIVER, "accessList": wrong}, "latest")
    assert error["code"] == -32602
    assert "accessList" in error["message"]


async def test_failed_transfer_says_why(gateway):
    with capture_logs() as logs:
        hash_ = await gateway.send(sign(0, gas=21_000))
        await until(lambda: any(one["event"] == "transaction_failed" for one in logs))
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x0"
    outcome = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    assert outcome["status"] == "0x0"
    assert "out of gas" in outcome["error"]["message"]
    (line,) = [one for one in logs if one["event"] == "transaction_failed"]
    assert line["reason"] == outcome["error"]["message"]
    assert line["tx_hash"] == hash_[2:]


@pytest.mark.parametrize(
    ("gas", "data", "is_told"),
    [
        (21_000, b"", True),
        (21_000 + 3 * 16, b"abc", True),
        (22_100, b"", True),
        (21_000, b"abc", False),
        (20_999, b"", False),
    ],
)
async def test_whom_ethereums_gas_is_not_enough_is_told_what_to_do(gateway, gas, data, is_told):
    hash_ = await gateway.send(sign(0, gas=gas, data=data))
    outcome = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    assert outcome["error"]["message"] == "execution failed: out of gas"
    assert ("hint" in outcome["error"]) is is_told
    if is_told:
        assert "eth_estimateGas" in outcome["error"]["hint"]


async def test_outcome_of_what_succeeded_or_is_unknown(gateway):
    hash_ = await gateway.send(sign(0))
    outcome = await gateway.rpc("oasis_getTransactionOutcome", hash_)
    assert (outcome["status"], outcome["error"], outcome["encrypted"]) == ("0x1", None, False)
    assert await gateway.rpc("oasis_getTransactionOutcome", "0x" + "99" * 32) is None
