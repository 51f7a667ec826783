"""
`InferenceMeter`, as the service, a payer or anybody sees it; encrypted by `oasis-sapphire-py`.

Source: `contracts/src/InferenceMeter.sol`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account
from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from sapphirepy import sapphire
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractLogicError, Web3Exception
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.types import TxParams, Wei

from apps.inference.errors import ChainAway, ChainRefused
from apps.inference.metering.usage import Epoch
from apps.inference.serve.appd import Appd

ARTIFACT = Path(__file__).resolve().parent.parent / "contracts/artifacts/InferenceMeter.json"
TIMEOUT_S = 30.0
"""How long a question may take, and how long a transaction may stay out [s]."""
POLL_S = 0.05
_ACCOUNT_KEY = "qanat.inference/meter/1"
T = TypeVar("T")


class ChainMeter:
    """The contract by the account that it is asked and told as. It blocks."""

    def __init__(self, url: str, account: LocalAccount, address: str) -> None:
        self.account, self.address = account, address
        self._web3 = _connect(url, account)
        self._contract = self._web3.eth.contract(
            address=Web3.to_checksum_address(address), abi=_artifact()["abi"]
        )

    @classmethod
    def deploy(cls, url: str, account: LocalAccount, service: str) -> "ChainMeter":
        """Make a contract for a service's account, or raise `ChainAway` or `ChainRefused`."""
        web3, artifact = _connect(url, account), _artifact()
        contract = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        made = _mined(web3, contract.constructor(Web3.to_checksum_address(service)))
        return cls(url, account, str(made["contractAddress"]))

    def credit_wei(self, key_hash: bytes) -> int:
        """Give what is left of a key's credit; zero to strangers, and after a notice."""
        if self._ask(self._contract.functions.noticeOf(key_hash)):
            return 0
        return int(self._ask(self._contract.functions.credit(key_hash)))

    def deposit(self, key_hash: bytes, amount_wei: int) -> None:
        """Pay in for a key."""
        self._tell(self._contract.functions.deposit(key_hash), amount_wei)

    def give_notice(self, key_hash: bytes) -> None:
        """Say that what is left is wanted back."""
        self._tell(self._contract.functions.giveNotice(key_hash))

    def next_epoch(self) -> int:
        """Give the number of the epoch that is to be committed to."""
        return int(self._ask(self._contract.functions.nextEpoch()))

    def commit(self, epoch: Epoch) -> None:
        """Charge an epoch, as the service; once, whatever is sent again."""
        hashes = [owner for owner, _ in epoch.charges]
        amounts = [amount for _, amount in epoch.charges]
        count = len(epoch.leaves)
        self._tell(
            self._contract.functions.commit(epoch.number, epoch.root, count, hashes, amounts)
        )

    def is_committed(self, epoch: Epoch, index: int) -> bool:
        """Ask the chain whether a receipt is one of an epoch."""
        call = self._contract.functions.isCommitted(
            epoch.number, epoch.leaves[index], index, list(epoch.proof(index))
        )
        return bool(self._ask(call))

    def earned_wei(self) -> int:
        """Give what was charged and not yet taken, as the service."""
        return int(self._ask(self._contract.functions.earned()))

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        web3 = self._web3
        sent = TxParams({"to": Web3.to_checksum_address(to), "value": Wei(amount_wei), "data": b""})
        sent["gasPrice"] = _reached(lambda: web3.eth.gas_price)
        _reached(
            lambda: web3.eth.wait_for_transaction_receipt(
                web3.eth.send_transaction(sent), TIMEOUT_S, POLL_S
            )
        )

    def _ask(self, call: ContractFunction) -> Any:
        return _reached(call.call)

    def _tell(self, call: ContractFunction, value_wei: int = 0) -> None:
        # A call first: its refusal has a reason, and nothing is paid for it.
        _reached(lambda: call.call({"value": Wei(value_wei)}))
        _mined(self._web3, call, value_wei)


async def service_account(appd_socket: Path) -> LocalAccount:
    """Derive the service's account, equal on each replica, or raise `AppdAway`."""
    appd = Appd(appd_socket)
    try:
        account: LocalAccount = Account.from_key(await appd.derive(_ACCOUNT_KEY, "secp256k1"))
        return account
    finally:
        await appd.close()


def _connect(url: str, account: LocalAccount) -> Web3:
    web3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": TIMEOUT_S}))
    web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
    web3.eth.default_account = account.address
    wrapped: Web3 = sapphire.wrap(web3, account)
    return wrapped


def _reached(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except ContractLogicError as error:
        raise ChainRefused(f"the contract refuses: {error.message or error.data}") from error
    except (Web3Exception, RequestException, RuntimeError) as error:
        raise ChainAway(f"the gateway: {error}") from error


def _mined(web3: Web3, call: Any, value_wei: int = 0) -> Any:
    # Blocks of Sapphire name no base fee, without which web3.py finds no price by itself.
    sent = {"value": Wei(value_wei), "gasPrice": _reached(lambda: web3.eth.gas_price)}
    receipt = _reached(
        lambda: web3.eth.wait_for_transaction_receipt(call.transact(sent), TIMEOUT_S, POLL_S)
    )
    if receipt["status"] != 1:
        raise ChainRefused("the transaction failed")
    return receipt


def _artifact() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ARTIFACT.read_text())
    return found
