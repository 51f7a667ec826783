"""The EVM of Sapphire and Emerald, over the native core."""

from runtimes.evm.runtime import EvmRuntime, open_runtime

__all__ = ["EvmRuntime", "open_runtime"]
