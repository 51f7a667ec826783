"""
What shows storage of a confidential ParaTime: read for who holds the network's debug key.

Slots, calls that pretend, simulations and traces of what was never sent go to the enclave as sealed
questions (`qanat/view/asking.py`); to the tool it looks as on a public ParaTime.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from qanat.view.asking import ask_as_owner
from qanat.view.chain import header_request
from qanat.view.gateway import Gateway, GatewayRefused, GatewaySilent, Headers, read_answer
from qanat.view.leaks import LeakLog
from services.gateway.rpc.frames import TypedCalls, trace_types, traced_calls, typed_calls
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    address,
    any_block_id,
    data,
    hash32,
    quantity64,
    slot,
)
from services.gateway.rpc.pretences import TELLING_WHAT_IS_UNREADABLE, Pretences
from services.gateway.rpc.shapes import Json
from services.gateway.rpc.simulations import (
    Base,
    access_list_simulation,
    fill_gaps,
    show_access_list,
    show_simulation,
    simulation_of,
    state_overrides,
    telling_what_is_too_much,
    trace_options,
    traced_call,
    wanted_simulation,
)
from shared.crypto.signing import Signer
from shared.encoding.record import decode_record, encode_record
from shared.types.evm import (
    Amount,
    EvmCall,
    EvmQuery,
    StorageQuery,
    TraceQuery,
    Traces,
)
from shared.types.sight import Question

GENERAL_CODE = -32000
GAS = 30_000_000
GAS_PRICE_WEI = 1
"""What a call that names none is signed over and runs with: what a gateway fills in."""
SEALED = "sealed, and signed by the debug key"
Handler = Callable[..., Awaitable[Any]]


class Looking:
    """Answers on a confidential ParaTime that strangers do not get."""

    def __init__(self, gateway: Gateway, leaks: LeakLog, debug_key: Signer) -> None:
        self._gateway, self._leaks, self._debug_key = gateway, leaks, debug_key
        self._pretences = Pretences(confidential=False, strict=True)

    def handlers(self) -> Mapping[str, tuple[Handler, str]]:
        """Give what is answered by method, with parameters; `?` may be left out."""
        return {
            "eth_getStorageAt": (self._storage, "account slot block?"),
            "eth_createAccessList": (self._access_list, "request block? overrides?"),
            "eth_simulateV1": (self._simulate_blocks, "wanted block?"),
            "debug_traceCall": (self._trace_call, "request block options?"),
            "trace_call": (self._parity_call, "request types block?"),
            "trace_callMany": (self._parity_calls, "calls block?"),
            "trace_rawTransaction": (self._trace_raw, "raw types"),
        }

    # -- calls that pretend --------------------------------------------------------------------

    async def call(
        self, headers: Headers, request: CallRequest, block: Any, state: Any, seen: Any
    ) -> bytes:
        """Call with overrides of state and block; what the contract returned."""
        self._leaks.note("eth_call", request.to, request.data, SEALED)
        arguments = encode_record(self._as_record(request, request.data, state, seen))
        base = await self._find(headers, block)
        return await self._ask(EvmQuery.CALL, arguments, base)

    async def estimate(
        self,
        headers: Headers,
        request: CallRequest,
        calldata: bytes,
        block: Any,
        state: Any,
        seen: Any,
    ) -> int:
        """
        Estimate the gas of a transaction with overrides; of one that reverts, the revert [gas].

        `calldata` is the request's, sealed where it would be.
        """
        self._leaks.note("eth_estimateGas", request.to, request.data, SEALED)
        arguments = encode_record(self._as_record(request, calldata, state, seen))
        base = await self._find(headers, block)
        answer = await self._ask(EvmQuery.ESTIMATE_GAS_AS_SENDER, arguments, base)
        return decode_record(Amount, answer).value

    def _as_record(self, request: CallRequest, calldata: bytes, state: Any, seen: Any) -> EvmCall:
        return EvmCall(
            caller=request.caller or bytes(20),
            to=request.to,
            gas=GAS if request.gas is None else request.gas,
            gas_price=GAS_PRICE_WEI if request.gas_price is None else request.gas_price,
            value=request.value or 0,
            data=calldata,
            pretence=self._pretences.read(request, state, seen),
        )

    # -- storage -------------------------------------------------------------------------------

    async def _storage(self, headers: Headers, account: Any, at: Any, block: Any = None) -> str:
        query = StorageQuery(address(account), slot(at))
        base = await self._find(headers, block)
        return "0x" + (await self._ask(EvmQuery.STORAGE, encode_record(query), base)).hex()

    # -- simulations ---------------------------------------------------------------------------

    async def _access_list(
        self, headers: Headers, request: Any, block: Any = None, overrides: Any = None
    ) -> Json:
        wanted = call_request(request)
        state = None if overrides is None else state_overrides(overrides)
        self._leaks.note("eth_createAccessList", wanted.to, wanted.data, SEALED)
        base = await self._find(headers, block)
        ((outcome,),) = await self._simulate(access_list_simulation(wanted, state), base)
        return show_access_list(outcome)

    async def _simulate_blocks(self, headers: Headers, wanted: Any, block: Any = None) -> Any:
        simulation = wanted_simulation(wanted)
        base = await self._find(headers, block)
        blocks = fill_gaps(base, simulation)
        for one in blocks:
            for call in one.calls:
                self._leaks.note("eth_simulateV1", call.call.to, call.call.data, SEALED)
        with telling_what_is_too_much():
            ran = await self._run(simulation_of(base, blocks, simulation), base)
        return show_simulation(base, blocks, ran, simulation)

    async def _trace_call(
        self, headers: Headers, request: Any, block: Any, options: Any = None
    ) -> Any:
        wanted = call_request(request)
        simulation = traced_call(wanted, {} if options is None else trace_options(options))
        self._leaks.note("debug_traceCall", wanted.to, wanted.data, SEALED)
        ((outcome,),) = await self._simulate(simulation, await self._find(headers, block))
        return outcome["trace"]

    async def _parity_call(
        self, headers: Headers, request: Any, types: Any, block: Any = None
    ) -> Any:
        wanted = ((call_request(request), trace_types(types)),)
        (trace,) = await self._trace_many("trace_call", headers, wanted, block)
        return trace

    async def _parity_calls(self, headers: Headers, calls: Any, block: Any = None) -> list[Any]:
        return await self._trace_many("trace_callMany", headers, typed_calls(calls), block)

    async def _trace_many(
        self, method: str, headers: Headers, calls: TypedCalls, block: Any
    ) -> list[Any]:
        for call, _ in calls:
            self._leaks.note(method, call.to, call.data, SEALED)
        base = await self._find(headers, block)
        (outcomes,) = await self._simulate(traced_calls(calls), base)
        return [outcome["trace"] for outcome in outcomes]

    async def _trace_raw(self, headers: Headers, raw: Any, types: Any) -> Any:
        style = orjson.dumps({"parity": trace_types(types)})
        query = TraceQuery((data(raw),), bytes(32), 0, style)
        base = await self._find(headers, None)
        answer = await self._ask(EvmQuery.TRACE, encode_record(query), base)
        (traced,) = decode_record(Traces, answer).transactions
        return orjson.Fragment(traced.trace)

    # -- questions -----------------------------------------------------------------------------

    async def _simulate(self, simulation: Json, base: Base) -> list[list[Json]]:
        return [block["calls"] for block in await self._run(simulation, base)]

    async def _run(self, simulation: Json, base: Base) -> list[Json]:
        answer = await self._ask(EvmQuery.SIMULATE, orjson.dumps(simulation), base)
        blocks: list[Json] = orjson.loads(answer)
        return blocks

    async def _ask(self, method: str, arguments: bytes, base: Base) -> bytes:
        with TELLING_WHAT_IS_UNREADABLE:
            question = Question(method, arguments)
            return await ask_as_owner(self._gateway, self._debug_key, question, base.number)

    async def _find(self, headers: Headers, block: Any) -> Base:
        """Find the block on whose state a question is answered; the newest where none is named."""
        block = "latest" if block is None else block
        any_block_id(block)
        header = await self._gateway.ask(*header_request(block), headers)
        if header is None:
            raise GatewayRefused({"code": GENERAL_CODE, "message": "header not found"})
        if type(header) is not dict:
            raise GatewaySilent("the gateway shows no block")
        return Base(
            read_answer(quantity64, header.get("number")),
            read_answer(quantity64, header.get("timestamp")),
            read_answer(hash32, header.get("hash")),
        )
