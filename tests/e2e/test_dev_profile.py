"""The profile `dev`: web3.py and viem need no special settings, and a poor account can pay."""

from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from tests.support.networks import SECOND_KEY, ProcessNetwork, RunningNetwork, load_artifact
from tests.support.node_clients import run_client

RICH = Account.from_key("0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba")
HEADERS = {"x-qanat-profile": "dev", "content-type": "application/json"}


def connect(network: RunningNetwork, account: Any) -> Web3:
    web3 = Web3(HTTPProvider(network.url, request_kwargs={"headers": HEADERS}))
    web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
    web3.eth.default_account = account.address
    return web3


def test_web3_py_sends_without_a_gas_price_and_a_poor_account_pays(network: RunningNetwork) -> None:
    web3, poor = connect(network, RICH), Account.create()
    funded = web3.eth.send_transaction({"to": poor.address, "value": Web3.to_wei("0.05", "ether")})
    assert web3.eth.wait_for_transaction_receipt(funded)["status"] == 1
    sent = connect(network, poor).eth.send_transaction({"to": RICH.address, "value": 1})
    receipt = web3.eth.wait_for_transaction_receipt(sent)
    assert (receipt["status"], receipt["type"]) == (1, 2)
    assert web3.eth.get_block("latest")["baseFeePerGas"] >= 10**11


def test_a_creation_is_estimated_and_a_failure_has_a_reason(network: RunningNetwork) -> None:
    web3, built = connect(network, RICH), load_artifact("Vault")
    factory = web3.eth.contract(abi=built.abi, bytecode=built.bytecode)
    made = web3.eth.wait_for_transaction_receipt(factory.constructor().transact())
    assert made["status"] == 1
    vault = web3.eth.contract(address=made["contractAddress"], abi=built.abi)
    with pytest.raises(ContractLogicError, match="the reason is plain"):
        vault.functions.failWithReason().estimate_gas()
    failed = vault.functions.failWithReason().transact({"gas": 200_000})
    receipt: Any = web3.eth.wait_for_transaction_receipt(failed)
    assert receipt["status"] == 0
    assert receipt["error"]["module"] == "evm"
    assert receipt["error"]["message"]


@pytest.mark.node
def test_libraries_know_why_a_transaction_is_refused(
    network: RunningNetwork, node_clients: Path
) -> None:
    web3, poor = connect(network, Account.from_key(SECOND_KEY)), Account.create()
    web3.eth.wait_for_transaction_receipt(
        web3.eth.send_transaction({"to": poor.address, "value": 1})
    )
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        connect(network, poor).eth.send_transaction({"to": RICH.address, "value": 1})
    seen = run_client(node_clients, "failures.mjs", network.url, SECOND_KEY, timeout_s=60)
    assert seen["ethers"] == [*["INSUFFICIENT_FUNDS"] * 2, "NONCE_EXPIRED"]
    assert seen["viem"] == [
        *["InsufficientFundsError"] * 2,
        "NonceTooLowError",
        "IntrinsicGasTooLowError",
        "FeeCapTooLowError",
    ]


def test_web3_js_needs_no_settings(process_network: ProcessNetwork, node_clients: Path) -> None:
    network = process_network
    built = str(load_artifact("Vault").path)
    seen = run_client(node_clients, "web3js.mjs", network.url, SECOND_KEY, built, network.ws_url)
    assert (seen["status"], seen["type"], seen["plainStatus"]) == (1, 2, 1)
    assert (seen["paidStatus"], seen["paid"]) == (1, 5)
    assert seen["matches"] is seen["heard"] is True
    assert seen["reason"] == seen["sendReason"] == "execution reverted: the reason is plain"


VIEM = """
import { createWalletClient, createPublicClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
const [url, key] = process.argv.slice(-2);
const chain = defineChain({ id: 0x5afd, name: "qanat", rpcUrls: { default: { http: [url] } },
  nativeCurrency: { name: "TEST", symbol: "TEST", decimals: 18 } });
const transport = http(url, { fetchOptions: { headers: { "x-qanat-profile": "dev" } } });
const account = privateKeyToAccount(key);
const hash = await createWalletClient({ account, chain, transport }).sendTransaction(
  { to: "0x000000000000000000000000000000000000dEaD", value: 1n });
const receipt = await createPublicClient({ chain, transport }).waitForTransactionReceipt({ hash });
console.log(JSON.stringify({ status: receipt.status, type: receipt.type }));
"""


@pytest.mark.node
def test_viem_sends_without_special_settings(network: RunningNetwork, node_clients: Path) -> None:
    seen = run_client(
        node_clients, "--input-type=module", "-e", VIEM, "--", network.url, SECOND_KEY, timeout_s=60
    )
    assert seen == {"status": "success", "type": "eip1559"}
