//! Why a simulated transaction may not run: the codes of `eth_simulateV1`, in go-ethereum's words.

use alloy_primitives::{Address, U256};
use revm::context::{TxEnv, result::InvalidTransaction};

use crate::{
    errors::ModuleError,
    failure::{CallFailure, EngineError},
};

/// JSON-RPC code of what go-ethereum has no code for.
pub const SERVER_ERROR: i64 = -32000;
/// JSON-RPC code of bad parameters.
const INVALID_PARAMETERS: i64 = -32602;
/// JSON-RPC code of what go-ethereum has no code for among reasons why a transaction may not run.
const INTERNAL_ERROR: i64 = -32603;
/// Name of the module whose codes are those of JSON-RPC, without their sign.
pub const SIMULATION: &str = "simulation";

/// The whole simulation is refused, with a code of JSON-RPC.
pub(crate) fn refused(code: i64, message: impl Into<String>) -> EngineError {
    let code = u32::try_from(code.unsigned_abs()).unwrap_or(u32::MAX);
    EngineError::Call(CallFailure::from(ModuleError { module: SIMULATION, code, message: message.into() }))
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
            (INTERNAL_ERROR, format!("nonce has max value: address {sender}, nonce: {}", transaction.nonce))
        }
        InvalidTransaction::GasPriceLessThanBasefee => (
            -38012,
            format!(
                "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {}, baseFee: {base_fee}",
                transaction.gas_price
            ),
        ),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => (
            INVALID_PARAMETERS,
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
        other => (INTERNAL_ERROR, other.to_string()),
    }
}

fn lacks_funds(sender: Address, have: U256, want: U256) -> String {
    format!("insufficient funds for gas * price + value: address {sender} have {have} want {want}")
}
