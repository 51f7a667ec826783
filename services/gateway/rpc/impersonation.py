"""
Impersonation: whose transactions `eth_sendTransaction` makes without a key, for test suites.

They are dev controls. What is sent so is signed by the network's owner in the sender's stead.
"""

from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import address, boolean

MAX_IMPERSONATED = 10_000
"""Accounts that are impersonated at a time."""


class Impersonations:
    """Who is impersonated; one gateway's, and forgotten when it ends."""

    def __init__(self) -> None:
        self._accounts: set[bytes] = set()
        self._is_everybody = False

    def __contains__(self, account: bytes) -> bool:
        """Say whether an account is impersonated."""
        return self._is_everybody or account in self._accounts

    @also("anvil_impersonateAccount")
    @rpc_method("hardhat_impersonateAccount", address)
    async def impersonate(self, account: bytes) -> bool:
        """Let `eth_sendTransaction` send for an account whose key nobody has."""
        if len(self._accounts) >= MAX_IMPERSONATED:
            raise QueryRejected(f"{MAX_IMPERSONATED} accounts are impersonated already")
        self._accounts.add(account)
        return True

    @also("anvil_stopImpersonatingAccount")
    @rpc_method("hardhat_stopImpersonatingAccount", address)
    async def stop(self, account: bytes) -> bool:
        """Let it do so no longer; whether it did."""
        was_there = account in self._accounts
        self._accounts.discard(account)
        return was_there

    @also("hardhat_autoImpersonateAccount")
    @rpc_method("anvil_autoImpersonateAccount", boolean)
    async def impersonate_everybody(self, enabled: bool) -> None:
        """Let `eth_sendTransaction` send for everybody, or for those who are named."""
        self._is_everybody = enabled
