"""What an app's instances tell contracts that take it from nobody else (`onlyApp`)."""

from typing import Any, Protocol

from web3.contract import Contract

NO_APP = bytes(21)
"""For contracts that take an account's word instead; for daemons without a network."""
NOBODY = "0x" + 40 * "0"
"""As a contract's service, until an instance names the app's account."""
MOST_GAS = 14_000_000
"""Of one transaction: less than a block holds."""


class Daemon(Protocol):
    """The app daemon; `apps.appd.BlockingAppd` is it."""

    def submit(self, to: str, data: bytes, gas: int) -> bytes:
        """Send a contract a transaction as this instance; raises `CallRefused`, `AppdAway`."""
        ...


def tell(daemon: Daemon, contract: Contract, name: str, arguments: list[Any], gas: int) -> bytes:
    """
    Have the daemon sign and send a call, encrypted, until it is mined; raises as it does.

    Gives what the contract returns.
    """
    data = bytes.fromhex(str(contract.encode_abi(name, arguments)).removeprefix("0x"))
    return daemon.submit(contract.address, data, min(gas, MOST_GAS))
