//! Why there is no chain, or no answer.

use alloy_primitives::{Address, Bytes};
use evm_core::failure::EngineError;
use revm::context::{TxEnv, result::InvalidTransaction};
use state_core::errors::StateError;

/// JSON-RPC code of what go-ethereum has no code for.
pub const SERVER_ERROR: i64 = -32000;

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

/// Why a transaction may not run: code of `eth_simulateV1`, and go-ethereum's words.
///
/// Source: go-ethereum `core/error.go`, `core/state_transition.go`, `internal/ethapi/errors.go`.
pub fn invalid(reason: &InvalidTransaction, transaction: &TxEnv, base_fee: u64) -> (i64, String) {
    let sender = transaction.caller;
    match reason {
        InvalidTransaction::NonceTooLow { tx, state } => {
            (-38010, format!("nonce too low: address {sender}, tx: {tx} state: {state}"))
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            (-38011, format!("nonce too high: address {sender}, tx: {tx} state: {state}"))
        }
        InvalidTransaction::NonceOverflowInTransaction => {
            (-32603, format!("nonce has max value: address {sender}, nonce: {}", transaction.nonce))
        }
        InvalidTransaction::GasPriceLessThanBasefee => (
            -38012,
            format!(
                "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {}, baseFee: {base_fee}",
                transaction.gas_price
            ),
        ),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => (
            SERVER_ERROR,
            format!(
                "max priority fee per gas higher than max fee per gas: address {sender}, maxPriorityFeePerGas: {}, \
                 maxFeePerGas: {}",
                transaction.gas_priority_fee.unwrap_or_default(),
                transaction.gas_price
            ),
        ),
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            (-38013, format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}"))
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            (-38013, format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}"))
        }
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => (-38014, lacks_funds(sender, **balance, **fee)),
        InvalidTransaction::CreateInitCodeSizeLimit => (-38025, "max initcode size exceeded".into()),
        other => (SERVER_ERROR, other.to_string()),
    }
}

fn lacks_funds(sender: Address, have: alloy_primitives::U256, want: alloy_primitives::U256) -> String {
    format!("insufficient funds for gas * price + value: address {sender} have {have} want {want}")
}
