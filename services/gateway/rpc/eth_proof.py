"""`eth_getProof`: accounts and slots of a public ParaTime, with the nodes that prove them."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.eth_simulate import LATEST_STATE
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import AnyBlockId, address
from services.gateway.rpc.shapes import EMPTY_ROOT, Json, show_bytes
from services.gateway.rpc.storage_keys import read_slot, show_slot, slot_list
from shared.api.compute import ComputeApi
from shared.api.evm import EvmQueries
from shared.crypto.hashes import keccak256
from shared.errors import Unavailable
from shared.gateways.compute_nodes import ComputeNodes
from shared.types.evm import AccountProof, ProofQuery
from shared.types.identity import Round

EMPTY_TRIE = bytes.fromhex(EMPTY_ROOT[2:])
"""Root of a trie of nothing, of which there is no node."""


class ProofOfAnotherState(Unavailable, module="rpc", code=17):
    """A node's proof begins at another root than the block's; another node's may not."""


class EthProofMethods:
    """Answers of the namespace that need not be believed."""

    def __init__(self, node: GatewayNode) -> None:
        self._index: ChainIndex = node.index
        self._nodes: ComputeNodes = node.nodes

    @rpc_method("eth_getProof", address, slot_list, LATEST_STATE)
    async def get_proof(self, account: bytes, slots: list[str], block: AnyBlockId) -> Json:
        """Account and slots with the nodes of the trie that prove them (EIP-1186)."""
        found = await find_any_block(self._index, block)
        if found is None:
            raise QueryRejected("header not found")
        query = ProofQuery(account, tuple(map(read_slot, slots)))

        async def question(api: ComputeApi) -> AccountProof:
            proof = await EvmQueries(api).prove(query, Round(found.number))
            if found.ethereum_root is None:
                raise QueryRejected("no round that this gateway has seen named the state root")
            root = keccak256(proof.nodes[0]) if proof.nodes else EMPTY_TRIE
            if root != found.ethereum_root:
                raise ProofOfAnotherState("the proof does not begin at the block's state root")
            return proof

        return _show(account, slots, await self._nodes.ask(question))


def _show(account: bytes, slots: list[str], proof: AccountProof) -> Json:
    return {
        "address": show_bytes(account),
        "accountProof": [show_bytes(node) for node in proof.nodes],
        "balance": hex(proof.balance),
        "codeHash": show_bytes(proof.code_hash),
        "nonce": hex(proof.nonce),
        "storageHash": show_bytes(proof.storage_root),
        "storageProof": [
            {
                "key": show_slot(key),
                "value": hex(slot.value),
                "proof": [show_bytes(node) for node in slot.nodes],
            }
            for key, slot in zip(slots, proof.slots, strict=True)
        ],
    }
