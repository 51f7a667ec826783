//! The instruction table, and `SSTORE` as an estimate prices it.

use revm::{
    bytecode::opcode::SSTORE,
    handler::instructions::EthInstructions,
    interpreter::{
        Host, Instruction, InstructionContext, InstructionExecResult, InstructionResult, instructions::host,
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use super::Pricing;
use crate::context::SapphireContext;

/// The instructions of a fork, with the given pricing of storage writes.
pub(super) fn table<'e>(fork: SpecId, pricing: Pricing) -> EthInstructions<EthInterpreter, SapphireContext<'e>> {
    let mut table = EthInstructions::new_mainnet_with_spec(fork);
    if pricing == Pricing::Estimate {
        table.insert_instruction(SSTORE, Instruction::new(sstore_estimate), 0);
    }
    table
}

/// Prices every write as if it set a fresh slot and refunds nothing.
///
/// The estimate runs with a zero sender, so `owner = msg.sender` writes zero over zero and would look
/// almost free. Source: oasisprotocol/evm `gasometer/src/costs.rs` @ 13a30bf (`sstore_cost`).
fn sstore_estimate(context: InstructionContext<'_, SapphireContext<'_>, EthInterpreter>) -> InstructionExecResult {
    host::sstore_with_gas_accounting(context, |context, _, load| {
        let params = context.host.gas_params();
        let cold = if load.is_cold { params.cold_storage_cost() } else { 0 };
        if context.interpreter.gas.record_regular_cost(params.sstore_set_without_load_cost() + cold) {
            Ok(())
        } else {
            Err(InstructionResult::OutOfGas)
        }
    })
}
