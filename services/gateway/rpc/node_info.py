"""What Hardhat's and Anvil's clients ask about the node."""

from typing import Any

from services.gateway.index.fees import BLOCK_GAS_LIMIT
from services.gateway.index.rounds import IndexedRound
from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import boolean
from services.gateway.rpc.shapes import show_bytes
from services.gateway.rpc.web3 import client_name
from shared.kit.logs import mute_logs

CONFIDENTIAL_FORK, PUBLIC_FORK = "shanghai", "osaka"
"""Those of `crates/evm-core/src/config.rs`."""


class NodeInfoMethods:
    """Answers about the node."""

    def __init__(self, node: GatewayNode) -> None:
        self._node, self._settings = node, node.settings

    @also("anvil_metadata")
    @rpc_method("hardhat_metadata")
    async def metadata(self) -> dict[str, Any]:
        """Name, chain, newest block, and an id that lasts as long as the network's history."""
        newest = self._newest()
        return {
            "clientVersion": self._settings.client_version or client_name(),
            "chainId": self._settings.chain_id,
            "instanceId": show_bytes(self._node.instance_id),
            "latestBlockNumber": newest.number,
            "latestBlockHash": show_bytes(newest.hash),
        }

    @rpc_method("anvil_nodeInfo")
    async def node_info(self) -> dict[str, Any]:
        """Newest block and the chain's parameters."""
        newest = self._newest()
        return {
            "currentBlockNumber": hex(newest.number),
            "currentBlockTimestamp": newest.header.timestamp,
            "currentBlockHash": show_bytes(newest.hash),
            "hardFork": CONFIDENTIAL_FORK if self._settings.confidential else PUBLIC_FORK,
            "transactionOrder": "fees",
            "environment": {
                "baseFee": hex(self._node.fees.min_price_wei),
                "chainId": self._settings.chain_id,
                "gasLimit": hex(BLOCK_GAS_LIMIT),
                "gasPrice": hex(self._node.fees.gas_price_wei()),
            },
            "forkConfig": {"forkUrl": None, "forkBlockNumber": None, "forkRetryBackoff": None},
        }

    @rpc_method("anvil_getGenesisTime")
    async def genesis_time(self) -> int | None:
        """Timestamp of the chain's first block [s]; null where this gateway has it no more."""
        first = await self._node.index.find_round(0)
        return None if first is None else first.header.timestamp

    @also("anvil_setLoggingEnabled")
    @rpc_method("hardhat_setLoggingEnabled", boolean)
    async def set_logging_enabled(self, enabled: bool) -> bool:
        """Have this gateway log as it is set up to, or only what is a warning or worse."""
        mute_logs(not enabled)
        return True

    def _newest(self) -> IndexedRound:
        newest = self._node.index.newest
        if newest is None:
            raise QueryRejected("there is no block yet")
        return newest
