"""
The market's contracts, as one account sees them.

What only the account may ask is signed; what anybody may is not, for a signed question is stale as
soon as the account sends something. A refusal of a contract carries the name of its error.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from web3.exceptions import ContractCustomError, ContractLogicError

from apps.account import ChainAccount, Errors, load_artifact
from apps.data_market.errors import ContractRefused, GatewayAway
from shared.crypto.hashes import keccak256

ARTIFACTS = Path(__file__).resolve().parent.parent / "contracts" / "artifacts"
REGISTRY, MARKET, VAULT, LEDGER = CONTRACTS = tuple(
    ARTIFACTS / f"{name}.json"
    for name in ("DataRegistry", "JobMarket", "PayVault", "PrivacyLedger")
)


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
    """What an instance reports and, once two nodes did so alike, is paid by."""

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


@dataclass(frozen=True, slots=True)
class Started:
    """What the chain says to an instance that starts a job."""

    terms: Terms
    pot_wei: int
    committed_at: tuple[int, ...]
    """Blocks in which the datasets were committed to, in their order in the terms."""


class MarketView:
    """The market as anybody sees it."""

    def __init__(self, url: str, address: str) -> None:
        """Reach the market at an address; raises `GatewayAway`, or `ContractRefused` for none."""
        self.address, self._public = address, ChainAccount(url, None, ERRORS)
        self._asked = self._public.contract(MARKET, address).functions
        self._registry_address = self._ask(self._asked.registry())
        ledger = self._ask(self._asked.ledger())
        self._asked_registry = self._public.contract(REGISTRY, self._registry_address).functions
        self._asked_ledger = self._public.contract(LEDGER, ledger).functions
        self.chain_id = self._public.chain_id()

    def now(self) -> int:
        """Time of the newest block, by which deadlines are kept [Unix s]."""
        return self._public.now()

    def app(self) -> bytes:
        """Give the id of the app whose instances run jobs, 21 bytes."""
        return bytes(self._ask(self._asked.app()))

    def dataset(self, commitment: bytes) -> Dataset:
        """Look a dataset up. Raises `ContractRefused`, `UnknownDataset`."""
        owner, schema_hash, rows, block_number, *_ = self._ask(
            self._asked_registry.datasetOf(commitment)
        )
        return Dataset(owner, schema_hash, rows, block_number)

    def budget_left(self, commitment: bytes) -> int:
        """Give what a dataset has left for further jobs [1e-12]."""
        return int(self._ask(self._asked_ledger.left(commitment)))

    def job(self, id_: bytes) -> Job:
        """Look a job up; of state `NONE` where there is none."""
        state, owner, pot_wei, _, _, _, _, terms = self._ask(self._asked.jobOf(id_))
        return Job(State(state), owner, pot_wei, read_terms(terms))

    def _ask(self, call: Any) -> Any:
        return self._public.ask(call)


class Market(MarketView):
    """The market by the account that it is asked and told as."""

    def __init__(self, url: str, account: LocalAccount, address: str) -> None:
        """Reach the market at an address; raises as `MarketView`."""
        super().__init__(url, address)
        self.account, self._own = account, ChainAccount(url, account, ERRORS)
        self._market = self._own.contract(MARKET, address).functions
        self._registry = self._own.contract(REGISTRY, self._registry_address).functions
        self._vault = self._own.contract(VAULT, self._ask(self._asked.vault())).functions

    @classmethod
    def deploy(cls, url: str, account: LocalAccount, app: bytes) -> "Market":
        """Make a market for instances of an app, by its id of 21 bytes."""
        return cls(url, account, ChainAccount(url, account, ERRORS).deploy(MARKET, app))

    def job_id(self, salt: bytes) -> bytes:
        """Give the id of this account's job with a salt of 32 bytes."""
        return bytes(self._ask(self._asked.idOf(self.account.address, salt)))

    def my_pay_wei(self) -> int:
        """What the market owes this account: nobody else learns it."""
        return int(self._own.ask(self._vault.myPay()))

    # -- what is done -------------------------------------------------------------------------

    def register(self, commitment: bytes, schema_hash: bytes, rows: int, policy: Policy) -> None:
        """Commit to a dataset, as its owner from then on."""
        allowed = (
            *(policy.precision_cap, policy.min_pot_wei, policy.expiry, policy.purposes),
            list(policy.recipes),
        )
        self._own.tell(self._registry.register(commitment, schema_hash, rows, allowed))

    def open(self, salt: bytes, terms: Terms, pot_wei: int) -> bytes:
        """Open a job with its pot in escrow; its id."""
        self._own.tell(self._market.open(salt, terms.as_tuple()), pot_wei)
        return self.job_id(salt)

    def accept(self, id_: bytes, place: int) -> None:
        """Take part with the dataset at a place of the terms; its budget is reserved."""
        self._own.tell(self._market.accept(id_, place))

    def expire(self, id_: bytes) -> None:
        """Give the pot of a job back whose deadline has passed."""
        self._own.tell(self._market.expire(id_))

    def withdraw(self, amount_wei: int) -> None:
        """Take what is owed."""
        self._own.tell(self._vault.withdraw(self.account.address, amount_wei))

    def balance_wei(self) -> int:
        """What the account has [wei]."""
        return self._own.balance_wei(self.account.address)

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        self._own.send_wei(to, amount_wei)


def read_terms(found: Sequence[Any]) -> Terms:
    """Read terms in the order of the contract."""
    *fixed, datasets = found
    return Terms(*(*fixed, tuple(datasets)))


def error_name(data: bytes) -> str:
    """Name what a contract reverted with: its error, or the bytes in hex."""
    return _NAMES.get(data[:4].hex(), "0x" + data.hex())


def _refused(error: ContractLogicError) -> ContractRefused:
    if isinstance(error, ContractCustomError):
        data = str(error.data)
        return ContractRefused(_NAMES.get(data[2:10], data))
    return ContractRefused(str(error.message))


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(one['type'] for one in entry['inputs'])})"


def _names_of_errors(artifacts: Sequence[Path]) -> dict[str, str]:
    """Names of errors by selector; none of them takes a struct."""
    entries = (one for path in artifacts for one in load_artifact(path)["abi"])
    errors = (one for one in entries if one["type"] == "error")
    return {keccak256(_signature(one).encode())[:4].hex(): one["name"] for one in errors}


_NAMES = _names_of_errors(CONTRACTS)
ERRORS = Errors(GatewayAway, _refused, lambda: ContractRefused("that the transaction failed"))
