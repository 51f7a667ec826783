"""
The profile `ethereum`: answers of a chain of Ethereum that was imported, as go-ethereum gives them.

Only what differs stands here; all else is answered as in `strict`. No ParaTime answers by it.
"""

from typing import Any

import orjson

from services.gateway.imported.chain import ImportedChain
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, find_block
from services.gateway.rpc.errors import INVALID_PARAMETERS_CODE, EthereumRejected
from services.gateway.rpc.eth import LATEST_STATE
from services.gateway.rpc.ethereum_facts import EthereumFactMethods
from services.gateway.rpc.ethereum_pool import EthereumPoolMethods
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.methods import Method, methods_of, rpc_method
from services.gateway.rpc.modules import RpcMethods
from services.gateway.rpc.objects import call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    BadParameter,
    BlockHash,
    BlockId,
    Tag,
    address,
    block_id,
    boolean,
    optional,
)
from services.gateway.rpc.shapes import Json, show_block, show_bytes
from services.gateway.rpc.simulations import state_overrides
from services.gateway.rpc.storage_keys import MAX_SLOTS, read_slot, show_slot, slot_list
from services.gateway.rpc.table import build_method_table
from services.gateway.unlocked import load_unlocked

FIELDS = {
    name.lower(): name
    for name in (
        *("from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value"),
        *("nonce", "data", "input", "accessList", "chainId", "maxFeePerBlobGas"),
        *("blobVersionedHashes", "authorizationList"),
    )
}
"""Of a call; clients write them in any case."""


def ethereum_call(value: Any) -> Json:
    """Call object, with the names of its fields as Ethereum writes them."""
    call_request(value)
    fields = fold_names(value)
    return {
        name: fields[folded] for folded, name in FIELDS.items() if fields.get(folded) is not None
    }


def payload(value: Any) -> Json:
    """Payload of a simulation; the native module reads it."""
    if type(value) is not dict:
        raise BadParameter("must be an object with a list blockStateCalls")
    return value


def any_text(value: Any) -> str:
    """Storage key as the client wrote it."""
    if type(value) is not str:
        raise BadParameter("must be a hex string")
    return value


def slots_by_address(value: Any) -> dict[str, list[str]]:
    """Storage keys of each account."""
    if type(value) is not dict:
        raise BadParameter("must be an object of addresses")
    return {account: slot_list(slots) for account, slots in value.items()}


class EthereumMethods:
    """Answers about the state and of calls that take the place of those of the profile `strict`."""

    def __init__(self, node: GatewayNode, chain: ImportedChain) -> None:
        self._index, self._chain = node.index, chain

    # -- calls ---------------------------------------------------------------------------------

    @rpc_method(
        "eth_call",
        ethereum_call,
        LATEST_STATE,
        optional(state_overrides),
        optional(state_overrides),
    )
    async def call(
        self, call: Json, block: AnyBlockId, state: Json | None, block_overrides: Json | None
    ) -> str:
        """Run a call as its sender, on what the overrides pretend."""
        question = {"call": call, "state": state or {}, "block": block_overrides or {}}
        return show_bytes(await self._chain.call(await self._at(block), question))

    @rpc_method(
        "eth_estimateGas",
        ethereum_call,
        LATEST_STATE,
        optional(state_overrides),
        optional(state_overrides),
    )
    async def estimate_gas(
        self, call: Json, block: AnyBlockId, state: Json | None, block_overrides: Json | None
    ) -> str:
        """Least gas with which a call succeeds; one that never does is an error."""
        question = {"call": call, "state": state or {}, "block": block_overrides or {}}
        return hex(await self._chain.estimate_gas(await self._at(block), question))

    @rpc_method("eth_simulateV1", payload, LATEST_STATE)
    async def simulate(self, wanted: Json, block: AnyBlockId) -> Any:
        """Blocks that never were, built as a node builds them, after one that was."""
        return orjson.Fragment(await self._chain.simulate(await self._at(block), wanted))

    # -- state ---------------------------------------------------------------------------------

    @rpc_method("eth_getProof", address, slot_list, LATEST_STATE)
    async def get_proof(self, account: bytes, slots: list[str], block: AnyBlockId) -> Any:
        """Account and slots with the nodes of the trie that prove them (EIP-1186)."""
        named = [(read_slot(one), show_slot(one)) for one in slots]
        return orjson.Fragment(await self._chain.prove(await self._at(block), account, named))

    @rpc_method("eth_getStorageAt", address, any_text, LATEST_STATE)
    async def get_storage_at(self, account: bytes, slot: str, block: AnyBlockId) -> str:
        """Slot of a contract."""
        key = read_slot(slot)
        return show_bytes(await self._chain.read_slot(await self._at(block), account, key))

    @rpc_method("eth_getStorageValues", slots_by_address, LATEST_STATE)
    async def get_storage_values(
        self, wanted: dict[str, list[str]], block: AnyBlockId
    ) -> dict[str, list[str]]:
        """Slots of several contracts."""
        if not any(wanted.values()):
            raise EthereumRejected("empty request", INVALID_PARAMETERS_CODE)
        if sum(map(len, wanted.values())) > MAX_SLOTS:
            why = f"too many slots (max {MAX_SLOTS})"
            raise EthereumRejected(why, INVALID_PARAMETERS_CODE)
        number = await self._at(block)
        return {
            account: [
                show_bytes(await self._chain.read_slot(number, address(account), read_slot(one)))
                for one in slots
            ]
            for account, slots in wanted.items()
        }

    # -- blocks --------------------------------------------------------------------------------

    @rpc_method("eth_getBlockByNumber", block_id, boolean)
    async def get_block_by_number(self, block: BlockId, with_transactions: bool) -> Json | None:
        """Block, or null; `safe` and `finalized` are the last one of the file."""
        found = await find_block(self._index, _last_if_final(block))
        return None if found is None else show_block(found, with_transactions=with_transactions)

    async def _at(self, block: AnyBlockId) -> int:
        """Number of the block on whose state a question is answered."""
        if not isinstance(block, BlockHash):
            block = _last_if_final(block)
        found = await find_any_block(self._index, block)
        if found is None:
            known = "header for hash not found" if isinstance(block, BlockHash) else ""
            raise EthereumRejected(known or "header not found")
        return found.number


def _last_if_final(block: BlockId) -> BlockId:
    return Tag.LATEST if block in (Tag.SAFE, Tag.FINALIZED) else block


def build_ethereum_table(node: GatewayNode, chain: ImportedChain) -> dict[str, Method]:
    """Give every method by name, as the profile `ethereum` answers."""
    strict = build_method_table(node, load_unlocked(node.settings.data_dir), Impersonations())
    own = (EthereumMethods(node, chain), EthereumFactMethods(node.index, chain))
    table = strict | methods_of(*own, EthereumPoolMethods(chain))
    return table | methods_of(RpcMethods(table))
