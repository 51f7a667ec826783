//! Why there is no chain, or no answer.

use alloy_primitives::Bytes;
use evm_core::failure::EngineError;
pub use evm_core::refusals::{SERVER_ERROR, invalid};
use state_core::errors::StateError;

/// Why there is no chain, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The genesis or a block is not what it must be.
    #[error("{0}")]
    Import(String),
    /// A question is refused, in go-ethereum's words.
    #[error("{message}")]
    Refused {
        /// Of JSON-RPC.
        code: i64,
        /// What is wrong.
        message: String,
        /// Revert data.
        data: Option<Bytes>,
    },
    /// The machine or its state failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::Engine(error.into())
    }
}

/// Outcome of an import or a question.
pub type Result<T> = std::result::Result<T, Failure>;

/// The chain cannot be imported.
pub fn import(why: impl Into<String>) -> Failure {
    Failure::Import(why.into())
}

/// The question is refused.
pub fn refused(code: i64, message: impl Into<String>) -> Failure {
    Failure::Refused { code, message: message.into(), data: None }
}

/// The parameters cannot be read.
pub fn unreadable(error: impl std::fmt::Display) -> Failure {
    refused(-32602, error.to_string())
}
