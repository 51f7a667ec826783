"""Calls and estimates: sealed, and signed where the sender is one of ours."""

from typing import Any

from qanat.view.chain import Chain
from qanat.view.envelopes import Query, Sealed, is_sealed, open_answer, pack_query, seal
from qanat.view.errors import NeedsDebugKey
from qanat.view.gateway import Gateway, GatewayRefused, Headers, read_answer
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from qanat.view.looking import GAS, GAS_PRICE_WEI, Looking
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import data

TRIES = 3
"""How often a call is sealed anew: the epoch may end, and the chain go on, under it."""
STALE = ("core: invalid call format", "evm: invalid signed simulate call query")
"""Beginnings of errors of a call that was sealed or signed for what is no more."""
NO_OVERRIDES = (
    "overrides and authorizations need the network's debug key on a confidential ParaTime: with "
    "code of his own in a contract's place anybody would read its storage"
)


class Calls:
    """Questions to contracts."""

    def __init__(
        self,
        gateway: Gateway,
        chain: Chain,
        keys: Keyring,
        leaks: LeakLog,
        owner: Looking | None = None,
    ) -> None:
        """Ask a gateway; `owner` where the network's debug key is here."""
        self._gateway, self._chain, self._keys, self._leaks = gateway, chain, keys, leaks
        self._owner = owner

    async def call(
        self,
        headers: Headers,
        request: Any,
        block: Any = None,
        overrides: Any = None,
        block_overrides: Any = None,
    ) -> Any:
        """Call; what the contract returned."""
        call, block = call_request(request), block or "latest"
        pretended = _without_nothing(overrides, block_overrides)
        if not self._chain.is_confidential:
            return await self._gateway.ask("eth_call", [request, block, *pretended], headers)
        if pretended or call.authorizations:
            owner = self._require_owner()
            return to_hex(await owner.call(headers, call, block, overrides, block_overrides))
        is_ours = call.caller in self._keys
        if self.is_open(call.data) and not is_ours:
            return await self._gateway.ask("eth_call", [request, block], headers)
        what = "sealed and signed" if is_ours else "sealed; its sender is nobody, unsigned"
        self._leaks.note("eth_call", call.to, call.data, what)
        tries = TRIES
        while True:
            tries -= 1
            try:
                return await self._call_sealed(headers, request, call, block)
            except GatewayRefused as error:
                if tries == 0 or not error.message.startswith(STALE):
                    raise

    async def _call_sealed(
        self, headers: Headers, request: Any, call: CallRequest, block: Any
    ) -> str:
        shown = without_data(request)
        if call.caller is None or call.caller not in self._keys:
            sealed = seal(call.data, await self._chain.fetch_key(block, headers))
            return await self._open(headers, shown | {"data": to_hex(sealed.data)}, block, sealed)
        standing = await self._chain.fetch_standing(call.caller, block, headers)
        sealed = seal(call.data, standing.key)
        packed = sealed.data
        if standing.leash is not None:
            query = Query(
                chain_id=standing.chain_id,
                caller=call.caller,
                to=call.to,
                gas=GAS if call.gas is None else call.gas,
                gas_price=GAS_PRICE_WEI if call.gas_price is None else call.gas_price,
                value=call.value or 0,
                data=call.data,
            )
            # What is signed is named, so that no gateway fills in something else.
            shown |= {"gas": hex(query.gas), "gasPrice": hex(query.gas_price)}
            packed = pack_query(query, standing.leash, sealed, self._keys.secret_of(call.caller))
        return await self._open(headers, shown | {"data": to_hex(packed)}, block, sealed)

    async def _open(self, headers: Headers, request: Any, block: Any, sealed: Sealed) -> str:
        answer = read_answer(data, await self._gateway.ask("eth_call", [request, block], headers))
        return to_hex(open_answer(answer, sealed.key))

    async def estimate(
        self,
        headers: Headers,
        request: Any,
        block: Any = None,
        overrides: Any = None,
        block_overrides: Any = None,
    ) -> Any:
        """Estimate the gas of a transaction whose calldata is sealed."""
        call, block = call_request(request), block or "latest"
        pretended = _without_nothing(overrides, block_overrides)
        if not self._chain.is_confidential:
            return await self._gateway.ask("eth_estimateGas", [request, block, *pretended], headers)
        if pretended or call.authorizations:
            return await self._estimate_as_owner(headers, call, block, overrides, block_overrides)
        if not self.is_open(call.data):
            self._leaks.note("eth_estimateGas", call.to, call.data, "sealed")
            request = await self.seal_request(headers, request, call)
        return await self._gateway.ask("eth_estimateGas", [request, block], headers)

    async def _estimate_as_owner(
        self, headers: Headers, call: CallRequest, block: Any, overrides: Any, block_overrides: Any
    ) -> str:
        owner, calldata = self._require_owner(), call.data
        if not self.is_open(calldata):
            # The transaction will carry an envelope, and pay for its bytes.
            calldata = seal(calldata, await self._chain.fetch_key("latest", headers)).data
        gas = await owner.estimate(headers, call, calldata, block, overrides, block_overrides)
        return hex(gas)

    def _require_owner(self) -> Looking:
        if self._owner is None:
            raise NeedsDebugKey(NO_OVERRIDES)
        return self._owner

    async def seal_request(
        self, headers: Headers, request: dict[str, Any], call: CallRequest
    ) -> dict[str, Any]:
        """Give a request with an envelope in the place of its calldata."""
        sealed = seal(call.data, await self._chain.fetch_key("latest", headers))
        return without_data(request) | {"data": to_hex(sealed.data)}

    def is_open(self, calldata: bytes) -> bool:
        """Say whether there is nothing to hide: none, hidden already, or a public ParaTime."""
        return not calldata or not self._chain.is_confidential or is_sealed(calldata)


def _without_nothing(*pretended: Any) -> list[Any]:
    """Give what a call pretends, as it goes on; an empty list where that is nothing."""
    return list(pretended) if any(pretended) else []


def to_hex(raw: bytes) -> str:
    """Bytes as `0x…`."""
    return "0x" + raw.hex()


def without_data(request: dict[str, Any]) -> dict[str, Any]:
    """Give a call object without its calldata, by whichever name and in whichever case it came."""
    return {name: one for name, one in request.items() if name.lower() not in ("data", "input")}
