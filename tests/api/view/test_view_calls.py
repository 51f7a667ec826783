"""Calls through `qanat view`, against the real EVM: sealed, signed, opened."""

from eth_account import Account
from web3 import Web3

from shared.crypto.hashes import keccak256
from tests.support.gateway import FIRST_ADDRESS, SECOND_ADDRESS, running_gateway
from tests.support.signing import artifact
from tests.support.view import running_view

SECRET = b"what only its owner may read"
PARTS = artifact("Vault")
VAULT = Web3().eth.contract(abi=PARTS["abi"])
ZERO = "0x" + "00" * 20


def encode(name, *arguments):
    return VAULT.encode_abi(name, args=list(arguments))


def decode(name, raw):
    function = VAULT.get_function_by_name(name)
    types = [one["type"] for one in function.abi["outputs"]]
    return Web3().codec.decode(types, bytes.fromhex(raw[2:]))


async def send(view, vault, name, *arguments, **changes):
    request = {"from": FIRST_ADDRESS, "to": vault, "data": encode(name, *arguments)} | changes
    return await view.rpc("eth_sendTransaction", request)


async def call(view, vault, name, *arguments, block="latest", **changes):
    request = {"from": FIRST_ADDRESS, "to": vault, "data": encode(name, *arguments)} | changes
    return decode(name, await view.rpc("eth_call", request, block))


async def test_owner_reads_a_secret_that_the_gateway_never_sees(view, gateway, vault):
    hash_ = await send(view, vault, "store", SECRET)
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"
    assert await call(view, vault, "reveal") == (SECRET,)
    assert await call(view, vault, "matches", SECRET) == (True,)
    assert not view.wire.has_heard(SECRET)
    assert not view.wire.has_heard(bytes.fromhex(PARTS["bytecode"][2:66]))
    on_chain = await gateway.rpc("eth_getTransactionByHash", hash_)
    assert SECRET.hex() not in on_chain["input"]
    shown = await view.rpc("eth_getTransactionByHash", hash_)
    assert shown == on_chain | {"input": encode("store", SECRET)}


async def test_sender_of_a_call_is_who_signs_it_and_nobody_else(view, vault):
    assert await call(view, vault, "whoAmI") == (FIRST_ADDRESS.lower(),)
    assert await call(view, vault, "whoAmI", **{"from": SECOND_ADDRESS}) == (
        SECOND_ADDRESS.lower(),
    )
    stranger = Account.create().address
    assert await call(view, vault, "whoAmI", **{"from": stranger}) == (ZERO,)
    assert await call(view, vault, "whoAmI", **{"from": None}) == (ZERO,)


async def test_reverts_come_as_tools_expect_them(view, vault):
    request = {"from": SECOND_ADDRESS, "to": vault, "data": encode("failWithReason")}
    error = await view.error("eth_call", request)
    assert error["code"] == 3
    assert error["message"] == "execution reverted: the reason is plain"
    assert bytes.fromhex(error["data"][2:])[-64:].strip(b"\0").endswith(b"the reason is plain")


async def test_calldata_counts_by_either_name_and_case(view, vault):
    for name in ("data", "input", "Data", "INPUT"):
        request = {"from": FIRST_ADDRESS, "to": vault, name: encode("matches", SECRET)}
        assert decode("matches", await view.rpc("eth_call", request)) == (False,)
    both = {"to": vault, "data": encode("matches", SECRET), "input": encode("whoAmI")}
    assert decode("whoAmI", await view.rpc("eth_call", both)) == (ZERO,)
    assert not view.wire.has_heard(SECRET)


async def test_calls_on_older_blocks_are_sealed_to_the_key_of_that_time(view, gateway, vault):
    await send(view, vault, "store", SECRET)
    before = await view.rpc("eth_blockNumber")
    for _ in range(8):
        gateway.chain.advance_epoch()
    await gateway.mine()
    await send(view, vault, "store", b"another")
    assert await call(view, vault, "reveal") == (b"another",)
    assert await call(view, vault, "reveal", block=before) == (SECRET,)
    block = await view.rpc("eth_getBlockByNumber", before, False)
    for named in ({"blockNumber": before}, {"blockHash": block["hash"]}):
        assert await call(view, vault, "reveal", block=named) == (SECRET,)
        assert await call(view, vault, "reveal", block=named, **{"from": FIRST_ADDRESS}) == (
            SECRET,
        )


async def test_the_end_of_an_epoch_under_a_call_is_invisible(view, gateway, vault, monkeypatch):
    await send(view, vault, "store", SECRET)
    fetch, rest = type(view.answers._chain).fetch_standing, [10, 10]

    async def fetch_and_be_late(self, *arguments):
        found = await fetch(self, *arguments)
        for _ in range(rest.pop() if rest else 0):
            gateway.chain.advance_epoch()
        await gateway.mine()
        return found

    monkeypatch.setattr(type(view.answers._chain), "fetch_standing", fetch_and_be_late)
    assert await call(view, vault, "reveal") == (SECRET,)
    assert not rest


async def test_estimates_are_sealed_and_enough(view, vault):
    request = {"from": FIRST_ADDRESS, "to": vault, "data": encode("store", SECRET)}
    gas = await view.rpc("eth_estimateGas", request)
    assert not view.wire.has_heard(SECRET)
    hash_ = await send(view, vault, "store", SECRET, gas=gas)
    assert (await view.rpc("eth_getTransactionReceipt", hash_))["status"] == "0x1"


async def test_what_cannot_be_sealed_is_not_sent(view, vault):
    request = {"to": vault, "data": encode("matches", SECRET)}
    for method, params in (
        ("debug_traceCall", [request, "latest"]),
        ("eth_createAccessList", [request]),
        ("eth_simulateV1", [{"blockStateCalls": [{"calls": [request]}]}]),
        ("trace_call", [request, ["trace"]]),
        ("eth_sendBundle", [request]),
        ("engine_newPayloadV4", [request]),
    ):
        error = await view.error(method, *params)
        assert error["code"] == -32601, method
    assert not view.wire.has_heard(SECRET)


async def test_hashes_of_calldata_are_made_here(view):
    before = len(view.wire.heard)
    hash_ = await view.rpc("web3_sha3", "0x" + SECRET.hex())
    assert hash_ == "0x" + keccak256(SECRET).hex()
    assert len(view.wire.heard) == before


async def test_what_a_wrapped_client_sealed_already_stays_as_it_is(view, gateway, vault):
    from qanat.view.envelopes import open_answer, seal

    sealed = seal(
        bytes.fromhex(encode("whoAmI")[2:]), await view.answers._chain.fetch_key("latest", {})
    )
    request = {"to": vault, "data": "0x" + sealed.data.hex()}
    answer = await view.rpc("eth_call", request)
    assert open_answer(bytes.fromhex(answer[2:]), sealed.key) == bytes(32)


async def test_log_names_what_would_have_leaked(view, vault):
    view.lines.clear()
    await send(view, vault, "store", SECRET, gas="0x100000")
    await call(view, vault, "matches", SECRET)
    await view.rpc("eth_blockNumber")
    sent, called = view.lines
    selector = encode("store", SECRET)[:10]
    assert f"eth_sendTransaction to {vault.lower()} {selector}" in sent
    assert "sealed and signed" in sent
    assert "eth_call" in called
    assert SECRET.hex() not in sent + called


async def test_public_paratime_is_served_in_plain(tmp_path):
    from tests.support.fake_compute import FakeChain
    from tests.support.gateway import BALANCES

    chain = FakeChain(balances=BALANCES, confidential=False)
    async with (
        running_gateway(tmp_path, chain=chain, confidential=False, probe=AlwaysFine()) as gateway,
        running_view(gateway) as view,
    ):
        sent = {"from": FIRST_ADDRESS, "data": PARTS["bytecode"]}
        hash_ = await view.rpc("eth_sendTransaction", sent)
        vault = (await view.rpc("eth_getTransactionReceipt", hash_))["contractAddress"]
        assert await call(view, vault, "whoAmI") == (FIRST_ADDRESS.lower(),)
        assert view.lines == []


class AlwaysFine:
    async def check(self, _):
        return 2


async def test_gateway_that_turns_public_later_is_not_believed(view, vault, monkeypatch):
    from qanat.view.gateway import Gateway, GatewayRefused

    ask = Gateway.ask_all

    async def deny(self, wanted, headers):
        if wanted[0][0] == "oasis_callDataPublicKey":
            raise GatewayRefused({"code": -32601, "message": "this ParaTime is public"})
        return await ask(self, wanted, headers)

    monkeypatch.setattr(Gateway, "ask_all", deny)
    request = {"from": FIRST_ADDRESS, "to": vault, "data": encode("matches", SECRET)}
    assert "public" in (await view.error("eth_call", request))["message"]
    assert "public" in (await view.error("eth_sendTransaction", request))["message"]
    assert not view.wire.has_heard(SECRET)
