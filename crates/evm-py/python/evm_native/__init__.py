"""
Execution core of Qanat: confidential EVM, versioned authenticated state, cryptography.

Bytes, ints and frozen objects cross the boundary, never hexadecimal text. Everything that takes
long releases the interpreter. `runtimes/` is its door.
"""

from evm_native._native import (
    BlockEnv,
    ChainConfig,
    CheckError,
    Engine,
    PendingBlock,
    RecordCodec,
    Store,
    TxInfo,
    deoxysii_open,
    deoxysii_seal,
    io_root,
    keccak256,
    keypair,
    mrae_key,
    oasis_address,
    open_result,
    sha512_256,
    sign,
    verify,
    verify_proof,
    x25519_public,
)
from evm_native.errors import (
    CallFailed,
    ConfigError,
    DecryptionError,
    EvmError,
    HostError,
    InvalidBatch,
    InvalidTag,
    NativePanic,
    StateError,
)

__all__ = [
    "BlockEnv",
    "CallFailed",
    "ChainConfig",
    "CheckError",
    "ConfigError",
    "DecryptionError",
    "Engine",
    "EvmError",
    "HostError",
    "InvalidBatch",
    "InvalidTag",
    "NativePanic",
    "PendingBlock",
    "RecordCodec",
    "StateError",
    "Store",
    "TxInfo",
    "deoxysii_open",
    "deoxysii_seal",
    "io_root",
    "keccak256",
    "keypair",
    "mrae_key",
    "oasis_address",
    "open_result",
    "sha512_256",
    "sign",
    "verify",
    "verify_proof",
    "x25519_public",
]
