"""
`InferenceMeter`, as the service, a payer or anybody sees it; encrypted by `oasis-sapphire-py`.

Source: `contracts/src/InferenceMeter.sol`.
"""

from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractLogicError

from apps.account import ChainAccount, Errors
from apps.appd import Appd
from apps.errors import CallRefused
from apps.inference.errors import ChainAway, ChainRefused
from apps.inference.metering.usage import Epoch
from apps.instance import NO_APP, NOBODY, Daemon, tell

ARTIFACT = Path(__file__).resolve().parent.parent / "contracts/artifacts/InferenceMeter.json"
_ACCOUNT_KEY = "qanat.inference/meter/1"
GAS, GAS_EACH = 400_000, 50_000
"""More than an epoch takes, and each key of it."""


class ChainMeter:
    """The contract by the account that it is asked and told as. It blocks."""

    def __init__(
        self, url: str, account: LocalAccount, address: str, daemon: Daemon | None = None
    ) -> None:
        """Reach it; where it is bound to an app, the app's daemon charges epochs."""
        self.account, self.address = account, address
        self._chain, self._daemon = ChainAccount(url, account, ERRORS), daemon
        self._made = self._chain.contract(ARTIFACT, address)
        self._contract = self._made.functions
        self._is_bound = bytes(self._chain.ask(self._contract.app())) != NO_APP

    @classmethod
    def deploy(
        cls, url: str, account: LocalAccount, service: str | None, app: bytes = NO_APP
    ) -> "ChainMeter":
        """
        Make a contract, or raise `ChainAway` or `ChainRefused`.

        Either a service's account charges its epochs, or instances of `app`, 21 bytes, who name
        their account themselves.
        """
        chain, named = ChainAccount(url, account, ERRORS), service or NOBODY
        return cls(url, account, chain.deploy(ARTIFACT, Web3.to_checksum_address(named), app))

    def introduce(self) -> None:
        """Name this account to a contract that is bound to the app; raises as `commit`."""
        if self._is_bound and self._chain.ask(self._contract.service()) != self.account.address:
            self._tell_as_instance("serveAs", [self.account.address], GAS)

    def credit_wei(self, key_hash: bytes) -> int:
        """Give what is left of a key's credit; zero to strangers, and after a notice."""
        if self._chain.ask(self._contract.noticeOf(key_hash)):
            return 0
        return int(self._chain.ask(self._contract.credit(key_hash)))

    def deposit(self, key_hash: bytes, amount_wei: int) -> None:
        """Pay in for a key."""
        self._chain.tell(self._contract.deposit(key_hash), amount_wei)

    def give_notice(self, key_hash: bytes) -> None:
        """Say that what is left is wanted back."""
        self._chain.tell(self._contract.giveNotice(key_hash))

    def next_epoch(self) -> int:
        """Give the number of the epoch that is to be committed to."""
        return int(self._chain.ask(self._contract.nextEpoch()))

    def commit(self, epoch: Epoch) -> None:
        """Charge an epoch, as the service; once, whatever is sent again."""
        hashes = [owner for owner, _ in epoch.charges]
        amounts = [amount for _, amount in epoch.charges]
        count = len(epoch.leaves)
        arguments = [epoch.number, epoch.root, count, hashes, amounts]
        if self._is_bound:
            self._tell_as_instance("commit", arguments, GAS + GAS_EACH * len(hashes))
        else:
            self._chain.tell(self._contract.commit(*arguments))

    def root_of(self, number: int) -> bytes:
        """Give the root that an epoch was committed to with, 32 bytes."""
        return bytes(self._chain.ask(self._contract.epochs(number))[0])

    def is_committed(self, epoch: Epoch, index: int) -> bool:
        """Ask the chain whether a receipt is one of an epoch."""
        call = self._contract.isCommitted(
            epoch.number, epoch.leaves[index], index, list(epoch.proof(index))
        )
        return bool(self._chain.ask(call))

    def earned_wei(self) -> int:
        """Give what was charged and not yet taken, as the service."""
        return int(self._chain.ask(self._contract.earned()))

    def send_wei(self, to: str, amount_wei: int) -> None:
        """Give another account what it needs for gas."""
        self._chain.send_wei(to, amount_wei)

    def _tell_as_instance(self, name: str, arguments: list[Any], gas: int) -> None:
        if self._daemon is None:
            raise ChainRefused("the contract is told this by instances of its app alone")
        try:
            tell(self._daemon, self._made, name, arguments, gas)
        except CallRefused as error:
            raise ChainRefused(f"the contract refuses: {error.message}") from error


async def service_account(appd_socket: Path) -> LocalAccount:
    """Derive the service's account, equal on each replica, or raise `AppdAway`."""
    appd = Appd(appd_socket)
    try:
        account: LocalAccount = Account.from_key(await appd.derive(_ACCOUNT_KEY, "secp256k1"))
        return account
    finally:
        await appd.close()


def _refused(error: ContractLogicError) -> ChainRefused:
    return ChainRefused(f"the contract refuses: {error.message or error.data}")


ERRORS = Errors(ChainAway, _refused, lambda: ChainRefused("the transaction failed"))
