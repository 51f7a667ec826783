"""
The market's contracts, as one account sees them.

Every call and every transaction is encrypted by `oasis-sapphire-py`. What only the account may ask
is signed; what anybody may is not, for a signed question is stale as soon as the account sends
something. A refusal of a contract carries the name of its error.
"""

import enum
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from sapphirepy import sapphire
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractCustomError, ContractLogicError, Web3Exception
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.types import TxParams, Wei

from apps.data_market.errors import ContractRefused, GatewayAway
from shared.crypto.hashes import keccak256

ARTIFACTS = Path(__file__).resolve().parent.parent / "contracts" / "artifacts"
CONTRACTS = ("DataRegistry", "JobMarket", "PayVault", "PrivacyLedger")
TIMEOUT_S = 30.0
"""How long a question to the gateway may take, and how long a transaction may stay out [s]."""
POLL_S = 0.05
T = TypeVar("T")


class State(enum.IntEnum):
    """Where a job stands. Source: `contracts/src/JobMarket.sol`."""

    NONE = 0
    OPEN = 1
    COMMITTED = 2
    RUNNING = 3
    SETTLED = 4
    EXPIRED = 5
    DISPUTED = 6


FINAL = frozenset({State.SETTLED, State.EXPIRED, State.DISPUTED})


@dataclass(frozen=True, slots=True)
class Policy:
    """What a dataset's owner allows."""

    precision_cap: int
    """Budget of all jobs together: sum of 1/sigma^2 over their steps [1e-12]."""
    min_pot_wei: int
    expiry: int
    """No job starts from then on [Unix s]."""
    purposes: bytes
    """Hash, 32 bytes."""
    recipes: tuple[bytes, ...]
    """Hashes, 32 bytes each."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the chain knows of a dataset."""

    owner: str
    schema_hash: bytes
    rows: int
    """Rounded up to four leading bits."""
    block_number: int
    """When it was committed to."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job is about. Hashes have 32 bytes."""

    recipe: bytes
    params_hash: bytes
    validation: bytes
    schema_hash: bytes
    precision: int
    """What it costs each dataset [1e-12]."""
    deadline: int
    """[Unix s]"""
    datasets: tuple[bytes, ...]
    """Commitments, rising."""

    def as_tuple(self) -> tuple[Any, ...]:
        """In the order of the contract."""
        return (
            *(self.recipe, self.params_hash, self.validation, self.schema_hash),
            *(self.precision, self.deadline, list(self.datasets)),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """What the chain knows of a job."""

    state: State
    owner: str
    pot_wei: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker reports and, once two did so alike, is paid by."""

    masked_wei: tuple[int, ...]
    """Amounts in the order of the datasets, each under a mask of `blind`."""
    blind: bytes
    model_hash: bytes
    card_hash: bytes
    values_hash: bytes

    def as_tuple(self) -> tuple[Any, ...]:
        """In the order of the contract."""
        return (
            *(list(self.masked_wei), self.blind),
            *(self.model_hash, self.card_hash, self.values_hash),
        )


def mask_of(blind: bytes, place: int) -> int:
    """What hides the amount of one dataset. Source: `JobMarket.maskOf`."""
    return int.from_bytes(keccak256(blind + place.to_bytes(32, "big")), "big")


class Market:
    """The market by the account that it is asked and told as."""

    def __init__(self, url: str, account: LocalAccount, address: str) -> None:
        """Reach the market at an address; raises `GatewayAway`, or `ContractRefused` for none."""
        self.account, self.address = account, address
        self._web3, public = connect(url, account), connect(url)
        self._market = _contract(self._web3, "JobMarket", address)
        self._asked = _contract(public, "JobMarket", address).functions
        registry, ledger = self._ask(self._asked.registry()), self._ask(self._asked.ledger())
        self._registry = _contract(self._web3, "DataRegistry", registry)
        self._vault = _contract(self._web3, "PayVault", self._ask(self._asked.vault()))
        self._asked_registry = _contract(public, "DataRegistry", registry).functions
        self._asked_ledger = _contract(public, "PrivacyLedger", ledger).functions
        self.chain_id = reached(lambda: self._web3.eth.chain_id)

    @classmethod
    def deploy(cls, url: str, account: LocalAccount, workers: tuple[str, str]) -> "Market":
        """Make a market with two workers, by their addresses."""
        web3 = connect(url, account)
        artifact = _artifact("JobMarket")
        contract = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        receipt = _mined(web3, contract.constructor(*workers))
        return cls(url, account, str(receipt["contractAddress"]))

    # -- what is known ------------------------------------------------------------------------

    def now(self) -> int:
        """Time of the newest block, by which deadlines are kept [Unix s]."""
        return int(reached(lambda: self._web3.eth.get_block("latest"))["timestamp"])

    def balance_wei(self) -> int:
        """What the account has, beside what the market owes it."""
        return reached(lambda: self._web3.eth.get_balance(self._own))

    def workers(self) -> tuple[str, str]:
        """Give the addresses of the two that report."""
        return self._ask(self._asked.firstWorker()), self._ask(self._asked.secondWorker())

    def dataset(self, commitment: bytes) -> Dataset:
        """Look a dataset up. Raises `ContractRefused`, `UnknownDataset`."""
        owner, schema_hash, rows, block_number, *_ = self._ask(
            self._asked_registry.datasetOf(commitment)
        )
        return Dataset(owner, schema_hash, rows, block_number)

    def budget_left(self, commitment: bytes) -> int:
        """Give what a dataset has left for further jobs [1e-12]."""
        return int(self._ask(self._asked_ledger.left(commitment)))

    def job_id(self, salt: bytes) -> bytes:
        """Give the id of this account's job with a salt of 32 bytes."""
        return bytes(self._ask(self._asked.idOf(self._own, salt)))

    def job(self, id_: bytes) -> Job:
        """Look a job up; of state `NONE` where there is none."""
        state, owner, pot_wei, _, _, _, _, terms = self._ask(self._asked.jobOf(id_))
        *fixed, datasets = terms
        return Job(State(state), owner, pot_wei, Terms(*(*fixed, tuple(datasets))))

    def my_pay_wei(self) -> int:
        """What the market owes this account: nobody else learns it."""
        return int(self._ask(self._vault.functions.myPay()))

    # -- what is done -------------------------------------------------------------------------

    def register(self, commitment: bytes, schema_hash: bytes, rows: int, policy: Policy) -> None:
        """Commit to a dataset, as its owner from then on."""
        allowed = (
            *(policy.precision_cap, policy.min_pot_wei, policy.expiry, policy.purposes),
            list(policy.recipes),
        )
        self._tell(self._registry.functions.register(commitment, schema_hash, rows, allowed))

    def open(self, salt: bytes, terms: Terms, pot_wei: int) -> bytes:
        """Open a job with its pot in escrow; its id."""
        self._tell(self._market.functions.open(salt, terms.as_tuple()), pot_wei)
        return self.job_id(salt)

    def accept(self, id_: bytes, place: int) -> None:
        """Take part with the dataset at a place of the terms; its budget is reserved."""
        self._tell(self._market.functions.accept(id_, place))

    def start(self, id_: bytes) -> None:
        """Spend the budgets; workers only."""
        self._tell(self._market.functions.start(id_))

    def report(self, id_: bytes, result: Result) -> None:
        """Say what was found, by its hash; workers only."""
        found = self._ask(self._asked.resultHash(id_, result.as_tuple()))
        self._tell(self._market.functions.report(id_, found))

    def settle(self, id_: bytes, result: Result) -> None:
        """Pay what two workers reported alike. Raises `ContractRefused`, `BadResult` before."""
        self._tell(self._market.functions.settle(id_, result.as_tuple()))

    def expire(self, id_: bytes) -> None:
        """Give the pot of a job back whose deadline has passed."""
        self._tell(self._market.functions.expire(id_))

    def withdraw(self, amount_wei: int) -> None:
        """Take what is owed."""
        self._tell(self._vault.functions.withdraw(self._own, amount_wei))

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        sent = TxParams({"to": Web3.to_checksum_address(to), "value": Wei(amount_wei), "data": b""})
        reached(
            lambda: self._web3.eth.wait_for_transaction_receipt(
                self._web3.eth.send_transaction(sent | _price(self._web3)), TIMEOUT_S, POLL_S
            )
        )

    @property
    def _own(self) -> Any:
        return self.account.address

    def _ask(self, call: ContractFunction) -> Any:
        return reached(call.call)

    def _tell(self, call: ContractFunction, value_wei: int = 0) -> None:
        # A call first: its refusal has a reason, and nothing is paid for it.
        reached(lambda: call.call({"value": Wei(value_wei)}))
        _mined(self._web3, call, value_wei)


def connect(url: str, account: LocalAccount | None = None) -> Web3:
    """Reach a gateway, by calls that are encrypted and, of an account, signed."""
    web3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": TIMEOUT_S}))
    if account is not None:
        web3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
        web3.eth.default_account = account.address
    wrapped: Web3 = sapphire.wrap(web3, account)
    return wrapped


def reached(ask: Callable[[], T]) -> T:
    """Ask; raises `ContractRefused` for what a contract refuses and `GatewayAway` for the rest."""
    try:
        return ask()
    except ContractCustomError as error:
        raise ContractRefused(_name_of(str(error.data))) from error
    except ContractLogicError as error:
        raise ContractRefused(str(error.message)) from error
    except (Web3Exception, RequestException, RuntimeError) as error:
        raise GatewayAway(f"the gateway: {error}") from error


def _mined(web3: Web3, call: Any, value_wei: int = 0) -> Any:
    sent = {"value": Wei(value_wei), **_price(web3)}
    receipt = reached(
        lambda: web3.eth.wait_for_transaction_receipt(call.transact(sent), TIMEOUT_S, POLL_S)
    )
    if receipt["status"] != 1:
        raise ContractRefused("that the transaction failed")
    return receipt


def _contract(web3: Web3, name: str, address: str) -> Contract:
    return web3.eth.contract(address=Web3.to_checksum_address(address), abi=_artifact(name)["abi"])


def _price(web3: Web3) -> TxParams:
    # Blocks of Sapphire name no base fee, without which web3.py finds no price by itself.
    return {"gasPrice": reached(lambda: web3.eth.gas_price)}


def _artifact(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return found


def _name_of(data: str) -> str:
    return _ERRORS.get(data[2:10], data)


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(one['type'] for one in entry['inputs'])})"


def _errors(names: Sequence[str]) -> dict[str, str]:
    """Names of errors by selector; none of them takes a struct."""
    entries = (one for name in names for one in _artifact(name)["abi"] if one["type"] == "error")
    return {keccak256(_signature(one).encode())[:4].hex(): one["name"] for one in entries}


_ERRORS = _errors(CONTRACTS)
