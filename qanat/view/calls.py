"""Calls and estimates: sealed, and signed where the sender is one of ours."""

from typing import Any

from qanat.view.chain import Chain
from qanat.view.envelopes import Query, Sealed, is_sealed, open_answer, pack_query, seal
from qanat.view.gateway import Gateway, GatewayRefused, Headers, read_answer
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import data

GAS = 30_000_000
GAS_PRICE_WEI = 1
"""What a call that names none is signed over: what a gateway fills in."""
TRIES = 3
"""How often a call is sealed anew: the epoch may end, and the chain go on, under it."""
STALE = ("core: invalid call format", "evm: invalid signed simulate call query")
"""Beginnings of errors of a call that was sealed or signed for what is no more."""


class Calls:
    """Questions to contracts."""

    def __init__(self, gateway: Gateway, chain: Chain, keys: Keyring, leaks: LeakLog) -> None:
        self._gateway, self._chain, self._keys, self._leaks = gateway, chain, keys, leaks

    async def call(self, headers: Headers, request: Any, block: Any = None, *_: Any) -> Any:
        """Call; what the contract returned. Overrides have no effect, as at the gateway."""
        call, block = call_request(request), block or "latest"
        is_ours = call.caller in self._keys
        if self.is_open(call.data) and not (is_ours and self._chain.is_confidential):
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

    async def estimate(self, headers: Headers, request: Any, block: Any = None, *_: Any) -> Any:
        """Estimate the gas of a transaction whose calldata is sealed."""
        call = call_request(request)
        if not self.is_open(call.data):
            self._leaks.note("eth_estimateGas", call.to, call.data, "sealed")
            request = await self.seal_request(headers, request, call)
        return await self._gateway.ask("eth_estimateGas", [request, block or "latest"], headers)

    async def seal_request(
        self, headers: Headers, request: dict[str, Any], call: CallRequest
    ) -> dict[str, Any]:
        """Give a request with an envelope in the place of its calldata."""
        sealed = seal(call.data, await self._chain.fetch_key("latest", headers))
        return without_data(request) | {"data": to_hex(sealed.data)}

    def is_open(self, calldata: bytes) -> bool:
        """Say whether there is nothing to hide: none, hidden already, or a public ParaTime."""
        return not calldata or not self._chain.is_confidential or is_sealed(calldata)


def to_hex(raw: bytes) -> str:
    """Bytes as `0x…`."""
    return "0x" + raw.hex()


def without_data(request: dict[str, Any]) -> dict[str, Any]:
    """Give a call object without its calldata, by whichever name and in whichever case it came."""
    return {name: one for name, one in request.items() if name.lower() not in ("data", "input")}
