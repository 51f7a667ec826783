"""
What web3.py's own test classes need of a chain: an account, contracts, blocks.

As web3.py makes it for geth, in its own `generate_fixtures/go_ethereum.py`.
"""

from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3._utils.contract_sources.contract_data.emitter_contract import EMITTER_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.math_contract import MATH_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.offchain_lookup import OFFCHAIN_LOOKUP_DATA
from web3._utils.contract_sources.contract_data.panic_errors_contract import (
    PANIC_ERRORS_CONTRACT_DATA,
)
from web3._utils.contract_sources.contract_data.revert_contract import REVERT_CONTRACT_DATA
from web3._utils.contract_sources.contract_data.storage_contract import STORAGE_CONTRACT_DATA
from web3.types import BlockData

CONTRACTS: dict[str, Any] = {
    "math": MATH_CONTRACT_DATA,
    "emitter": EMITTER_CONTRACT_DATA,
    "revert": REVERT_CONTRACT_DATA,
    "offchain_lookup": OFFCHAIN_LOOKUP_DATA,
    "panic_errors": PANIC_ERRORS_CONTRACT_DATA,
    "storage": STORAGE_CONTRACT_DATA,
}
LOG_DOUBLE_WITH_INDEX = 9
HEADERS = {"content-type": "application/json", "x-qanat-profile": "dev"}


def connect(url: str) -> Web3:
    return Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": 30, "headers": HEADERS}))


@dataclass(frozen=True)
class Web3Chain:
    """Hashes and addresses of what was made."""

    url: str
    key: str
    account: ChecksumAddress
    addresses: dict[str, ChecksumAddress]
    math_deployment: HexBytes
    log_transaction: HexBytes
    log_block: HexBytes
    mined_transaction: HexBytes
    mined_block: HexBytes
    empty_block: HexBytes


def make_chain(url: str, key: str) -> Web3Chain:
    """Deploy and send what the classes ask for, from the account of a key."""
    w3 = connect(url)
    account = Account.from_key(key)

    def send(transaction: Any) -> Any:
        transaction = {
            "from": account.address,
            "nonce": w3.eth.get_transaction_count(account.address),
            "chainId": w3.eth.chain_id,
            **transaction,
        }
        transaction.setdefault("gas", w3.eth.estimate_gas(transaction))
        transaction.setdefault("gasPrice", w3.eth.gas_price)
        signed = account.sign_transaction(transaction)
        sent = w3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = w3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
        assert receipt["status"] == 1
        return receipt

    made = {name: send({"data": data["bytecode"], "value": 0}) for name, data in CONTRACTS.items()}
    addresses = {name: receipt["contractAddress"] for name, receipt in made.items()}
    emitter = w3.eth.contract(address=addresses["emitter"], abi=EMITTER_CONTRACT_DATA["abi"])
    call = emitter.functions.logDouble(which=LOG_DOUBLE_WITH_INDEX, arg0=12345, arg1=54321)
    logged = send({"to": emitter.address, "data": call._encode_transaction_data(), "value": 0})
    mined = send({"to": account.address, "value": 1})
    return Web3Chain(
        url=url,
        key=key,
        account=account.address,
        addresses=addresses,
        math_deployment=made["math"]["transactionHash"],
        log_transaction=logged["transactionHash"],
        log_block=logged["blockHash"],
        mined_transaction=mined["transactionHash"],
        mined_block=mined["blockHash"],
        empty_block=_empty_block(w3)["hash"],
    )


def _empty_block(w3: Web3) -> BlockData:
    """Mine one without transactions."""
    w3.provider.make_request("evm_mine", [])
    block = w3.eth.get_block("latest")
    assert not block["transactions"]
    return block
