"""
Errors of the native core.

They are defined here and raised by `crates/evm-py/src/error.rs`, the only place that maps Rust's
errors to them.
"""


class EvmError(Exception):
    """Root of everything the native core raises on purpose."""


class ConfigError(EvmError, ValueError):
    """A parameter makes no sense."""


class StateError(EvmError):
    """The state could not be read or written: missing version, root mismatch, disk."""


class DecryptionError(StateError):
    """Stored data of a contract does not open: wrong key, or somebody changed it."""

    def __init__(self, message: str, address: bytes) -> None:
        super().__init__(message)
        self.address = address
        """Contract, 20 bytes."""


class ProofError(EvmError, ValueError):
    """A proof does not show these entries of consensus state under this root."""


class LightClientError(EvmError, ValueError):
    """The light client does not believe what it was shown. Nothing was changed."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
        """Class that says why, as `shared/rules/light_client.py` knows it."""


class HostError(EvmError):
    """A callback (key manager, sub-call) raised; `__cause__` is that. The block is void."""


class NativePanic(EvmError):
    """A bug in the native code. Nothing was changed; the message says where, never what data."""


class InvalidTag(EvmError, ValueError):
    """A ciphertext does not open under this key, nonce and associated data."""


class InvalidBatch(EvmError):
    """Strict execution met a transaction that an honest scheduler does not propose."""

    def __init__(self, message: str, index: int, module: str, code: int) -> None:
        super().__init__(message)
        self.index = index
        """Position in the batch."""
        self.module = module
        self.code = code


class CallFailed(EvmError):
    """A query failed; module, code and message are those the client must see."""

    def __init__(self, module: str, code: int, message: str, data: bytes | None) -> None:
        super().__init__(f"{module}: {message}")
        self.module = module
        self.code = code
        self.message = message
        """Text without the module's name."""
        self.data = data
        """Raw revert bytes when the contract reverted (module evm, code 8)."""


class EthereumRefused(EvmError):
    """A question to a chain of Ethereum is refused, in go-ethereum's words."""

    def __init__(self, code: int, message: str, data: bytes | None) -> None:
        super().__init__(message)
        self.code = code
        """Of JSON-RPC."""
        self.message = message
        self.data = data
        """Raw revert bytes when the contract reverted (code 3)."""
