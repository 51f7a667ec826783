"""Which request is answered how: sealed, signed, handed on as it is, or not at all."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from qanat.view.calls import Calls, to_hex
from qanat.view.chain import Chain
from qanat.view.errors import BadParameters, NotAnswered
from qanat.view.exploring import Exploring
from qanat.view.gateway import Gateway, Headers
from qanat.view.journal import Journal
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from qanat.view.looking import Looking
from qanat.view.passed import PLAIN_CALLS, RAW_TRANSACTIONS, may_pass
from qanat.view.sending import Sending
from qanat.view.tracing import Tracing
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.parameters import BadParameter, address, data
from services.gateway.rpc.shapes import show_checksummed
from services.gateway.transactions import encode
from services.gateway.typed_data import hash_typed_data
from shared.crypto.hashes import keccak256
from shared.crypto.signing import Signer

MAX_NAME_CHARACTERS = 64
Handler = Callable[..., Awaitable[Any]]


class Answers:
    """Answers of the endpoint, by method."""

    def __init__(
        self,
        gateway: Gateway,
        chain: Chain,
        keys: Keyring,
        leaks: LeakLog,
        *,
        passes_foreign: bool = False,
        debug_key: Signer | None = None,
    ) -> None:
        """
        Answer for some keys.

        Parameters
        ----------
        passes_foreign : `bool`
            Whether transactions of foreign keys pass in plain, or are refused.
        debug_key : `Signer`, optional
            The network's, by which a confidential ParaTime shows what strangers do not see.
        """
        self._gateway, self._chain, self._keys, self.journal = gateway, chain, keys, Journal()
        owner = None
        if debug_key is not None and chain.is_confidential:
            owner = Looking(gateway, leaks, debug_key)
        calls = Calls(gateway, chain, keys, leaks, owner)
        sending = Sending(
            gateway, chain, keys, calls, leaks, self.journal, passes_foreign=passes_foreign
        )
        self._handlers: dict[str, tuple[Handler, str]] = {
            "eth_accounts": (self._accounts, ""),
            "eth_requestAccounts": (self._accounts, ""),
            "eth_call": (calls.call, "request block? overrides? blockOverrides?"),
            "eth_estimateGas": (calls.estimate, "request block? overrides? blockOverrides?"),
            "eth_sendTransaction": (sending.send, "transaction"),
            "eth_fillTransaction": (sending.fill, "transaction"),
            "eth_signTransaction": (sending.sign, "transaction"),
            "eth_sendRawTransaction": (sending.send_raw, "raw"),
            "eth_sendRawTransactionSync": (sending.send_raw_sync, "raw wantedMs?"),
            "eth_sign": (self._sign, "account message"),
            "eth_signTypedData": (self._sign_typed, "account data"),
            "eth_signTypedData_v4": (self._sign_typed, "account data"),
            "web3_sha3": (self._hash, "message"),
            "personal_sign": (self._personal_sign, "message account password?"),
        }
        """What answers a method, and its parameters; `?` may be left out."""
        if debug_key is not None and owner is not None:
            tracing = Tracing(gateway, self.journal, debug_key)
            self._handlers |= owner.handlers()
            self._handlers |= tracing.handlers()
            self._handlers |= Exploring(gateway, self.journal, tracing).handlers()

    async def answer(self, method: str, params: Any, headers: Headers) -> Any:
        """
        Answer one request; its result.

        Raises
        ------
        QanatError
            The gateway refused it or is silent, or it is not answered here.
        """
        handler, names = self._handlers.get(method, (None, ""))
        if handler is None:
            return await self._pass(method, params, headers)
        try:
            return await handler(headers, *_in_order(params, names.split()))
        except BadParameter as error:
            raise BadParameters(f"invalid argument: {error}") from None

    async def _pass(self, method: str, params: Any, headers: Headers) -> Any:
        if not may_pass(method, is_confidential=self._chain.is_confidential):
            text = f"the method {method[:MAX_NAME_CHARACTERS]} does not exist/is not available"
            if method in PLAIN_CALLS:
                text += ": its calldata would be seen by the gateway, which cannot answer it, as"
                text += " this ParaTime is confidential, and the network's debug key is not here"
            raise NotAnswered(text)
        asked, params = _first(params)
        sent = None if asked is None else self.journal.find_shown(asked)
        if sent is not None and sent.shown_hash != sent.chain_hash:
            if method in RAW_TRANSACTIONS:
                return to_hex(encode(sent.plain))
            params = [sent.chain_hash, *params[1:]]
        return self.journal.show(await self._gateway.ask(method, params, headers), asked)

    # -- accounts ------------------------------------------------------------------------------

    async def _accounts(self, _: Headers) -> list[str]:
        return [show_checksummed(one) for one in self._keys.addresses]

    async def _hash(self, _: Headers, message: Any) -> str:
        # Tools hash calldata by it.
        return to_hex(keccak256(data(message)))

    async def _sign(self, _: Headers, account: Any, message: Any) -> str:
        return to_hex(self._keys.sign_message(address(account), data(message)))

    async def _sign_typed(self, _: Headers, account: Any, untrusted: Any) -> str:
        if type(untrusted) is str:
            try:
                untrusted = orjson.loads(untrusted)
            except orjson.JSONDecodeError:
                raise BadParameter("typed data is an object, or its JSON") from None
        return to_hex(self._keys.sign(address(account), hash_typed_data(untrusted)))

    async def _personal_sign(self, headers: Headers, message: Any, account: Any, *_: Any) -> str:
        return await self._sign(headers, account, message)


def _first(params: Any) -> tuple[str | None, Any]:
    """Give the first parameter if it is a text, such as a hash; and the parameters."""
    if type(params) is dict and len(params) == 1:
        # A hash that came by name.
        params = list(params.values())
    if type(params) is list and params and type(params[0]) is str:
        return params[0], params
    return None, params or []


def _in_order(untrusted: Any, names: list[str]) -> list[Any]:
    """Give parameters by position, also where they came by name."""
    if type(untrusted) is dict:
        given = fold_names(untrusted)
        untrusted = [given.pop(name.rstrip("?").lower(), None) for name in names]
        if given:
            unknown = min(given)[:MAX_NAME_CHARACTERS]
            raise BadParameters(f"unknown parameter {unknown!r}: there are {', '.join(names)}")
    if untrusted is None:
        untrusted = []
    if type(untrusted) is not list:
        raise BadParameters("non-array args")
    if len(untrusted) > len(names):
        raise BadParameters(f"too many arguments, want at most {len(names)}")
    for position, name in enumerate(names):
        if not name.endswith("?") and (position >= len(untrusted) or untrusted[position] is None):
            raise BadParameters(f"missing value for required argument {position}")
    return untrusted
