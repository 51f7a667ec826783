//! What can go wrong in the engine, and how the EVM's reasons read to Sapphire's clients.

use revm::context::result::{HaltReason, OutOfGasError};
use thiserror::Error;

use crate::errors::ModuleError;
use state_core::errors::StateError;

/// Name of the module that executes contracts, as clients see it.
pub const EVM: &str = "evm";
/// Name of the module that owns transactions, gas and fees.
pub const CORE: &str = "core";

/// A host callback (key manager, sub-call) failed. Opaque here; the bindings keep the original exception.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("host callback failed: {0}")]
pub struct HostError(pub String);

/// The engine could not do its work. None of these is the fault of a single transaction, except [`InvalidBatch`].
///
/// [`InvalidBatch`]: EngineError::InvalidBatch
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EngineError {
    /// A parameter makes no sense.
    #[error("configuration: {0}")]
    Config(String),
    /// The state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A ciphertext in the state does not open: wrong key, or somebody changed it.
    #[error("storage of contract 0x{} does not decrypt", alloy_primitives::hex::encode(.0))]
    Decryption([u8; 20]),
    /// The key manager or a host module failed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Strict execution met a transaction that must not be in a batch.
    #[error("transaction {index} may not be in a batch: {error}")]
    InvalidBatch {
        /// Position in the batch.
        index: usize,
        /// Why.
        error: ModuleError,
    },
    /// A query failed in a way the client must see.
    #[error("{0}")]
    Call(CallFailure),
}

impl revm::database_interface::DBErrorMarker for EngineError {}

/// A failed call as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// Module, code and message.
    pub error: ModuleError,
    /// Raw revert bytes when the contract reverted (evm code 8).
    pub data: Option<Vec<u8>>,
}

impl std::fmt::Display for CallFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)
    }
}

impl From<ModuleError> for CallFailure {
    fn from(error: ModuleError) -> Self {
        Self { error, data: None }
    }
}

/// Failure of the core module.
pub(crate) fn core(code: u32, message: impl Into<String>) -> ModuleError {
    ModuleError { module: CORE, code, message: message.into() }
}

/// `evm` code 2: execution ended for a reason other than a revert.
pub(crate) fn execution_failed(reason: &str) -> ModuleError {
    ModuleError { module: EVM, code: 2, message: format!("execution failed: {reason}") }
}

/// `core` code 12: more gas wanted than the limit gives.
pub(crate) fn out_of_gas(limit: u64, wanted: u64) -> ModuleError {
    core(12, format!("out of gas (limit: {limit} wanted: {wanted})"))
}

/// `evm` code 8 with the raw revert bytes in base64, and beside it the bytes themselves.
pub(crate) fn reverted(data: &[u8]) -> CallFailure {
    CallFailure {
        error: ModuleError { module: EVM, code: 8, message: format!("reverted: {}", base64(data)) },
        data: Some(data.to_vec()),
    }
}

/// The text upstream gives for a halt; upstream knows fewer reasons than revm.
///
/// Source: oasis-sdk `runtime-sdk/modules/evm/src/lib.rs` @ 00da39c (`From<ExitError>`).
pub(crate) fn halt_reason(reason: &HaltReason, precompile: Option<&str>) -> String {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) | HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid code".into(),
        HaltReason::InvalidFEOpcode => "designated invalid".into(),
        HaltReason::InvalidJump => "invalid jump".into(),
        HaltReason::StackUnderflow => "stack underflow".into(),
        HaltReason::StackOverflow => "stack overflow".into(),
        HaltReason::OutOfOffset => "out of offset".into(),
        HaltReason::CreateCollision => "create collision".into(),
        HaltReason::NonceOverflow => "nonce overflow".into(),
        HaltReason::CreateContractSizeLimit | HaltReason::CreateInitCodeSizeLimit => "create contract limit".into(),
        HaltReason::CreateContractStartingWithEF => "invalid code".into(),
        HaltReason::OutOfFunds | HaltReason::OverflowPayment => "out of funds".into(),
        HaltReason::CallTooDeep => "call too deep".into(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "invalid code".into(),
        HaltReason::PrecompileError => precompile.unwrap_or("precompile failed").into(),
        HaltReason::PrecompileErrorWithContext(text) => precompile.map_or_else(|| text.clone(), Into::into),
    }
}

/// Standard base64 with padding, as the runtime puts revert bytes into its message.
pub(crate) fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let word = u32::from(chunk[0]) << 16
            | u32::from(chunk.get(1).copied().unwrap_or(0)) << 8
            | u32::from(chunk.get(2).copied().unwrap_or(0));
        for position in 0..4 {
            if position <= chunk.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * position) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_to_four() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }
}
