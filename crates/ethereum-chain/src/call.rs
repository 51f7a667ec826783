//! Calls on the state after a block: `eth_call`, `eth_estimateGas`; and what they may pretend.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use revm::{
    Database,
    context::result::{ExecutionResult, HaltReason, InvalidTransaction},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    accounts::AccountProof,
    chain::Chain,
    failure::{Failure, Result, SERVER_ERROR, invalid, refused, unreadable},
    shown::{lower, quantity},
    stage::Stage,
    words::{halted, reverted},
};

/// Gas of a call that names none, and the most of any. Source: go-ethereum `eth/ethconfig` (`RPCGasCap`).
pub const GAS_CAP: u64 = 50_000_000;
/// Gas that a call with value is given on top.
const CALL_STIPEND: u64 = 2_300;
/// What a transfer costs [gas].
const TRANSFER_GAS: u64 = 21_000;
/// Code of a revert. Source: go-ethereum `internal/ethapi/errors.go`.
pub const REVERT_CODE: i64 = 3;

/// A call, and what is pretended around it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Question {
    /// As clients send it.
    pub call: TransactionRequest,
    /// Of accounts.
    pub state: StateOverride,
    /// Of the block.
    pub block: BlockOverrides,
}

impl Question {
    /// Reads it in JSON.
    pub fn read(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text).map_err(unreadable)
    }
}

impl Chain<'_> {
    fn pretend(&self, number: u64, question: &Question) -> Result<Stage<'_>> {
        let mut stage = self.stage(number)?;
        stage.see(&question.block)?;
        stage.pretend(&question.state)?;
        Ok(stage)
    }

    /// What a call returns.
    ///
    /// # Errors
    /// `Refused`: it reverts (3, with the data), halts, or may not run.
    pub fn call(&self, number: u64, question: &Question) -> Result<Bytes> {
        let mut stage = self.pretend(number, question)?;
        let gas = question.call.gas.unwrap_or(GAS_CAP).min(GAS_CAP);
        let message = stage.message(&question.call, gas)?;
        output(stage.run(message)?.0)
    }

    /// Least gas with which a call succeeds [gas].
    ///
    /// # Errors
    /// `Refused`: it fails with all the gas that it may have.
    ///
    /// Source: go-ethereum `eth/gasestimator`. Differs: it is exact, where theirs may be 1.5 % above.
    pub fn estimate_gas(&self, number: u64, question: &Question) -> Result<u64> {
        let call = &question.call;
        let try_with = |gas: u64| {
            let mut stage = self.pretend(number, question)?;
            let message = stage.message(call, gas)?;
            stage.attempt(message)
        };
        let block_limit = self.pretend(number, question)?.env.gas_limit;
        let mut high = call.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(block_limit).min(GAS_CAP);
        if let Some(affordable) = self.affordable(number, question)? {
            high = high.min(affordable);
        }
        let is_transfer = call.input.input().is_none_or(|data| data.is_empty())
            && call.authorization_list.is_none()
            && call.access_list.is_none()
            && call.to.is_some();
        if is_transfer && matches!(try_with(TRANSFER_GAS), Ok(Ok(result)) if result.is_success()) {
            return Ok(TRANSFER_GAS);
        }
        let whole = match try_with(high)? {
            Ok(result) => result,
            Err(InvalidTransaction::CallGasCostMoreThanGasLimit { .. }) => {
                return Err(refused(SERVER_ERROR, format!("gas required exceeds allowance ({high})")));
            }
            Err(reason) => return Err(self.refusal(number, question, &reason)?),
        };
        let (used, peak) = (whole.tx_gas_used(), whole.gas().total_gas_spent());
        if matches!(whole, ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. }) {
            return Err(refused(SERVER_ERROR, format!("gas required exceeds allowance ({high})")));
        }
        output(whole)?;
        let mut low = used.saturating_sub(1);
        let succeeds = |gas: u64| Ok::<_, Failure>(matches!(try_with(gas)?, Ok(result) if result.is_success()));
        let likely = (peak + CALL_STIPEND) * 64 / 63;
        if likely < high {
            if succeeds(likely)? { high = likely } else { low = likely }
        }
        while low + 1 < high {
            // Most calls need little more than they use.
            let middle = low.midpoint(high).min(low * 2);
            if succeeds(middle)? { high = middle } else { low = middle }
        }
        Ok(high)
    }

    /// Most gas that the sender can pay; None where it pays nothing.
    fn affordable(&self, number: u64, question: &Question) -> Result<Option<u64>> {
        let call = &question.call;
        let price = call.gas_price.or(call.max_fee_per_gas).unwrap_or_default();
        if price == 0 {
            return Ok(None);
        }
        let mut stage = self.pretend(number, question)?;
        let (_, balance) = stage.working.database()?.nonce_and_balance(call.from.unwrap_or_default())?;
        let value = call.value.unwrap_or_default();
        let rest =
            balance.checked_sub(value).ok_or_else(|| refused(SERVER_ERROR, "insufficient funds for transfer"))?;
        Ok(Some((rest / U256::from(price)).saturating_to()))
    }

    fn refusal(&self, number: u64, question: &Question, reason: &InvalidTransaction) -> Result<Failure> {
        let stage = self.pretend(number, question)?;
        let message = stage.message(&question.call, 0)?;
        Ok(refused(SERVER_ERROR, invalid(reason, &message, stage.env.basefee).1))
    }

    /// Nonce, balance and code of an account.
    pub fn account(&self, number: u64, address: Address) -> Result<(u64, U256, Bytes)> {
        let mut working = self.state_after(number)?;
        let info = working.database()?.basic(address)?.unwrap_or_default();
        let code = match info.code {
            Some(code) => code,
            None => working.database()?.code_by_hash(info.code_hash)?,
        };
        Ok((info.nonce, info.balance, code.original_bytes()))
    }

    /// A slot.
    pub fn storage(&self, number: u64, address: Address, slot: U256) -> Result<U256> {
        let mut working = self.state_after(number)?;
        Ok(working.database()?.storage(address, slot)?)
    }

    /// `eth_getProof`: `named` are slots, and how the client wrote them.
    pub fn proof(&self, number: u64, address: Address, named: &[(B256, String)]) -> Result<Value> {
        let mut working = self.state_after(number)?;
        let accounts = working.accounts.clone();
        let slots: Vec<B256> = named.iter().map(|(slot, _)| *slot).collect();
        let AccountProof { account, nodes, slots } = accounts.proof(working.database()?, address, &slots)?;
        let storage = named
            .iter()
            .zip(slots)
            .map(|((_, key), (value, nodes))| json!({"key": key, "value": quantity(value), "proof": nodes}));
        Ok(json!({
            "address": lower(address),
            "accountProof": nodes,
            "balance": quantity(account.balance),
            "codeHash": account.code_hash,
            "nonce": quantity(account.nonce),
            "storageHash": account.storage_root,
            "storageProof": storage.collect::<Vec<_>>(),
        }))
    }
}

fn output(result: ExecutionResult) -> Result<Bytes> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => {
            Err(Failure::Refused { code: REVERT_CODE, message: reverted(&output), data: Some(output) })
        }
        ExecutionResult::Halt { reason, .. } => Err(refused(SERVER_ERROR, halted(&reason))),
    }
}
