"""The owner of attested apps: an Ethereum account that tells the chain what they are."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qanat.accounts import TEST_MNEMONIC, BadAccounts, derive_accounts
from qanat.paratime.signing import open_result, sign_call
from qanat.view.gateway import Gateway, GatewayRefused
from shared.encoding import cbor
from shared.errors import Rejected, RuntimeRejected, Unavailable
from shared.rules.transaction_keys import EthereumKey
from shared.types.sdk_transaction import Call

DEFAULT_ACCOUNT = "test:0"
BASE_GAS, GAS_PER_BYTE = 300_000, 20
"""A change of an app costs 100,000 gas and what its bytes cost."""
PATIENCE_S = 30.0
POLL_S = 0.1
CREATED_BY_NONCE, CREATED_BY_PLACE = 1, 0
SCHEMES = {"cn": CREATED_BY_NONCE, "cri": CREATED_BY_PLACE}
_CODES = {
    1: "the chain says that an argument is invalid",
    2: "the chain knows no such app: was it removed, or the network wiped?",
    10: "there is an app of this id already",
    11: "the app has another admin than this account",
    14: "the policy's endorsements nest too deeply",
    15: "the policy has too many endorsements",
    16: "the policy lets registrations last too long",
}
"""Of the module `rofl`, in words of who reads them."""


class AppRefused(Rejected, module="rofl_cli", code=4):
    """The chain does not do what the owner asked for."""


class NotMined(Unavailable, module="rofl_cli", code=5):
    """The transaction is in no block yet."""


class NoAccount(Rejected, module="rofl_cli", code=6):
    """No key for the account that was named."""


@dataclass(frozen=True, slots=True)
class AppState:
    """What the chain knows of an app."""

    app: dict[str, Any]
    """`{id, policy, admin, stake, metadata, secrets, sek}`"""
    instances: list[dict[str, Any]]


def find_account(name: str, key_file: Path | None = None) -> EthereumKey:
    """Give the account of `find_secret`."""
    return EthereumKey(find_secret(name, key_file))


def find_secret(name: str, key_file: Path | None = None) -> bytes:
    """
    Give the key of an account that a command names, 32 bytes.

    It is `test:N` of the test mnemonic, or the key in a file.

    Raises
    ------
    NoAccount
        There is neither.
    """
    try:
        if key_file is not None:
            found = bytes.fromhex(key_file.read_text().strip().removeprefix("0x"))
            EthereumKey(found)
            return found
        kind, _, index = name.partition(":")
        if kind != "test" or not index.isascii() or not index.isdigit() or int(index) > 99:
            raise NoAccount(
                f"{name!r} is no account: name test:0 to test:99, or a file with --key-file"
            )
        account = derive_accounts(TEST_MNEMONIC, int(index) + 1)[-1]
        return bytes.fromhex((account.private_key or "").removeprefix("0x"))
    except (OSError, ValueError, BadAccounts, RuntimeRejected) as error:
        # The text of the error might quote a key, so only its kind is told.
        place = key_file or name
        raise NoAccount(f"{place} is no key of an account: {type(error).__name__}") from None


class Owner:
    """One account at one gateway."""

    def __init__(self, gateway: Gateway, account: EthereumKey | None = None) -> None:
        """Name the gateway; without an account, what anybody may ask."""
        self._gateway, self.account = gateway, account

    async def __aenter__(self) -> Self:
        """Use it as a context."""
        await self._gateway.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close connections."""
        await self._gateway.__aexit__(kind, error, at)

    # -- asking --------------------------------------------------------------------------------

    async def fetch_app(self, app_id: bytes) -> AppState:
        """Ask for an app and its instances; raises `AppRefused` where there is none."""
        app = await self._query("rofl.App", {"id": app_id})
        return AppState(app, await self._query("rofl.AppInstances", {"id": app_id}))

    async def fetch_apps(self) -> list[dict[str, Any]]:
        """Ask for all apps."""
        found: list[dict[str, Any]] = await self._query("rofl.Apps", None)
        return found

    # -- telling -------------------------------------------------------------------------------

    async def create(self, policy: dict[str, Any], metadata: dict[str, str], scheme: int) -> bytes:
        """Make an app, which locks a stake; its id. Raises `AppRefused`, `NotMined`."""
        body = {"policy": policy, "scheme": scheme, "metadata": metadata}
        return bytes(await self._tell("rofl.Create", body))

    async def update(self, app_id: bytes, body: dict[str, Any]) -> None:
        """Replace policy, metadata, secrets and admin of an app; raises as `create`."""
        await self._tell("rofl.Update", {"id": app_id} | body)

    async def remove(self, app_id: bytes) -> None:
        """Remove an app, and with it its keys for ever; the stake comes back."""
        await self._tell("rofl.Remove", {"id": app_id})

    # -- below ---------------------------------------------------------------------------------

    async def _query(self, method: str, args: Any) -> Any:
        try:
            answer = await self._ask("oasis_query", method, _hex(cbor.encode(args)))
        except GatewayRefused as error:
            raise AppRefused(error.message) from None
        return cbor.decode(bytes.fromhex(answer[2:]))

    async def _tell(self, method: str, body: Any) -> Any:
        if self.account is None:
            raise NoAccount("nobody was named who could sign")
        info, price = await self._ask("oasis_runtimeInfo"), await self._ask("eth_gasPrice")
        gas = BASE_GAS + GAS_PER_BYTE * len(cbor.encode(body))
        raw = sign_call(
            self.account,
            Call(body, method),
            nonce=await self._query("accounts.Nonce", {"address": self.account.address}),
            runtime_id=bytes.fromhex(info["runtimeId"][2:]),
            chain_context=info["chainContext"],
            gas=gas,
            fee=gas * int(price, 16),
        )
        try:
            hash_ = await self._ask("oasis_sendRawTransaction", _hex(raw))
        except GatewayRefused as error:
            raise AppRefused(f"{method} was not admitted: {error.message}") from None
        result = await self._await_result(hash_)
        try:
            return open_result(bytes.fromhex(result["result"][2:]), None)
        except RuntimeRejected as error:
            raise _refusal(error.module, error.code, error.message) from None

    async def _await_result(self, hash_: str) -> Any:
        for _ in range(int(PATIENCE_S / POLL_S)):
            found = await self._ask("oasis_getTransactionResult", hash_)
            if found is not None:
                return found
            await asyncio.sleep(POLL_S)
        raise NotMined(f"{hash_} is in no block after {PATIENCE_S:g} s")

    async def _ask(self, method: str, *params: Any) -> Any:
        return await self._gateway.ask(method, list(params), {})


def _refusal(module: str, code: Any, message: str) -> AppRefused:
    if module == "rofl" and code in _CODES:
        return AppRefused(_CODES[code])
    if module == "accounts":
        return AppRefused("the account has too little for the stake of an app and the fee")
    return AppRefused(f"{module} {code}: {message}")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
