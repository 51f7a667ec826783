"""Failures in the profile `dev`: the texts and codes by which Ethereum's libraries know them."""

import pytest
from eth_account import Account

from qanat.view.envelopes import EpochKey, seal
from services.gateway.probe import PlainCallProbe
from services.gateway.rpc.ethereum_words import intrinsic_gas
from shared.api.compute import Submission
from shared.errors import PeerUnavailable
from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, running_gateway
from tests.support.signing import ACCOUNT, GWEI, RECEIVER, sign

POOR_KEY = "0x" + "42" * 32
POOR = Account.from_key(POOR_KEY).address
STRICT = {"x-qanat-profile": "strict"}
HAS = 10_000 * 10**18
"""What the first account has [wei]."""


@pytest.fixture(params=[True, False], ids=["confidential", "public"])
async def gateway(request, tmp_path):
    chain = FakeChain(balances=BALANCES, confidential=request.param)
    async with running_gateway(
        tmp_path,
        chain=chain,
        probe=None if request.param else PlainCallProbe(),
        confidential=request.param,
        profile="dev",
        unsafe_dev_controls=True,
    ) as running:
        yield running


async def refusal(gateway, method, *params) -> str:
    error = await gateway.error(method, *params)
    assert error["code"] == -32000
    return error["message"]


async def refusal_of(gateway, **changes) -> str:
    return await refusal(gateway, "eth_sendRawTransaction", sign(**({"nonce": 0} | changes)))


async def in_strict(gateway, method, *params):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return (await gateway.client.post("/", json=body, headers=STRICT)).json()


# -- calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_who_sends_more_than_he_has_hears_what_he_has(gateway, method):
    call = {"from": POOR, "to": RECEIVER, "value": "0x7"}
    assert await refusal(gateway, method, call) == (
        f"insufficient funds for gas * price + value: address {POOR} have 0 want 7"
    )
    call = {"from": ACCOUNT.address, "to": RECEIVER, "value": hex(HAS + 1)}
    assert f"have {HAS} want {HAS + 1}" in await refusal(gateway, method, call)


async def test_an_estimate_is_no_more_than_its_sender_can_pay_at_the_price_that_he_names(gateway):
    call = {"from": ACCOUNT.address, "to": RECEIVER}
    for price in ({"gasPrice": hex(100 * GWEI)}, {"maxFeePerGas": hex(100 * GWEI)}):
        assert await gateway.rpc("eth_estimateGas", call | price)
        poor = call | price | {"from": POOR}
        assert await refusal(gateway, "eth_estimateGas", poor) == (
            "gas required exceeds allowance (0)"
        )
    rest = 10_000 * 100 * GWEI
    nearly_all = call | {"gasPrice": hex(100 * GWEI), "value": hex(HAS - rest)}
    assert await refusal(gateway, "eth_estimateGas", nearly_all) == (
        "gas required exceeds allowance (10000)"
    )


async def test_nobody_has_the_money_that_a_call_without_sender_sends(gateway):
    # CALLVALUE is returned.
    pays = {"value": "0x7", "data": "0x345f5260205ff3"}
    transfer = {"to": RECEIVER, "value": hex(7 * 10**24)}
    for call in (pays, transfer):
        assert "result" in await gateway.ask("eth_call", call)
        assert int(await gateway.rpc("eth_estimateGas", call), 16) < 100_000
        strict = await in_strict(gateway, "eth_call", call)
        assert strict["error"]["message"] == "evm: execution failed: out of funds"


@pytest.mark.parametrize(
    ("init_code", "text"),
    [
        ("0xfe", "invalid opcode: INVALID"),
        ("0x5f56", "invalid jump destination"),
        ("0x01", "stack underflow"),
    ],
)
async def test_a_halt_has_the_name_that_go_ethereum_gives_it(gateway, init_code, text):
    call = {"from": ACCOUNT.address, "data": init_code}
    for method in ("eth_call", "eth_estimateGas"):
        assert await refusal(gateway, method, call) == text


async def test_gas_that_does_not_suffice(gateway):
    too_little = {"from": ACCOUNT.address, "to": RECEIVER, "data": "0x0001", "gas": "0x5208"}
    assert await refusal(gateway, "eth_call", too_little) == (
        "err: intrinsic gas too low: have 21000, want 21020 (supplied gas 21000)"
    )
    endless = {"from": ACCOUNT.address, "data": "0x5b5f56", "gas": "0x186a0"}
    assert await refusal(gateway, "eth_call", endless) == "out of gas"
    assert await refusal(gateway, "eth_estimateGas", endless) == (
        "gas required exceeds allowance (100000)"
    )
    nothing = too_little | {"gas": "0x1"}
    assert int(await gateway.rpc("eth_estimateGas", nothing), 16) > 21_000


async def test_init_code_that_is_too_long(gateway):
    long = {"from": ACCOUNT.address, "data": "0x" + "00" * 131_073}
    assert await refusal(gateway, "eth_call", long) == (
        "max initcode size exceeded: code size 131073 limit 131072"
    )


async def test_a_revert_has_code_three_in_both_profiles(gateway):
    reverts = {"from": ACCOUNT.address, "data": "0x5f5ffd"}
    for method in ("eth_call", "eth_estimateGas"):
        error = await gateway.error(method, reverts)
        assert error == {"code": 3, "message": "execution reverted", "data": "0x"}


# -- transactions ------------------------------------------------------------------------------


async def test_who_cannot_pay_value_and_gas_is_refused_and_no_node_hears_of_it(gateway):
    cost = 200_000 * 100 * GWEI
    assert await refusal_of(gateway, key=POOR_KEY) == (
        "insufficient funds for gas * price + value: "
        f"balance 0, tx cost {cost + 1}, overshot {cost + 1}"
    )
    assert await refusal_of(gateway, key=POOR_KEY, value=0) == (
        f"insufficient funds for gas * price + value: balance 0, tx cost {cost}, overshot {cost}"
    )
    heard = gateway.computes[0].calls.count("submit_transactions")
    # Sapphire's pool looks at gas alone, and the block would have a failure.
    assert "overshot 1" in await refusal_of(gateway, value=HAS - cost + 1)
    assert gateway.computes[0].calls.count("submit_transactions") == heard
    sent = await gateway.send(sign(0, value=HAS - cost))
    assert (await gateway.rpc("eth_getTransactionReceipt", sent))["status"] == "0x1"


async def test_what_strict_takes_is_taken_there(gateway):
    answer = await in_strict(gateway, "eth_sendRawTransaction", sign(0, value=HAS))
    receipt = await gateway.rpc("eth_getTransactionReceipt", answer["result"])
    assert receipt["status"] == "0x0"


async def test_a_nonce_that_is_used_up(gateway):
    await gateway.send(sign(0))
    for value in (0, 1):
        assert await refusal_of(gateway, value=value) == ("nonce too low: next nonce 1, tx nonce 0")
    assert (
        "core code: 4"
        in (await in_strict(gateway, "eth_sendRawTransaction", sign(0)))["error"]["message"]
    )


async def test_less_gas_than_any_transaction_takes(gateway):
    assert await refusal_of(gateway, gas=20_999) == (
        "intrinsic gas too low: gas 20999, minimum needed 21000"
    )
    assert await refusal_of(gateway, gas=53_000, to=None, data=b"\0" * 33) == (
        f"intrinsic gas too low: gas 53000, minimum needed {53_000 + 33 * 4 + 2 * 2}"
    )


async def test_more_gas_than_a_block_has(gateway):
    assert await refusal_of(gateway, gas=50_000_000) == "exceeds block gas limit"


@pytest.mark.parametrize("kind", [{"gasPrice": 5}, {"gasPrice": None, "maxFeePerGas": 5}])
async def test_a_price_under_the_least(gateway, kind):
    if "maxFeePerGas" in kind:
        kind = kind | {"maxPriorityFeePerGas": 1, "type": 2}
    assert await refusal_of(gateway, **kind) == (
        "max fee per gas less than block base fee: "
        f"address {ACCOUNT.address}, maxFeePerGas: 5, baseFee: {100 * GWEI}"
    )


async def test_the_least_price_is_the_one_of_now(gateway):
    await gateway.rpc("hardhat_setNextBlockBaseFeePerGas", hex(300 * GWEI))
    assert (await refusal_of(gateway)).endswith(
        f"maxFeePerGas: {100 * GWEI}, baseFee: {300 * GWEI}"
    )


async def test_a_tip_over_the_fee(gateway):
    fees = {"gasPrice": None, "maxFeePerGas": GWEI, "maxPriorityFeePerGas": 2 * GWEI, "type": 2}
    assert await refusal_of(gateway, **fees) == (
        f"max priority fee per gas higher than max fee per gas: address {ACCOUNT.address}, "
        f"maxPriorityFeePerGas: {2 * GWEI}, maxFeePerGas: {GWEI}"
    )


async def test_another_chains_transaction(gateway):
    assert await refusal_of(gateway, chainId=77) == (
        "invalid chain id for signer: have 77 want 23293"
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("0x1234", "transaction type not supported"),
        ("0x03c0", "transaction type not supported"),
        ("0x", "rlp: "),
        ("0x02c0", "rlp: "),
        ("0xc0", "rlp: "),
    ],
)
async def test_what_is_no_transaction(gateway, raw, text):
    assert (await refusal(gateway, "eth_sendRawTransaction", raw)).startswith(text)


@pytest.mark.parametrize(
    ("refused", "text"),
    [
        (("txpool", 1, "already known"), "already known"),
        (("txpool", 2, ""), "replacement transaction underpriced"),
        (("txpool", 3, ""), "transaction underpriced: the pool is full of better offers"),
        (
            ("core", 26, "future nonce"),
            f"nonce too high: address {ACCOUNT.address}, tx: 7 state: 0",
        ),
        (
            ("core", 12, "out of gas (limit: 200000 wanted: 212345)"),
            "intrinsic gas too low: gas 200000, minimum needed 212345",
        ),
        (
            ("evm", 99, "new"),
            "client: transaction check failed: runtime error: module: evm code: 99 message: new",
        ),
    ],
)
async def test_what_a_pool_says(gateway, monkeypatch, refused, text):
    async def refuse(raws):
        return tuple(Submission(bytes(32), *refused) for _ in raws)

    monkeypatch.setattr(gateway.computes[0], "submit_transactions", refuse)
    assert await refusal_of(gateway, nonce=7) == text
    assert await refusal(gateway, "eth_sendRawTransactionSync", sign(7)) == text


async def test_where_no_balance_is_known_nobody_is_refused_for_it(gateway, monkeypatch):
    async def silent(*_):
        raise PeerUnavailable("no node answers")

    monkeypatch.setattr(gateway.node.nodes, "query", silent)
    await gateway.rpc("eth_sendRawTransaction", sign(0, value=HAS))
    answer = await refusal_of(gateway, key=POOR_KEY)
    assert answer.startswith("client: transaction check failed: ")
    assert answer.endswith("insufficient balance to pay fees")


async def test_an_envelope_takes_the_gas_of_what_it_holds(tmp_path):
    async with running_gateway(tmp_path, profile="dev") as gateway:
        shown = await gateway.rpc("oasis_callDataPublicKey")
        key = EpochKey(shown["epoch"], bytes.fromhex(shown["key"][2:]))
        sealed = seal(bytes(500), key).data
        call = {"from": ACCOUNT.address, "to": RECEIVER, "data": "0x" + sealed.hex()}
        gas = int(await gateway.rpc("eth_estimateGas", call), 16)
        assert gas < intrinsic_gas(sealed, creates=False)
        raw = sign(0, data=sealed, gas=gas)
        hash_ = await gateway.send(raw)
        assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


# -- other questions ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_fields_of_a_call_do_not_contradict_each_other(gateway, method):
    call = {"from": ACCOUNT.address, "to": RECEIVER}
    data = call | {"data": "0x12", "input": "0x13"}
    assert (await refusal(gateway, method, data)).startswith('both "data" and "input" are set')
    assert "result" in await gateway.ask(method, data | {"Input": "0x12", "input": "0x12"})
    fees = call | {"gasPrice": "0x1", "maxPriorityFeePerGas": "0x1"}
    assert (await refusal(gateway, method, fees)).startswith("both gasPrice and (maxFeePerGas")
    for request in (data, fees):
        assert "result" in await in_strict(gateway, method, request)


async def test_blocks_and_places_that_are_not_there(gateway):
    nowhere, block = "0x" + "ab" * 32, await gateway.rpc("eth_getBlockByNumber", "0x1", False)
    for by, known, unknown in (("Hash", block["hash"], nowhere), ("Number", "0x1", "0xffff")):
        count = f"eth_getBlockTransactionCountBy{by}"
        place = f"eth_getTransactionByBlock{by}AndIndex"
        assert await gateway.rpc(count, known) == "0x0"
        assert await gateway.rpc(count, unknown) is None
        assert await gateway.rpc(place, known, "0x0") is None
        assert await gateway.rpc(place, unknown, "0x0") is None
        assert (await in_strict(gateway, count, unknown))["result"] == "0x0"
        assert "out of range" in (await in_strict(gateway, place, known, "0x0"))["error"]["message"]


async def test_ranges_that_are_none(gateway):
    backward = {"fromBlock": "0x1", "toBlock": "0x0"}
    assert await gateway.error("eth_getLogs", backward) == {
        "code": -32602,
        "message": "invalid block range params",
    }
    strict = (await in_strict(gateway, "eth_getLogs", backward))["error"]
    assert strict["code"] == -32000
    head = int(await gateway.rpc("eth_blockNumber"), 16)
    assert await refusal(gateway, "eth_feeHistory", "0x1", "0xffff", []) == (
        f"request beyond head block: requested 65535, head {head}"
    )
    assert (await gateway.rpc("eth_feeHistory", "0x1", hex(head), []))["oldestBlock"] == hex(head)


async def test_who_is_impersonated_hears_the_same(gateway):
    stranger = "0x" + "77" * 20
    await gateway.rpc("hardhat_impersonateAccount", stranger)
    sent = {"from": stranger, "to": RECEIVER, "gas": "0x7530", "gasPrice": hex(100 * GWEI)}
    cost = 30_000 * 100 * GWEI
    for value in (0, 5):
        assert await refusal(gateway, "eth_sendTransaction", sent | {"value": hex(value)}) == (
            "insufficient funds for gas * price + value: "
            f"balance 0, tx cost {cost + value}, overshot {cost + value}"
        )
    await gateway.rpc("hardhat_setBalance", stranger, hex(10**18))
    cheap = sent | {"gasPrice": "0x1"}
    assert (await refusal(gateway, "eth_sendTransaction", cheap)).startswith(
        "max fee per gas less than block base fee: "
    )
    hash_ = await gateway.rpc("eth_sendTransaction", sent | {"value": "0x5"})
    assert (await gateway.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"
    used = sent | {"nonce": "0x0"}
    assert await refusal(gateway, "eth_sendTransaction", used) == (
        "nonce too low: next nonce 1, tx nonce 0"
    )
