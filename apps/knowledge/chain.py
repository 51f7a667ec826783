"""
`KnowledgePay` and the contracts that are its own, by one account.

Source: `contracts/src/KnowledgePay.sol`, `contracts/src/KnowledgeRegistry.sol`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from web3.exceptions import ContractCustomError, ContractLogicError

from apps.account import ChainAccount, Errors, load_artifact
from apps.data_market.value.split import split_pot
from apps.errors import CallRefused
from apps.inference.metering.usage import Epoch
from apps.instance import NO_APP, NOBODY, Daemon, tell
from apps.knowledge.errors import ContractRefused, GatewayAway
from shared.crypto.hashes import keccak256

APPS = Path(__file__).resolve().parent.parent
PAY, REGISTRY, METER, VAULT = CONTRACTS = (
    APPS / "knowledge/contracts/artifacts/KnowledgePay.json",
    APPS / "knowledge/contracts/artifacts/KnowledgeRegistry.json",
    APPS / "inference/contracts/artifacts/InferenceMeter.json",
    APPS / "data_market/contracts/artifacts/PayVault.json",
)

GAS, GAS_EACH_KEY, GAS_EACH_DOCUMENT = 400_000, 60_000, 60_000
"""More than a settlement takes, and each key and each document of it."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the chain knows of a document."""

    owner: str
    number: int
    """In the order of registration, from 1."""
    chunks: int
    max_run: int
    """Longest passage of it in one answer [letters and digits]."""
    budget: int
    """Of it for one asker, in all answers [letters and digits]."""
    removed: bool


class KnowledgeChain:
    """The contracts by the account that they are asked and told as; every question blocks."""

    def __init__(
        self, url: str, account: LocalAccount, address: str, daemon: Daemon | None = None
    ) -> None:
        """
        Reach them; where they are bound to an app, the app's daemon settles epochs.

        Raises
        ------
        GatewayAway, ContractRefused
            The gateway does not answer; there are no such contracts.
        """
        self.account, self.address, self._daemon = account, address, daemon
        self._own, self._public = (
            ChainAccount(url, account, ERRORS),
            ChainAccount(url, None, ERRORS),
        )
        self._made = self._own.contract(PAY, address)
        self._pay = self._made.functions
        self._asked_pay = asked = self._public.contract(PAY, address).functions
        self.registry = str(self._public.ask(asked.registry()))
        meter, vault = self._public.ask(asked.meter()), self._public.ask(asked.vault())
        self.answer_wei = int(self._public.ask(asked.answerWei()))
        self.app = bytes(self._public.ask(asked.app()))
        self.chain_id = self._public.chain_id()
        self._registry = self._own.contract(REGISTRY, self.registry).functions
        self._asked = self._public.contract(REGISTRY, self.registry).functions
        self._meter = self._own.contract(METER, meter).functions
        self._asked_meter = self._public.contract(METER, meter).functions
        self._vault = self._own.contract(VAULT, vault).functions

    @classmethod
    def deploy(
        cls,
        url: str,
        account: LocalAccount,
        service: str | None,
        answer_wei: int,
        app: bytes = NO_APP,
    ) -> "KnowledgeChain":
        """
        Make the contracts, with the price of an answer [wei].

        Either a service's account settles its epochs, or instances of `app`, 21 bytes, who name
        their account themselves.
        """
        chain = ChainAccount(url, account, ERRORS)
        return cls(url, account, chain.deploy(PAY, service or NOBODY, app, answer_wei))

    # -- documents ----------------------------------------------------------------------------

    def document(self, commitment: bytes) -> Registered:
        """Look a document up. Raises `ContractRefused`, `UnknownDocument`."""
        return Registered(*self._public.ask(self._asked.documentOf(commitment)))

    def are_there(self, commitments: Sequence[bytes]) -> list[bool]:
        """Say which documents are registered and not removed; a thousand in one question."""
        return list(self._public.ask(self._asked.areThere(list(commitments))))

    def register(self, commitment: bytes, chunks: int, max_run: int, budget: int) -> None:
        """Commit to a document, as its owner from then on."""
        self._own.tell(self._registry.register(commitment, chunks, max_run, budget))

    def remove(self, commitment: bytes) -> None:
        """Take a document back: the next answer is made without it."""
        self._own.tell(self._registry.remove(commitment))

    # -- money --------------------------------------------------------------------------------

    def deposit(self, key_hash: bytes, amount_wei: int) -> None:
        """Pay in for an API key, by its SHA-256."""
        self._own.tell(self._meter.deposit(key_hash), amount_wei)

    def my_credit_wei(self, key_hash: bytes) -> int:
        """Give what is left of a key's credit, as its payer."""
        return int(self._own.ask(self._meter.credit(key_hash)))

    def my_pay_wei(self) -> int:
        """Give what the account has earned and not yet taken; nobody else can ask."""
        return int(self._own.ask(self._vault.myPay()))

    def withdraw(self, amount_wei: int) -> None:
        """Take what was earned."""
        self._own.tell(self._vault.withdraw(self.account.address, amount_wei))

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        self._own.send_wei(to, amount_wei)

    # -- as the app ---------------------------------------------------------------------------

    def introduce(self) -> None:
        """Name this account to contracts that are bound to the app; raises as `commit`."""
        is_known = str(self._public.ask(self._asked_pay.service())) == self.account.address
        if self.app != NO_APP and not is_known:
            self._tell_as_instance("serveAs", [self.account.address], GAS)

    def credit_wei(self, key_hash: bytes) -> int:
        """Give what a key may still spend; nothing after a notice."""
        return int(self._own.ask(self._pay.spendable(key_hash)))

    def next_epoch(self) -> int:
        """Give the number of the epoch that is to be committed to."""
        return int(self._public.ask(self._asked_meter.nextEpoch()))

    def commit(self, epoch: Epoch) -> None:
        """Charge an epoch and pay the owners of what its answers were made from; once."""
        left = {owner: int(self._own.ask(self._pay.creditOf(owner))) for owner, _ in epoch.charges}
        pays = pays_of(epoch, left)
        arguments = [
            *(epoch.number, epoch.root, len(epoch.leaves)),
            *([owner for owner, _ in epoch.charges], [wei for _, wei in epoch.charges]),
            *(list(pays), list(pays.values())),
        ]
        if self.app == NO_APP:
            self._own.tell(self._pay.settle(*arguments))
            return
        gas = GAS + GAS_EACH_KEY * len(epoch.charges) + GAS_EACH_DOCUMENT * len(pays)
        self._tell_as_instance("settle", arguments, gas)

    def root_of(self, number: int) -> bytes:
        """Give the root that an epoch was settled with, 32 bytes."""
        return bytes(self._public.ask(self._asked_meter.epochs(number))[0])

    def _tell_as_instance(self, name: str, arguments: list[Any], gas: int) -> None:
        if self._daemon is None:
            raise ContractRefused("that anybody but an instance of its app does this")
        try:
            tell(self._daemon, self._made, name, arguments, gas)
        except CallRefused as error:
            raise ContractRefused(_NAMES.get(error.data[:4].hex(), error.message)) from error


def pays_of(epoch: Epoch, credit_wei: dict[bytes, int]) -> dict[bytes, int]:
    """
    What each document earned in an epoch [wei], by commitment, rising.

    A payer whose credit is less than what he used pays what there is: he closed the account, and
    the service was away for the hour of his notice. What he owes to documents is paid first.
    """
    found: dict[bytes, int] = {}
    for payer, _ in epoch.charges:
        owed = {document: wei for owner, document, wei in epoch.pays if owner == payer}
        whole = sum(owed.values())
        paid = min(whole, credit_wei[payer])
        parts = split_pot(paid, list(owed.values())) if whole else ()
        for document, wei in zip(owed, parts, strict=True):
            found[document] = found.get(document, 0) + wei
    return dict(sorted(found.items()))


def _refused(error: ContractLogicError) -> ContractRefused:
    if isinstance(error, ContractCustomError):
        data = str(error.data)
        return ContractRefused(_NAMES.get(data[2:10], data))
    return ContractRefused(str(error.message))


def _names_of_errors() -> dict[str, str]:
    entries = (one for path in CONTRACTS for one in load_artifact(path)["abi"])
    errors = (one for one in entries if one["type"] == "error")
    return {
        keccak256(f"{one['name']}({','.join(field['type'] for field in one['inputs'])})".encode())[
            :4
        ].hex(): one["name"]
        for one in errors
    }


_NAMES = _names_of_errors()
ERRORS = Errors(GatewayAway, _refused, lambda: ContractRefused("that the transaction failed"))
