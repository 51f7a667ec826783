"""
Calls and estimates of the profile `dev`: with their sender and his money, and Ethereum's words.

See `dev_profile`.
"""

from dataclasses import replace
from typing import Any

from services.gateway.encryption import read_envelope
from services.gateway.node import GatewayNode
from services.gateway.rpc import ethereum_words as words
from services.gateway.rpc.block_ids import resolve_state
from services.gateway.rpc.errors import EthereumRejected
from services.gateway.rpc.eth import CALL_GAS, LATEST_STATE, ZERO_ADDRESS, evm_call
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import AnyBlockId, anything, data, optional
from services.gateway.rpc.pretences import TELLING_WHAT_IS_UNREADABLE, Pretences
from services.gateway.rpc.shapes import show_bytes
from shared.api.evm import EvmQueries
from shared.errors import Rejected, RuntimeRejected
from shared.types.evm import Account
from shared.types.identity import Round

TIP = "maxpriorityfeepergas"


def dev_call_request(value: Any) -> CallRequest:
    """Call object, whose fields do not contradict each other. Source: go-ethereum ethapi."""
    request = call_request(value)
    fields = fold_names(value)
    older, newer = (fields.get(name) for name in ("data", "input"))
    if older is not None and newer is not None and data(older) != data(newer):
        raise EthereumRejected(
            'both "data" and "input" are set and not equal. '
            'Please use "input" to pass transaction call data'
        )
    has_fees = any(fields.get(name) is not None for name in ("maxfeepergas", TIP))
    if request.gas_price is not None and has_fees:
        raise EthereumRejected("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    return request


class DevCallMethods:
    """Answers that take the place of those of the profile `strict`."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._index = node, node.index
        self._is_confidential = node.settings.confidential
        self._pretences = Pretences(confidential=self._is_confidential, strict=False)

    @rpc_method("eth_call", dev_call_request, LATEST_STATE, optional(anything), optional(anything))
    async def call(
        self, request: CallRequest, block: AnyBlockId, overrides: object, block_overrides: object
    ) -> str:
        """
        Run a call; a transfer is one of the sender that it names, by whom tools try it out first.

        Whoever calls a confidential ParaTime with data is the zero address without a signature,
        here as in `strict`; but he has the money that he sends.
        """
        pretence = self._pretences.read(request, overrides, block_overrides, lends_to_nobody=True)
        has_sender = not request.data and request.caller is not None and request.to is not None
        if self._is_confidential and request.value and has_sender:
            await self.estimate_gas(request, block, overrides, block_overrides)
            return "0x"
        self._node.encryption.notice("eth_call", request.to, request.data)
        call, round_ = evm_call(request, pretence), await resolve_state(self._index, block)
        lends = self._is_confidential and bool(request.value)
        try:
            with TELLING_WHAT_IS_UNREADABLE:
                queries = EvmQueries(self._node.nodes)
                ask = queries.call_with_money if lends else queries.call
                output = await ask(call, round_)
        except RuntimeRejected as error:
            raise await self._told(error, request, round_) from None
        return show_bytes(output)

    @rpc_method(
        "eth_estimateGas", dev_call_request, LATEST_STATE, optional(anything), optional(anything)
    )
    async def estimate_gas(
        self,
        request: CallRequest,
        block: AnyBlockId,
        overrides: object = None,
        block_overrides: object = None,
    ) -> str:
        """Estimate with the sender that the call names; a call that reverts is an error."""
        self._node.encryption.notice("eth_estimateGas", request.to, request.data)
        pretence = self._pretences.read(request, overrides, block_overrides, lends_to_nobody=True)
        if request.gas is not None and request.gas < words.CALL_GAS:
            # Nothing runs with it, so it limits nothing. Source: go-ethereum's estimator.
            request = replace(request, gas=None)
        call, round_ = evm_call(request, pretence), await resolve_state(self._index, block)
        try:
            with TELLING_WHAT_IS_UNREADABLE:
                gas = await EvmQueries(self._node.nodes).estimate_gas_as_sender(call, round_)
        except RuntimeRejected as error:
            if words.why_halted(error) == words.OUT_OF_GAS:
                raise words.over_allowance(min(call.gas, CALL_GAS)) from None
            raise await self._told(error, request, round_) from None
        if not pretence:
            await self._verify_allowance(request, gas, round_)
        return hex(gas)

    async def _verify_allowance(self, request: CallRequest, gas: int, round_: Round | None) -> None:
        """Verify that the sender can pay an estimate at the price that he names, if he does."""
        price = request.gas_price or request.max_fee
        if not price or request.caller is None:
            return
        rest = (await self._account(request.caller, round_)).balance - (request.value or 0)
        if rest < gas * price:
            raise words.over_allowance(rest // price)

    async def _told(
        self, error: RuntimeRejected, request: CallRequest, round_: Round | None
    ) -> Rejected:
        """Say in go-ethereum's words why a call failed; as the runtime says it otherwise."""
        reason = words.why_halted(error)
        match reason:
            case None:
                return error
            case words.OUT_OF_FUNDS if request.value:
                caller = request.caller or ZERO_ADDRESS
                have = (await self._account(caller, round_)).balance
                if have < request.value:
                    return words.call_lacks_funds(caller, have, request.value)
            case words.OUT_OF_GAS if request.gas is not None:
                plain = b"" if read_envelope(request.data) else request.data
                least = words.intrinsic_gas(
                    plain, creates=request.to is None, authorizations=len(request.authorizations)
                )
                if request.gas < least:
                    return words.call_lacks_gas(request.gas, least)
            case words.CODE_TOO_LONG if request.to is None:
                return words.new_code_too_long(len(request.data))
        return words.halted(reason)

    async def _account(self, of: bytes, round_: Round | None) -> Account:
        return await EvmQueries(self._node.nodes).fetch_account(of, round_)
