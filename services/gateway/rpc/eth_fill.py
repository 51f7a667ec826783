"""`eth_fillTransaction`: what a client left out of a transaction, for it to sign."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from services.gateway import rlp
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import InvalidParameters, QueryRejected
from services.gateway.rpc.eth import EthMethods
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import AccessList, CallRequest, access_list, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BadParameter,
    Tag,
    quantity,
    quantity64,
)
from services.gateway.rpc.shapes import Json, show_bytes, show_checksummed

LEGACY, WITH_ACCESS_LIST, WITH_TIP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """A transaction as far as the client gave it."""

    call: CallRequest
    nonce: int | None
    chain_id: int | None
    max_fee: int | None
    max_tip: int | None
    accesses: AccessList | None


def wanted(value: Any) -> Wanted:
    """Transaction object; a field that is of no use to the chain is ignored."""
    call = call_request(value)
    fields = fold_names(value)

    def read(name: str, reader: Callable[[Any], Any]) -> Any:
        found = fields.get(name.lower())
        return None if found is None else reader(found)

    fee, tip = read("maxFeePerGas", quantity), read("maxPriorityFeePerGas", quantity)
    if call.gas_price is not None and (fee, tip) != (None, None):
        raise BadParameter("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    return Wanted(
        call,
        read("nonce", quantity64),
        read("chainId", quantity),
        fee,
        tip,
        read("accessList", access_list),
    )


class Estimates(Protocol):
    """Who answers `eth_estimateGas`."""

    async def estimate_gas(
        self, request: CallRequest, block: AnyBlockId, _overrides: object, /
    ) -> str:
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

    @rpc_method("eth_fillTransaction", wanted)
    async def fill_transaction(self, transaction: Wanted) -> Json:
        """Fill in nonce, gas, fees and chain id; the transaction, and its unsigned bytes."""
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
            gas = int(await self._estimates.estimate_gas(call, Tag.LATEST, None), 16)
        price = self._node.fees.gas_price_wei()
        has_tip = (transaction.max_fee, transaction.max_tip) != (None, None)
        has_tip |= self._has_base_fee and call.gas_price is None
        kind = LEGACY if transaction.accesses is None else WITH_ACCESS_LIST
        kind = WITH_TIP if has_tip else kind
        tip = price if transaction.max_tip is None else transaction.max_tip
        fee = max(price, tip) if transaction.max_fee is None else transaction.max_fee
        if not has_tip:
            fee = tip = price if call.gas_price is None else call.gas_price
        elif tip > fee:
            raise QueryRejected(f"maxFeePerGas ({fee:#x}) < maxPriorityFeePerGas ({tip:#x})")
        return _filled(
            call, kind, nonce, gas, fee, tip, settings.chain_id, transaction.accesses or ()
        )


def _filled(
    call: CallRequest,
    kind: int,
    nonce: int,
    gas: int,
    fee: int,
    tip: int,
    chain_id: int,
    accesses: AccessList,
) -> Json:
    shown: Json = {
        "type": hex(kind),
        "nonce": hex(nonce),
        "gas": hex(gas),
        "gasPrice": hex(fee),
        "value": hex(call.value or 0),
        "input": show_bytes(call.data),
        "chainId": hex(chain_id),
    }
    if call.to is not None:
        shown["to"] = show_checksummed(call.to)
    prices = [rlp.quantity(fee)]
    if kind == WITH_TIP:
        shown |= {"maxFeePerGas": hex(fee), "maxPriorityFeePerGas": hex(tip)}
        prices.insert(0, rlp.quantity(tip))
    items: list[rlp.Item] = [
        rlp.quantity(nonce),
        *prices,
        rlp.quantity(gas),
        call.to or b"",
        rlp.quantity(call.value or 0),
        call.data,
    ]
    prefix, unsigned = b"", [b"", b"", b""]
    if kind != LEGACY:
        shown["accessList"] = [
            {"address": show_bytes(one), "storageKeys": [show_bytes(slot) for slot in slots]}
            for one, slots in accesses
        ]
        listed: list[rlp.Item] = [[one, list(slots)] for one, slots in accesses]
        items = [rlp.quantity(chain_id), *items, listed]
        prefix = bytes([kind])
    return {"raw": show_bytes(prefix + rlp.encode([*items, *unsigned])), "tx": shown}
