"""web3.py and oasis-sapphire-py, unmodified, over real sockets."""

import asyncio
from functools import partial

import pytest
from eth_account import Account
from sapphirepy import sapphire
from web3 import AsyncHTTPProvider, AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from tests.support.gateway import FIRST_KEY, listening, running_gateway
from tests.support.signing import RECEIVER, artifact

SECRET = b"a secret that python sends"


@pytest.fixture
async def port(tmp_path):
    async with running_gateway(tmp_path, nodes=2) as gateway, listening(gateway.app) as port:
        yield port


def connect(port, *, encrypted):
    web3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{port}"))
    account = Account.from_key(FIRST_KEY)
    web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
    web3.eth.default_account = account.address
    return sapphire.wrap(web3, account) if encrypted else web3


def deploy(web3, name, *arguments):
    parts = artifact(name)
    contract = web3.eth.contract(abi=parts["abi"], bytecode=parts["bytecode"])
    receipt = wait(web3, contract.constructor(*arguments).transact(priced(web3)))
    return web3.eth.contract(address=receipt["contractAddress"], abi=parts["abi"])


def priced(web3):
    # As on Sapphire, whose blocks have no base fee: web3.py has to be told to send legacy ones.
    return {"gasPrice": web3.eth.gas_price}


def wait(web3, hash_):
    receipt = web3.eth.wait_for_transaction_receipt(hash_, timeout=10, poll_latency=0.01)
    assert receipt["status"] == 1
    return receipt


async def in_thread(function, *args, **kwargs):
    return await asyncio.to_thread(partial(function, *args, **kwargs))


def use_token(port):
    web3 = connect(port, encrypted=False)
    token = deploy(web3, "Token", 1_000_000)
    receipt = wait(web3, token.functions.transfer(RECEIVER, 7).transact(priced(web3)))
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert event["args"]["value"] == 7
    assert token.functions.balanceOf(RECEIVER).call() == 7
    (found,) = token.events.Transfer().get_logs(
        from_block=receipt["blockNumber"], argument_filters={"to": RECEIVER}
    )
    assert found["transactionHash"] == receipt["transactionHash"]
    assert web3.eth.get_block("latest")["number"] == receipt["blockNumber"]
    with pytest.raises(ContractCustomError):
        token.functions.transferFrom(RECEIVER, web3.eth.default_account, 1).call()


async def test_web3_uses_a_token_in_plain_sight(port):
    await in_thread(use_token, port)


def use_vault(port):
    web3 = connect(port, encrypted=True)
    vault = deploy(web3, "Vault")
    receipt = wait(web3, vault.functions.store(SECRET).transact(priced(web3)))
    assert SECRET not in bytes(web3.eth.get_transaction(receipt["transactionHash"])["input"])
    assert vault.functions.reveal().call() == SECRET
    assert vault.functions.whoAmI().call() == web3.eth.default_account
    with pytest.raises(ContractLogicError, match="the reason is plain"):
        vault.functions.failWithReason().call()


async def test_sapphire_client_keeps_a_secret(port):
    await in_thread(use_vault, port)


async def test_async_web3_over_http(port):
    provider = AsyncHTTPProvider(f"http://127.0.0.1:{port}")
    web3 = AsyncWeb3(provider)
    try:
        assert await web3.eth.chain_id == 0x5AFD
        assert await web3.eth.get_balance(RECEIVER) == 0
        assert (await web3.eth.fee_history(2, "latest"))["oldestBlock"] == 0
    finally:
        await provider.disconnect()


async def test_async_web3_over_websocket_hears_of_new_heads(port):
    async with AsyncWeb3(WebSocketProvider(f"ws://127.0.0.1:{port}")) as web3:
        await web3.eth.subscribe("newHeads")
        await in_thread(send_one, port)
        async for message in web3.socket.process_subscriptions():
            assert message["result"]["number"] >= 2
            return


def send_one(port):
    web3 = connect(port, encrypted=False)
    wait(web3, web3.eth.send_transaction({"to": RECEIVER, "value": 1} | priced(web3)))
