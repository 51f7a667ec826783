"""
`InferenceMeter`, as the service, a payer or anybody sees it; encrypted by `oasis-sapphire-py`.

Source: `contracts/src/InferenceMeter.sol`.
"""

from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractLogicError

from apps.account import ChainAccount, Errors
from apps.appd import Appd
from apps.inference.errors import ChainAway, ChainRefused
from apps.inference.metering.usage import Epoch

ARTIFACT = Path(__file__).resolve().parent.parent / "contracts/artifacts/InferenceMeter.json"
_ACCOUNT_KEY = "qanat.inference/meter/1"


class ChainMeter:
    """The contract by the account that it is asked and told as. It blocks."""

    def __init__(self, url: str, account: LocalAccount, address: str) -> None:
        self.account, self.address = account, address
        self._chain = ChainAccount(url, account, ERRORS)
        self._contract = self._chain.contract(ARTIFACT, address).functions

    @classmethod
    def deploy(cls, url: str, account: LocalAccount, service: str) -> "ChainMeter":
        """Make a contract for a service's account, or raise `ChainAway` or `ChainRefused`."""
        chain = ChainAccount(url, account, ERRORS)
        return cls(url, account, chain.deploy(ARTIFACT, Web3.to_checksum_address(service)))

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
        self._chain.tell(self._contract.commit(epoch.number, epoch.root, count, hashes, amounts))

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
