"""
Which methods may go to the gateway as they come: those that carry no calldata.

Everything else is either sealed by `answers.py` or not answered, so that a method nobody thought of
leaks nothing.
"""

NAMESPACES = ("net_", "web3_", "evm_", "hardhat_", "anvil_", "txpool_", "oasis_", "ots_", "rpc")
METHODS = frozenset(
    {
        "debug_getRawBlock",
        "debug_getRawHeader",
        "debug_getRawReceipts",
        "debug_getRawTransaction",
        "debug_storageRangeAt",
        "debug_traceBlockByHash",
        "debug_traceBlockByNumber",
        "debug_traceTransaction",
        "eth_blobBaseFee",
        "eth_blockNumber",
        "eth_chainId",
        "eth_coinbase",
        "eth_config",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getBlockHash",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByHash",
        "eth_getBlockTransactionCountByNumber",
        "eth_getCode",
        "eth_getFilterChanges",
        "eth_getFilterLogs",
        "eth_getLogs",
        "eth_getProof",
        "eth_getRawTransactionByBlockHashAndIndex",
        "eth_getRawTransactionByBlockNumberAndIndex",
        "eth_getRawTransactionByHash",
        "eth_getStorageAt",
        "eth_getTransactionByBlockHashAndIndex",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_getUncleByBlockHashAndIndex",
        "eth_getUncleByBlockNumberAndIndex",
        "eth_getUncleCountByBlockHash",
        "eth_getUncleCountByBlockNumber",
        "eth_hashrate",
        "eth_maxPriorityFeePerGas",
        "eth_mining",
        "eth_newBlockFilter",
        "eth_newFilter",
        "eth_newPendingTransactionFilter",
        "eth_protocolVersion",
        "eth_syncing",
        "eth_uninstallFilter",
        "trace_block",
        "trace_filter",
        "trace_get",
        "trace_replayBlockTransactions",
        "trace_replayTransaction",
        "trace_transaction",
    }
)
PLAIN_CALLS = frozenset(
    {
        "debug_traceCall",
        "debug_traceCallMany",
        "eth_callMany",
        "eth_createAccessList",
        "eth_simulateV1",
        "trace_call",
        "trace_callMany",
        "trace_rawTransaction",
    }
)
"""Carry calldata in plain: they go to a public ParaTime only, or to the enclave, under seal."""
RAW_TRANSACTIONS = frozenset(
    {
        "debug_getRawTransaction",
        "eth_getRawTransactionByBlockHashAndIndex",
        "eth_getRawTransactionByBlockNumberAndIndex",
        "eth_getRawTransactionByHash",
    }
)


def may_pass(method: str, *, is_confidential: bool) -> bool:
    """Say whether a method goes to the gateway as it came."""
    if method in METHODS or method.startswith(NAMESPACES):
        return True
    return not is_confidential and method in PLAIN_CALLS
