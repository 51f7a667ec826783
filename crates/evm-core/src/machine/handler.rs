//! The phases of a transaction that differ from Ethereum's.

use revm::{
    context::{
        JournalTr,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    handler::{EvmTr, FrameResult, Handler, pre_execution::apply_eip7702_auth_list},
    inspector::{Inspector, InspectorHandler},
    interpreter::{GasTracker, InitialAndFloorGas, interpreter::EthInterpreter},
};

use super::{Machine, REFUND_QUOTIENT};
use crate::{
    context::SapphireContext,
    failure::{EngineError, HostError},
    modules::drop_reverted,
};

type Error = EVMError<EngineError, InvalidTransaction>;

/// Runs the EVM only: what a transaction owes, and whether it may run, is settled before and after it.
pub struct SapphireHandler<'e, O> {
    prepaid_gas: u64,
    intrinsic_gas: u64,
    machine: std::marker::PhantomData<fn(&'e (), O)>,
}

impl<O> SapphireHandler<'_, O> {
    pub(super) fn new(prepaid_gas: u64, intrinsic_gas: u64) -> Self {
        Self { prepaid_gas, intrinsic_gas, machine: std::marker::PhantomData }
    }
}

impl<'e, O> Handler for SapphireHandler<'e, O> {
    type Evm = Machine<'e, O>;
    type Error = Error;
    type HaltReason = HaltReason;

    fn validate_env(&self, _evm: &mut Self::Evm) -> Result<(), Error> {
        Ok(())
    }

    fn validate_initial_tx_gas(&self, evm: &mut Self::Evm) -> Result<InitialAndFloorGas, Error> {
        evm.ctx().chain.prepaid_gas = self.prepaid_gas;
        Ok(InitialAndFloorGas::new(self.prepaid_gas + self.intrinsic_gas, 0))
    }

    /// Loads (and so warms) the sender; its nonce and fee were settled before.
    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Error> {
        let context = evm.ctx();
        let caller = context.tx.caller;
        context.journaled_state.load_account_with_code(caller)?;
        Ok(())
    }

    /// Remembers who took on code: that stays, also where what runs then reverts or is not paid for (EIP-7702).
    fn apply_eip7702_auth_list(&self, evm: &mut Self::Evm, gas: &mut GasTracker) -> Result<Option<u64>, Error> {
        let context = evm.ctx();
        let refund = apply_eip7702_auth_list::<_, Error>(context, gas)?;
        if !context.tx.authorization_list.is_empty() {
            let changed = context.journaled_state.state.iter().filter(|(_, account)| account.is_touched());
            context.chain.delegated = changed.map(|(address, account)| (*address, account.clone())).collect();
        }
        Ok(refund)
    }

    /// The refund is capped by what the EVM used: size and signature are not part of it.
    fn refund(&self, _evm: &mut Self::Evm, result: &mut FrameResult, of_authorizations: i64) -> Result<(), Error> {
        let gas = result.gas_mut();
        gas.record_refund(of_authorizations);
        let used = gas.total_gas_spent().saturating_sub(self.prepaid_gas);
        let cap = i64::try_from(used / REFUND_QUOTIENT).unwrap_or(i64::MAX);
        gas.set_refund(gas.refunded().clamp(0, cap));
        Ok(())
    }

    fn reimburse_caller(&self, _evm: &mut Self::Evm, _result: &mut FrameResult) -> Result<(), Error> {
        Ok(())
    }

    /// Nobody is paid here. It is the last step before the journal is committed, which forgets what stands.
    fn reward_beneficiary(&self, evm: &mut Self::Evm, _result: &mut FrameResult) -> Result<(), Error> {
        drop_reverted(evm.ctx());
        Ok(())
    }
}

impl<'e, O: Inspector<SapphireContext<'e>>> InspectorHandler for SapphireHandler<'e, O> {
    type IT = EthInterpreter;
}

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            EVMError::Database(error) => error,
            other => HostError(other.to_string()).into(),
        }
    }
}
