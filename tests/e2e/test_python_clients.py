"""web3.py and oasis-sapphire-py, unmodified, against a running network."""

from typing import Any

import pytest
from eth_account import Account
from sapphirepy import sapphire
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.types import TxParams, Wei

from tests.support.networks import FIRST_KEY, SECOND_KEY, RunningNetwork, load_artifact
from tests.support.predeployed import load_vectors

GAS_PRICE: TxParams = {"gasPrice": Wei(100 * 10**9)}
"""Blocks name no base fee, as on Sapphire, so web3.py must be given a price."""
SECRET = b"a secret that python sends"
PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
PERMIT2_ON_ETHEREUM = "c67d1657868aa5146eaf24fb879fb1fdec3d2d493b3683a61c9c2f4fb2851131"


def connect(network: RunningNetwork, *, encrypted: bool, key: str = FIRST_KEY) -> Web3:
    web3 = Web3(Web3.HTTPProvider(network.url))
    account = Account.from_key(key)
    web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
    web3.eth.default_account = account.address
    return sapphire.wrap(web3, account) if encrypted else web3


def deploy(web3: Web3, name: str, *arguments: Any) -> Any:
    artifact = load_artifact(name)
    contract = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    receipt = web3.eth.wait_for_transaction_receipt(
        contract.constructor(*arguments).transact(GAS_PRICE), poll_latency=0.02
    )
    assert receipt["status"] == 1
    return web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)


def send(web3: Web3, call: Any) -> Any:
    return web3.eth.wait_for_transaction_receipt(call.transact(GAS_PRICE), poll_latency=0.02)


@pytest.fixture
def web3(network: RunningNetwork) -> Web3:
    return connect(network, encrypted=True)


@pytest.fixture
def vault(web3: Web3) -> Any:
    return deploy(web3, "Vault")


def test_encrypted_transaction_leaves_no_plaintext_in_its_input(web3: Web3, vault: Any) -> None:
    receipt = send(web3, vault.functions.store(SECRET))
    assert receipt["status"] == 1
    sent = web3.eth.get_transaction(receipt["transactionHash"])
    assert SECRET not in bytes(sent["input"])
    assert bytes(sent["input"])[:6] == bytes.fromhex("a264626f6479")


def test_signed_query_has_a_sender(web3: Web3, vault: Any) -> None:
    send(web3, vault.functions.store(SECRET))
    assert vault.functions.reveal().call() == SECRET
    assert vault.functions.whoAmI().call() == web3.eth.default_account


def test_unsigned_query_has_none(network: RunningNetwork, vault: Any) -> None:
    plain = connect(network, encrypted=False)
    contract = plain.eth.contract(address=vault.address, abi=vault.abi)
    assert contract.functions.whoAmI().call() == "0x" + "00" * 20
    with pytest.raises(ContractCustomError):
        contract.functions.reveal().call()


def test_plain_client_reads_the_same_contract(network: RunningNetwork, vault: Any) -> None:
    plain = connect(network, encrypted=False)
    contract = plain.eth.contract(address=vault.address, abi=vault.abi)
    receipt = send(plain, contract.functions.store(b"in the open"))
    assert receipt["status"] == 1
    assert contract.functions.matches(b"in the open").call() is True


def test_revert_reason_and_custom_error_arrive(vault: Any) -> None:
    with pytest.raises(ContractLogicError, match="the reason is plain"):
        vault.functions.failWithReason().call()
    with pytest.raises(ContractCustomError):
        vault.functions.failWithCustomError().call()


def test_events_are_public(web3: Web3, vault: Any) -> None:
    receipt = send(web3, vault.functions.store(SECRET))
    (event,) = vault.events.SecretStored().process_receipt(receipt)
    assert event["args"]["length"] == len(SECRET)
    (found,) = vault.events.SecretStored().get_logs(
        from_block=receipt["blockNumber"], to_block=receipt["blockNumber"]
    )
    assert found["transactionHash"] == receipt["transactionHash"]


def test_failed_transaction_is_mined_and_undone(web3: Web3, vault: Any) -> None:
    receipt = send(web3, vault.functions.writeThenFail())
    assert receipt["status"] == 0
    assert vault.functions.writes().call() == 0


def test_selfdestruct_fails_the_transaction(web3: Web3, vault: Any) -> None:
    receipt = send(web3, vault.functions.destroy())
    assert receipt["status"] == 0
    assert web3.eth.get_code(vault.address) != b""


def test_storage_is_not_shown(web3: Web3, vault: Any) -> None:
    send(web3, vault.functions.store(SECRET))
    for slot in range(3):
        assert bytes(web3.eth.get_storage_at(vault.address, slot)) == bytes(32)


def test_calls_see_the_parent_header(web3: Web3, vault: Any) -> None:
    latest = web3.eth.block_number
    number, timestamp, parent_hash, base_fee, gas_limit, coinbase = (
        vault.functions.blockFacts().call(block_identifier=latest)
    )
    block = web3.eth.get_block(latest)
    assert (number, timestamp) == (latest, block["timestamp"])
    assert parent_hash == bytes(block["parentHash"])
    assert (base_fee, gas_limit) == (100 * 10**9, 15_000_000)
    assert coinbase == "0x" + "00" * 20


def test_past_state_is_readable(network: RunningNetwork, web3: Web3, vault: Any) -> None:
    before = web3.eth.block_number
    send(web3, vault.functions.store(SECRET))
    # Unsigned: the leash of a signed query names a block that the past does not know.
    plain = connect(network, encrypted=False).eth.contract(address=vault.address, abi=vault.abi)
    assert plain.functions.writes().call(block_identifier=before) == 0
    assert plain.functions.writes().call() == 1


def test_a_vyper_contract_gives_notes_back_to_their_author_alone(
    network: RunningNetwork, web3: Web3
) -> None:
    notebook = deploy(web3, "Notebook")
    receipt = send(web3, notebook.functions.write(SECRET))
    assert receipt["status"] == 1
    [written] = notebook.events.Written().process_receipt(receipt)
    assert written["args"] == {"author": web3.eth.default_account, "number": 0}
    assert SECRET not in bytes(web3.eth.get_transaction(receipt["transactionHash"])["input"])
    assert notebook.functions.read(0).call() == SECRET
    stranger = connect(network, encrypted=True, key=SECOND_KEY)
    with pytest.raises(ContractLogicError):
        stranger.eth.contract(address=notebook.address, abi=notebook.abi).functions.read(0).call()
    with pytest.raises(ContractLogicError, match="a note says something"):
        notebook.functions.write(b"").call()


def test_estimate_of_a_failing_call_is_no_error(web3: Web3, vault: Any) -> None:
    assert vault.functions.failWithReason().estimate_gas() > 2_000_000


def test_contracts_that_every_chain_has_are_there(network: RunningNetwork) -> None:
    web3 = connect(network, encrypted=False)
    listed = [made for one in load_vectors() for made in (one, *one.get("creates", ()))]
    assert len(listed) == 8
    for one in listed:
        assert len(web3.eth.get_code(Web3.to_checksum_address(one["address"]))) > 60, one["name"]
    permit2 = web3.eth.get_code(Web3.to_checksum_address(PERMIT2))
    assert Web3.keccak(permit2).hex() == PERMIT2_ON_ETHEREUM
