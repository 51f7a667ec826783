//! Creations that meet storage (EIP-7610).

use revm::{
    context::{ContextTr, JournalTr, journaled_state::account::JournaledAccountTr},
    interpreter::{CreateInputs, CreateOutcome, Gas, InstructionResult, InterpreterResult},
    primitives::constants::CALL_STACK_LIMIT,
};

use crate::{context::SapphireContext, failure::EngineError};

/// The outcome of a creation at an address that has storage, though neither code nor nonce: it fails as it does
/// where there is code. No transaction makes such an account, but an edit of the state or a genesis file may.
///
/// revm looks at code and nonce itself, and at everything that fails a creation before its address matters.
pub(super) fn meets_storage(
    context: &mut SapphireContext<'_>,
    inputs: &CreateInputs,
    depth: usize,
) -> Result<Option<CreateOutcome>, EngineError> {
    let journal = context.journal_mut();
    let caller = journal.load_account(inputs.caller())?;
    let (nonce, balance) = (caller.info.nonce, caller.info.balance);
    if depth > CALL_STACK_LIMIT as usize || balance < inputs.value() || nonce == u64::MAX {
        return Ok(None);
    }
    let address = inputs.created_address(nonce);
    if !journal.db_mut().has_storage(address)? {
        return Ok(None);
    }
    let target = journal.load_account(address)?;
    if target.info.nonce != 0 || !target.info.is_empty_code_hash() {
        return Ok(None);
    }
    journal.load_account_mut(inputs.caller())?.bump_nonce();
    let gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit(), inputs.reservoir());
    Ok(Some(CreateOutcome {
        result: InterpreterResult { result: InstructionResult::CreateCollision, gas, output: Default::default() },
        address: None,
        charged_create_state_gas: inputs.charged_create_state_gas(),
    }))
}
