//! `core.EstimateGas`: gas of a transaction of the SDK's format that nobody has signed yet.

use alloy_primitives::Address;
use state_core::{
    cbor::{self, Fields, Value},
    store::At,
};

use super::{
    Engine,
    estimate::least_sufficient,
    sdk::{OpenedCall, malformed},
};
use crate::{
    config::Profile,
    environment::Environment,
    errors::ModuleError,
    failure::{CallFailure, EngineError, execution_failed, halt_reason, reverted},
    layout::placeholder_address,
    machine::{Message, Pricing, Run},
    sdk_transaction,
    transaction::Transaction,
};
use revm::context::result::ExecutionResult;

/// What is asked: `{tx, caller, propagate_failures}`.
struct Question {
    transaction: Transaction,
    propagates: bool,
}

impl Question {
    /// A confidential chain has nobody's word for who asks, so that nobody is who sends.
    fn read(arguments: &[u8], cap: u64, keeps_sender: bool) -> Result<Self, ModuleError> {
        let mut fields = cbor::decode(arguments).ok().and_then(Fields::of).ok_or_else(malformed)?;
        let asked = fields.take("tx").ok_or_else(malformed)?;
        let caller = fields.take("caller").map(|caller| address_of(caller).ok_or_else(malformed)).transpose()?;
        let propagates = match fields.take("propagate_failures") {
            None => false,
            Some(Value::Bool(propagates)) => propagates,
            Some(_) => return Err(malformed()),
        };
        let mut transaction = sdk_transaction::unsigned(asked, cap)?;
        if !keeps_sender {
            transaction.sender = Address::ZERO;
        } else if let Some(caller) = caller {
            transaction.sender = caller;
        }
        Ok(Self { transaction, propagates: propagates && keeps_sender })
    }
}

/// `{address}` or `{eth_address}`.
fn address_of(caller: Value) -> Option<Address> {
    let mut fields = Fields::of(caller)?;
    match (fields.take("address"), fields.take("eth_address")) {
        (Some(native), None) => Some(placeholder_address(&native.into_bytes()?.try_into().ok()?)),
        (None, Some(ethereum)) => <[u8; 20]>::try_from(ethereum.into_bytes()?).ok().map(Address::new),
        _ => None,
    }
}

impl Engine {
    /// Gas that a transaction should need, whatever its fee says: what it uses, also where it fails, and for a call of
    /// the EVM that fails 2,000,000 more.
    ///
    /// Source: oasis-sdk `runtime-sdk/src/modules/core/mod.rs` @ 00da39c, `query_estimate_gas`.
    ///
    /// # Errors
    /// [`EngineError::Call`] where the transaction is none, and with why it fails where the question says so.
    pub fn estimate_sdk_gas(
        &self,
        environment: &Environment,
        at: impl Into<At>,
        arguments: &[u8],
    ) -> Result<u64, EngineError> {
        let (at, cap) = (at.into(), self.config.batch_gas_limit);
        let refuse = |error: ModuleError| EngineError::Call(CallFailure::from(error));
        let keeps_sender = !self.config.confidential || self.config.profile == Profile::Dev;
        let Question { transaction, propagates } = Question::read(arguments, cap, keeps_sender).map_err(refuse)?;
        let Some(parts) = transaction.sdk.as_deref() else { return Err(refuse(malformed())) };
        let prepaid_gas = transaction.prepaid_gas(&self.config);
        let failed = |gas: u64, error: ModuleError, is_evm: bool| {
            if propagates {
                return Err(refuse(error));
            }
            let extra = if is_evm { self.config.estimate_extra_fail_gas } else { 0 };
            Ok(gas.saturating_add(extra).min(cap))
        };
        let opened = match OpenedCall::open(parts, environment) {
            Ok(opened) => opened,
            Err(error) => return failed(prepaid_gas, error, false),
        };
        let is_evm = opened.is_evm();
        let message = match opened.message(&transaction, parts, transaction.max_fee, prepaid_gas) {
            Ok(message) => message,
            Err(error) => return failed(prepaid_gas, error, is_evm),
        };
        let run = |gas_limit, pricing| {
            let message = Message { gas_limit, ..message.clone() };
            self.simulate(environment, self.database(environment, at)?, &message, pricing, None)
        };
        let first = match run(cap, Pricing::Estimate)? {
            Ok(first) => first,
            Err(error) => return failed(prepaid_gas + message.intrinsic_gas, error, is_evm),
        };
        // What is refunded must be paid first.
        let mut estimate = first.result.gas().total_gas_spent();
        if let Some(error) = failure(&opened, &first) {
            return failed(estimate, error, is_evm);
        }
        let suffices = |gas_limit| -> Result<bool, EngineError> {
            Ok(run(gas_limit, Pricing::Exact)?.is_ok_and(|run| failure(&opened, &run).is_none()))
        };
        if first.nested && !suffices(estimate)? {
            estimate = least_sufficient(estimate, cap, suffices)?;
        }
        Ok(estimate.min(cap))
    }
}

/// Why a run did not do what it should.
fn failure(opened: &OpenedCall, run: &Run) -> Option<ModuleError> {
    match &run.result {
        ExecutionResult::Success { output, .. } => opened.read_output(output.data()).err(),
        ExecutionResult::Revert { output, .. } => Some(reverted(output).error),
        ExecutionResult::Halt { reason, .. } => Some(execution_failed(&halt_reason(reason, None))),
    }
}
