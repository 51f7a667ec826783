"""`eth_*` methods that ask compute nodes: calls, accounts; and facts of the chain."""

from typing import Any

from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import resolve_state
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BlockId,
    Tag,
    address,
    any_block_id,
    anything,
    block_id,
    count,
    optional,
    percentiles,
    slot,
)
from services.gateway.rpc.pretences import TELLING_WHAT_IS_UNREADABLE, Pretences
from services.gateway.rpc.shapes import Json, show_bytes, show_fee_history
from shared.api.evm import EvmQueries
from shared.types.evm import EvmCall

CALL_GAS = 30_000_000
"""Gas of a call that names none; the runtime caps it at its batch limit, but a signed query is
signed over this number [gas]. Source: oasis-web3-gateway rpc/eth/api.go @ 40bf2d3."""
CALL_GAS_PRICE_WEI = 1
"""Gas price of a call that names none: also part of signed queries. Same source."""
ZERO_ADDRESS = bytes(20)
LATEST_STATE = optional(any_block_id, Tag.LATEST)


class EthMethods:
    """Answers of the namespace that need a compute node or the fee tracker."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._nodes, self._index = node, node.nodes, node.index
        self._state = EvmQueries(node.nodes)
        self._chain_id = hex(node.settings.chain_id)
        self._pretences = Pretences(confidential=node.settings.confidential, strict=True)

    # -- calls ---------------------------------------------------------------------------------

    @rpc_method("eth_call", call_request, LATEST_STATE, optional(anything), optional(anything))
    async def call(
        self, request: CallRequest, block: AnyBlockId, overrides: Any, block_overrides: Any
    ) -> str:
        """Run a call; overrides of state and block have an effect on a public ParaTime alone."""
        self._node.encryption.notice("eth_call", request.to, request.data)
        call = evm_call(request, self._pretences.read(request, overrides, block_overrides))
        round_ = await resolve_state(self._index, block)
        with TELLING_WHAT_IS_UNREADABLE:
            output = await self._state.call(call, round_)
        return show_bytes(output)

    @rpc_method(
        "eth_estimateGas", call_request, LATEST_STATE, optional(anything), optional(anything)
    )
    async def estimate_gas(
        self,
        request: CallRequest,
        block: AnyBlockId,
        overrides: Any = None,
        block_overrides: Any = None,
    ) -> str:
        """Estimate gas as the runtime does: a revert is no error."""
        self._node.encryption.notice("eth_estimateGas", request.to, request.data)
        call = evm_call(request, self._pretences.read(request, overrides, block_overrides))
        round_ = await resolve_state(self._index, block)
        with TELLING_WHAT_IS_UNREADABLE:
            gas = await self._state.estimate_gas(call, round_)
        return hex(gas)

    # -- accounts ------------------------------------------------------------------------------

    @rpc_method("eth_getBalance", address, LATEST_STATE)
    async def get_balance(self, account: bytes, block: AnyBlockId) -> str:
        """Balance [wei]."""
        round_ = await resolve_state(self._index, block)
        found = await self._state.fetch_account(account, round_)
        return hex(found.balance)

    @rpc_method("eth_getTransactionCount", address, LATEST_STATE)
    async def get_transaction_count(self, account: bytes, block: AnyBlockId) -> str:
        """Nonce of the next transaction; `pending` counts those that wait in the pool as well."""
        round_ = await resolve_state(self._index, block)
        found = await self._state.fetch_account(account, round_)
        if block is not Tag.PENDING:
            return hex(found.nonce)
        # Of the node to which transactions are sent: it has them first.
        waiting = await self._nodes.ask_favourite(lambda api: api.fetch_next_sequence(account))
        return hex(max(found.nonce, waiting or 0))

    @rpc_method("eth_getCode", address, LATEST_STATE)
    async def get_code(self, account: bytes, block: AnyBlockId) -> str:
        """Code of a contract, or empty."""
        round_ = await resolve_state(self._index, block)
        code = await self._state.fetch_code(account, round_)
        return show_bytes(code)

    @rpc_method("eth_getStorageAt", address, slot, LATEST_STATE)
    async def get_storage_at(self, account: bytes, slot: bytes, block: AnyBlockId) -> str:
        """Storage as strict Sapphire shows it: zero, but for the public proxy slots."""
        round_ = await resolve_state(self._index, block)
        value = await self._state.fetch_storage(account, slot, round_)
        return show_bytes(value.rjust(32, b"\0"))

    # -- fees ----------------------------------------------------------------------------------

    @rpc_method("eth_gasPrice")
    async def gas_price(self) -> str:
        """Price that a transaction should offer [wei/gas]."""
        return hex(self._node.fees.gas_price_wei())

    @rpc_method("eth_maxPriorityFeePerGas")
    async def max_priority_fee_per_gas(self) -> str:
        """Tip; the oracle's price, as in the original."""
        return hex(self._node.fees.gas_price_wei())

    @rpc_method("eth_feeHistory", count, block_id, optional(percentiles, ()))
    async def fee_history(self, count: int, last: BlockId, percentiles: tuple[float, ...]) -> Json:
        """Fees of the last rounds; `earliest` gives nothing."""
        for position, value in enumerate(percentiles):
            if not 0 <= value <= 100:
                raise QueryRejected(f"invalid reward percentile: {value:f}")
            before = percentiles[position - 1] if position else 0.0
            if value < before:
                raise QueryRejected(
                    f"invalid reward percentile: #{position - 1}:{before:f} > #{position}:{value:f}"
                )
        if last is Tag.EARLIEST:
            count = 0
        number = last if isinstance(last, int) else None
        return show_fee_history(self._node.fees.history(count, number, percentiles))

    # -- facts ---------------------------------------------------------------------------------

    @rpc_method("eth_chainId")
    async def chain_id(self) -> str:
        """Chain id of the EVM."""
        return self._chain_id

    @rpc_method("eth_accounts")
    async def accounts(self) -> list[str]:
        """None: the gateway keeps no keys."""
        return []

    @rpc_method("eth_mining")
    async def mining(self) -> bool:
        """Never."""
        return False

    @rpc_method("eth_hashrate")
    async def hashrate(self) -> str:
        """Zero."""
        return "0x0"

    @rpc_method("eth_syncing")
    async def syncing(self) -> bool:
        """Never: a gateway that is behind is not ready."""
        return False


def evm_call(request: CallRequest, pretence: bytes = b"") -> EvmCall:
    """Fill in what a call leaves out, as the original does."""
    return EvmCall(
        caller=ZERO_ADDRESS if request.caller is None else request.caller,
        to=request.to,
        gas=CALL_GAS if request.gas is None else request.gas,
        gas_price=CALL_GAS_PRICE_WEI if request.gas_price is None else request.gas_price,
        value=request.value or 0,
        data=request.data,
        pretence=pretence,
    )
