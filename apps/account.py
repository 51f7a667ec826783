"""
An account on a ParaTime, as an app uses it: contracts that it asks and tells things.

Every call and every transaction is encrypted by `oasis-sapphire-py`, and an account's questions are
signed. Each app says which errors of its own stand for a refusal and for silence.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from sapphirepy import sapphire
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractLogicError, Web3Exception
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.types import TxParams, Wei

from shared.errors import QanatError

TIMEOUT_S = 30.0
"""How long a question to the gateway may take, and how long a transaction may stay out [s]."""
POLL_S = 0.05
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Errors:
    """What an app raises."""

    away: Callable[[str], QanatError]
    """The gateway does not answer, or not as gateways do; of what happened."""
    refused: Callable[[ContractLogicError], QanatError]
    """A contract reverts."""
    failed: Callable[[], QanatError]
    """A transaction that was tried out before failed in its block."""


class ChainAccount:
    """One account and its gateway; without an account, what anybody may ask. It blocks."""

    def __init__(self, url: str, account: LocalAccount | None, errors: Errors) -> None:
        self._errors = errors
        self._web3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": TIMEOUT_S}))
        if account is not None:
            self._web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
            self._web3.eth.default_account = account.address
        self._web3 = sapphire.wrap(self._web3, account)

    def contract(self, artifact: Path, address: str) -> Contract:
        """Give the contract at an address, with the ABI of a compiler's artifact."""
        abi = load_artifact(artifact)["abi"]
        return self._web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)

    def deploy(self, artifact: Path, *arguments: Any) -> str:
        """Make a contract; its address. Raises as `tell`."""
        made = load_artifact(artifact)
        contract = self._web3.eth.contract(abi=made["abi"], bytecode=made["bytecode"])
        return str(self._mine(contract.constructor(*arguments), 0)["contractAddress"])

    def chain_id(self) -> int:
        """Give the id of the chain, or raise what is `away`."""
        return self._reach(lambda: self._web3.eth.chain_id)

    def now(self) -> int:
        """Give the time of the newest block [Unix s], or raise what is `away`."""
        return int(self._reach(lambda: self._web3.eth.get_block("latest"))["timestamp"])

    def ask(self, call: ContractFunction) -> Any:
        """Ask a contract; raises what is `refused` or `away`."""
        return self._reach(call.call)

    def tell(self, call: ContractFunction, value_wei: int = 0) -> None:
        """Send a contract a transaction until it is mined; raises any of the app's errors."""
        # A call first: its refusal has a reason, and nothing is paid for it.
        self._reach(lambda: call.call({"value": Wei(value_wei)}))
        self._mine(call, value_wei)

    def balance_wei(self, address: str) -> int:
        """Give what an account has [wei], or raise what is `away`."""
        return self._reach(lambda: self._web3.eth.get_balance(Web3.to_checksum_address(address)))

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        sent = TxParams({"to": Web3.to_checksum_address(to), "value": Wei(amount_wei), "data": b""})
        self._await(lambda price: self._web3.eth.send_transaction(sent | price))

    def _mine(self, call: Any, value_wei: int) -> Any:
        value = TxParams({"value": Wei(value_wei)})
        receipt = self._await(lambda price: call.transact(value | price))
        if receipt["status"] != 1:
            raise self._errors.failed()
        return receipt

    def _await(self, send: Callable[[TxParams], Any]) -> Any:
        """Send at the price of now and wait; gives the receipt."""
        # Blocks of Sapphire name no base fee, without which web3.py finds no price by itself.
        price = TxParams({"gasPrice": self._reach(lambda: self._web3.eth.gas_price)})
        wait = self._web3.eth.wait_for_transaction_receipt
        return self._reach(lambda: wait(send(price), TIMEOUT_S, POLL_S))

    def _reach(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ContractLogicError as error:
            raise self._errors.refused(error) from error
        except (Web3Exception, RequestException, RuntimeError) as error:
            raise self._errors.away(f"the gateway: {error}") from error


@cache
def load_artifact(path: Path) -> dict[str, Any]:
    """Read what `scripts/contracts.sh` compiled; nobody changes it."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found
