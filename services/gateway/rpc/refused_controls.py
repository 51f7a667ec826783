"""
Controls of Hardhat and Anvil that this network does not have: each says why, and what to use.

They are named all the same, so that who calls one hears more than that it is unknown.
"""

from typing import Any

from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import Method, meters

NO_FORK = (
    "a running network forks no other chain: begin a new one with its accounts by "
    "`qanat up --genesis FILE`, or write a dump's by anvil_loadState"
)
NO_FEE_RECEIVER = "no account is paid for blocks: contracts see the zero address"
NO_RANDAO = "PREVRANDAO is zero; random bytes come of the precompile 0x0100…01"
LEAST_PRICE = (
    "the least price is that of blocks: hardhat_setNextBlockBaseFeePerGas chooses it for the next"
)
GAS_LIMIT = "the gas of a block is a parameter of the ParaTime, measured with its enclaves"
FINAL = (
    "every block is final, and none gives way to another: evm_snapshot and evm_revert go back "
    "with the whole network, which clients hear of as of a reorganization"
)
NO_BLOBS = "a ParaTime has no blobs"
TOKENS = (
    "where a token keeps balances is its own affair: send from who has them by "
    "hardhat_impersonateAccount, or write the slot by hardhat_setStorageAt"
)
OF_TEMPO = "that is of Tempo's chains alone"

REFUSED: dict[str, str] = {
    "anvil_classifyTransaction": OF_TEMPO,
    "anvil_dealERC20": TOKENS,
    "anvil_dealTIP20": OF_TEMPO,
    "anvil_getBlobByHash": NO_BLOBS,
    "anvil_getBlobsByTransactionHash": NO_BLOBS,
    "anvil_getLastBlockWallTime": "blocks have consensus time alone: their `timestamp`",
    "anvil_impersonateSignature": (
        "enclaves verify signatures: eth_sendTransaction needs none of who is impersonated"
    ),
    "anvil_reorg": FINAL,
    "anvil_rollback": FINAL,
    "anvil_setBlockGasLimit": GAS_LIMIT,
    "anvil_setChainId": "the chain id is measured with the enclaves: `evm_chain_id` of the network "
    "file",
    "anvil_setCoinbase": NO_FEE_RECEIVER,
    "anvil_setERC20Allowance": TOKENS,
    "anvil_setERC20Balance": TOKENS,
    "anvil_setFeeAmmLiquidity": OF_TEMPO,
    "anvil_setFeeToken": OF_TEMPO,
    "anvil_setMinGasPrice": LEAST_PRICE,
    "anvil_setNextBlockPrevRandao": NO_RANDAO,
    "anvil_setPrevRandao": NO_RANDAO,
    "anvil_setRpcUrl": NO_FORK,
    "anvil_setValidatorFeeToken": OF_TEMPO,
    "evm_setBlockGasLimit": GAS_LIMIT,
    "hardhat_addCompilationResult": (
        "stack traces of Solidity are not made here: `qanat tx --abi FILE` decodes the call tree"
    ),
    "hardhat_dealERC20": TOKENS,
    "hardhat_getStackTraceFailuresCount": "stack traces of Solidity are not made here",
    "hardhat_intervalMine": "evm_mine mines a block, and evm_setIntervalMining one every so often",
    "hardhat_setCoinbase": NO_FEE_RECEIVER,
    "hardhat_setMinGasPrice": LEAST_PRICE,
    "hardhat_setPrevRandao": NO_RANDAO,
}
"""Reason by method. Source of the names: Hardhat 2.29; foundry crates/anvil @ 2026-08."""


def refused_methods() -> dict[str, Method]:
    """Give an answer for each."""
    return {name: _method(name, reason) for name, reason in REFUSED.items()}


class RefusedMethod(Method):
    """A method that refuses whatever it is asked."""

    def read(self, _untrusted: Any) -> list[Any]:
        """Read nothing: no parameters could change the answer."""
        return []


def _method(name: str, reason: str) -> Method:
    async def refuse() -> None:
        raise QueryRejected(f"{name} is not here: {reason}")

    refuse.__doc__ = f"Refused: {reason}."
    return RefusedMethod(name, refuse, (), (), *meters(name))
