"""Who is funded at genesis: the network file's accounts, or what the command line says."""

from dataclasses import dataclass

from qanat.accounts import TEST_MNEMONIC, Account, BadAccounts, derive_accounts
from qanat.network import Network
from shared.crypto.address import decode_address

ADDRESS_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Funding:
    """Accounts with the same number of tokens each."""

    accounts: tuple[Account, ...]
    tokens: int
    mnemonic: str | None
    is_known: bool = False
    """Whether the mnemonic is one that everybody knows: the well-known, or the network file's."""

    @property
    def test_keys(self) -> tuple[str, ...]:
        """Keys that are nobody's secret, in hex."""
        return tuple(one.private_key for one in self.accounts if self.is_known and one.private_key)

    def balances(self) -> dict[str, int]:
        """Address to whole tokens."""
        return {account.address: self.tokens for account in self.accounts}


def choose_funding(
    network: Network, *, to: str | None, count: int | None, amount: str | None
) -> Funding:
    """
    Read the options of sapphire-localnet.

    Parameters
    ----------
    to : `str`, optional
        A mnemonic, or one or more `0x…` addresses separated by commas or spaces.
    count : `int`, optional
        How many accounts of the mnemonic.
    amount : `str`, optional
        Whole tokens; underscores are allowed.

    Raises
    ------
    BadAccounts
        `to` is neither, or `amount` is no positive number.
    """
    tokens = network.accounts.amount if amount is None else _tokens(amount)
    words = network.accounts.mnemonic if not to else to.strip()
    parts = words.replace(",", " ").split()
    if all(part.startswith(("0x", "oasis1")) for part in parts):
        return Funding(tuple(Account(_address(part), None) for part in parts), tokens, None)
    accounts = derive_accounts(words, network.accounts.count if count is None else count)
    is_known = words in (network.accounts.mnemonic, TEST_MNEMONIC)
    return Funding(accounts, tokens, words, is_known)


def _tokens(amount: str) -> int:
    try:
        tokens = int(amount)
    except ValueError:
        raise BadAccounts(f"amount {amount!r} is not a whole number of tokens") from None
    if tokens < 0:
        raise BadAccounts(f"amount {amount!r} is negative")
    return tokens


def _address(text: str) -> str:
    if text.startswith("oasis1"):
        decode_address(text)
        raise BadAccounts(
            f"{text}: an oasis1… address cannot hold EVM tokens at genesis; give its 0x… address"
        )
    digits = text.removeprefix("0x")
    if len(digits) != ADDRESS_DIGITS or not set(digits.lower()) <= set("0123456789abcdef"):
        raise BadAccounts(f"{text!r} is not an address of 20 bytes")
    return text
