"""`eth_fillTransaction`: what a client left out of a transaction, for it to sign."""

from typing import Protocol

from services.gateway.authorizations import SET_CODE, show_authorizations
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import InvalidParameters, QueryRejected
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest
from services.gateway.rpc.parameters import AnyBlockId, Tag
from services.gateway.rpc.shapes import Json, show_bytes, show_checksummed
from services.gateway.transactions import (
    LEGACY,
    WITH_ACCESS_LIST,
    WITH_TIP,
    Unsigned,
    Wanted,
    encode_unsigned,
    read_wanted,
)


class Estimates(Protocol):
    """Who answers `eth_estimateGas`."""

    async def estimate_gas(self, request: CallRequest, block: AnyBlockId, /) -> str:
        """Gas that a call needs, in hex."""
        ...


class EthFillMethods:
    """Answers of the namespace that prepare transactions."""

    def __init__(
        self, node: GatewayNode, eth: EthMethods, estimates: Estimates, *, has_base_fee: bool
    ) -> None:
        """
        Prepare as clients are answered otherwise.

        `eth` counts and `estimates` estimates; where blocks have a base fee, a transaction without
        a gas price is one with a tip.
        """
        self._node, self._eth, self._estimates = node, eth, estimates
        self._has_base_fee = has_base_fee

    @rpc_method("eth_fillTransaction", read_wanted)
    async def fill_transaction(self, transaction: Wanted) -> Json:
        """Fill in nonce, gas, fees and chain id; the transaction, and its unsigned bytes."""
        filled = await self.fill(transaction)
        return {"raw": show_bytes(encode_unsigned(filled)), "tx": show_unsigned(filled)}

    async def fill(self, transaction: Wanted) -> Unsigned:
        """Fill in what is left out; raises where the parts contradict each other or the chain."""
        call, settings = transaction.call, self._node.settings
        if call.caller is None:
            raise InvalidParameters("invalid argument 0: missing from")
        if transaction.chain_id not in (None, settings.chain_id):
            raise QueryRejected(
                f"chainId does not match node's (have={transaction.chain_id}, "
                f"want={settings.chain_id})"
            )
        nonce, gas = transaction.nonce, call.gas
        if nonce is None:
            nonce = int(await self._eth.get_transaction_count(call.caller, Tag.PENDING), 16)
        if gas is None:
            gas = int(await self._estimates.estimate_gas(call, Tag.LATEST), 16)
        price = self._node.fees.gas_price_wei()
        has_tip = (transaction.max_fee, transaction.max_tip) != (None, None)
        has_tip |= self._has_base_fee and call.gas_price is None
        if transaction.authorizations and call.gas_price is not None:
            raise QueryRejected("a transaction with authorizations has maxFeePerGas, no gasPrice")
        has_tip |= bool(transaction.authorizations)
        kind = LEGACY if transaction.accesses is None else WITH_ACCESS_LIST
        kind = WITH_TIP if has_tip else kind
        kind = SET_CODE if transaction.authorizations else kind
        tip = price if transaction.max_tip is None else transaction.max_tip
        fee = max(price, tip) if transaction.max_fee is None else transaction.max_fee
        if not has_tip:
            fee = tip = price if call.gas_price is None else call.gas_price
        elif tip > fee:
            raise QueryRejected(f"maxFeePerGas ({fee:#x}) < maxPriorityFeePerGas ({tip:#x})")
        return Unsigned(
            type=kind,
            nonce=nonce,
            gas=gas,
            max_fee=fee,
            max_tip=tip,
            to=call.to,
            value=call.value or 0,
            input=call.data,
            chain_id=settings.chain_id,
            access_list=None if kind == LEGACY else transaction.accesses or (),
            authorizations=transaction.authorizations,
        )


def show_unsigned(filled: Unsigned) -> Json:
    """Show a transaction that nobody has signed."""
    shown: Json = {
        "type": hex(filled.type),
        "nonce": hex(filled.nonce),
        "gas": hex(filled.gas),
        "gasPrice": hex(filled.max_fee),
        "value": hex(filled.value),
        "input": show_bytes(filled.input),
        "chainId": hex(filled.chain_id or 0),
    }
    if filled.to is not None:
        shown["to"] = show_checksummed(filled.to)
    if filled.type in (WITH_TIP, SET_CODE):
        shown["maxFeePerGas"] = hex(filled.max_fee)
        shown["maxPriorityFeePerGas"] = hex(filled.max_tip)
    if filled.access_list is not None:
        shown["accessList"] = [
            {"address": show_bytes(one), "storageKeys": [show_bytes(slot) for slot in slots]}
            for one, slots in filled.access_list
        ]
    if filled.type == SET_CODE:
        shown["authorizationList"] = show_authorizations(filled.authorizations)
    return shown
