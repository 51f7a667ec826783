//! What was recorded of a transaction, as JSON.

use std::cell::RefCell;

use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::GethTrace;
use revm::{
    Database, DatabaseRef,
    bytecode::Bytecode,
    context::{
        BlockEnv, JournalTr, TxEnv,
        result::{ExecutionResult, HaltReason, OutOfGasError, ResultAndState, ResultGas},
    },
    state::{Account, AccountInfo, EvmState},
};
use revm_inspectors::tracing::{DebugInspectorError, TransactionContext};

use super::{Onlooker, Style, onlooker::Recorder, write_json};
use crate::{context::SapphireContext, database::StateDatabase, failure::EngineError};

/// Where a transaction stands in the chain; nowhere for a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Of the transaction.
    pub hash: Option<B256>,
    /// In its block.
    pub index: Option<u64>,
    /// Of its block.
    pub block_hash: Option<B256>,
    /// The round that holds it, which is not the number that contracts see.
    pub number: Option<u64>,
}

/// How a transaction ended: its run, and what it owes outside the EVM.
pub struct Ended<'r> {
    /// None where it was refused before its first step.
    pub run: Option<(&'r ExecutionResult, &'r EvmState)>,
    /// Gas that it is charged [gas].
    pub gas_used: u64,
    /// Its changes are dropped, whatever the EVM said.
    pub is_dropped: bool,
    /// Who pays.
    pub sender: Address,
    /// The sender's nonce and balance before it.
    pub before: (u64, U256),
    /// Fee that it pays in the end, and what of it the run's state has already taken [base units].
    pub fee: U256,
    /// Part of `fee`.
    pub fee_taken: U256,
}

impl Ended<'_> {
    /// Result and state as a chain without Sapphire's own costs would give them.
    fn settled(&self) -> ResultAndState {
        let gas = ResultGas::default().with_total_gas_spent(self.gas_used);
        let halted =
            || ExecutionResult::Halt { reason: HaltReason::OutOfGas(OutOfGasError::Basic), gas, logs: Vec::new() };
        let (mut result, mut state) = match self.run {
            Some((result, state)) if !(self.is_dropped && result.is_success()) => (result.clone(), state.clone()),
            Some((_, state)) => (halted(), state.clone()),
            None => (halted(), EvmState::default()),
        };
        match &mut result {
            ExecutionResult::Success { gas: spent, .. }
            | ExecutionResult::Revert { gas: spent, .. }
            | ExecutionResult::Halt { gas: spent, .. } => *spent = gas,
        }
        if self.is_dropped {
            for account in state.values_mut() {
                account.info = account.original_info();
                for slot in account.storage.values_mut() {
                    slot.present_value = slot.original_value;
                }
            }
        }
        let (nonce, balance) = self.before;
        let sender = state.entry(self.sender).or_insert_with(|| {
            Account::from(AccountInfo { nonce, balance: balance.saturating_sub(self.fee_taken), ..Default::default() })
        });
        sender.info.nonce = sender.info.nonce.max(nonce.saturating_add(1));
        sender.info.balance = sender.info.balance.wrapping_add(self.fee_taken).wrapping_sub(self.fee);
        sender.mark_touch();
        ResultAndState::new(result, state)
    }
}

/// The state before a transaction, its sender as it was before the fee was taken.
struct Before<'d, 'e> {
    database: RefCell<&'d mut StateDatabase<'e>>,
    sender: Address,
    sender_before: (u64, U256),
}

impl DatabaseRef for Before<'_, '_> {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, EngineError> {
        let info = self.database.borrow_mut().basic(address)?;
        if address != self.sender {
            return Ok(info);
        }
        let (nonce, balance) = self.sender_before;
        Ok(Some(AccountInfo { nonce, balance, ..info.unwrap_or_default() }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, EngineError> {
        self.database.borrow_mut().code_by_hash(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, EngineError> {
        self.database.borrow_mut().storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, EngineError> {
        self.database.borrow_mut().block_hash(number)
    }
}

/// Makes JSON of what the onlooker has of a transaction, of at most `limit` bytes.
///
/// To be called before the changes of the transaction are in the database.
pub fn render(
    onlooker: &mut Onlooker,
    context: &mut SapphireContext<'_>,
    style: &Style,
    ended: &Ended<'_>,
    place: Place,
    limit: usize,
) -> Result<Vec<u8>, EngineError> {
    let (transaction, mut block) = (context.tx.clone(), context.block.clone());
    if let Some(number) = place.number {
        block.number = U256::from(number);
    }
    let settled = ended.settled();
    let mut before = Before {
        database: RefCell::new(context.journaled_state.db_mut()),
        sender: ended.sender,
        sender_before: ended.before,
    };
    match (std::mem::replace(&mut onlooker.recorder, Recorder::Nobody), style) {
        (Recorder::Geth(debug), _) => {
            write_json(&geth(*debug, &transaction, &block, place, &settled, &mut before)?, limit)
        }
        (Recorder::Parity(recorder), Style::Parity(types)) => {
            let results = recorder.into_parity_builder().into_trace_results_with_state(&settled, types, before)?;
            write_json(&results, limit)
        }
        (Recorder::Parity(recorder), _) => {
            let info = TransactionInfo {
                hash: place.hash,
                index: place.index,
                block_hash: place.block_hash,
                block_number: place.number,
                ..Default::default()
            };
            write_json(&recorder.into_parity_builder().into_localized_transaction_traces(info), limit)
        }
        (Recorder::Operations(recorder), _) => write_json(&recorder.into_operations(), limit),
        (Recorder::AccessList(recorder), _) => write_json(&recorder.into_access_list(), limit),
        (Recorder::Transfers(_) | Recorder::Nobody, _) => Ok(b"null".to_vec()),
    }
}

fn geth(
    mut debug: revm_inspectors::tracing::DebugInspector,
    transaction: &TxEnv,
    block: &BlockEnv,
    place: Place,
    settled: &ResultAndState,
    before: &mut Before<'_, '_>,
) -> Result<GethTrace, EngineError> {
    let context = TransactionContext {
        block_hash: place.block_hash,
        tx_index: place.index.and_then(|index| usize::try_from(index).ok()),
        tx_hash: place.hash,
    };
    debug.get_result(Some(context), transaction, block, settled, before).map_err(|error| match error {
        DebugInspectorError::Database(error) => error,
        other => super::unreadable(other.to_string()),
    })
}
