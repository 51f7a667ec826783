//! Traces: transactions of a block run again, and calls that never were, under the onlookers of `evm-core`.

use alloy_primitives::{Bytes, Log, U256};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use evm_core::{
    precompiles::Moved,
    tracing::{
        Budget, Limits, Onlooker, Style,
        render::{Ended, Place, render},
        write_json,
    },
};
use revm::context::result::ExecutionResult;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    call::GAS_CAP,
    chain::Chain,
    failure::{Failure, Result, SERVER_ERROR, refused, unreadable},
    ledger::{Working, block_environment},
    run::{Prepared, transaction_environment},
    words::halted,
};

/// Calls of one simulation, over all blocks.
const MAX_CALLS: usize = 1_000;

/// Calls in blocks that never were, as `evm_core::engine` takes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Simulation {
    blocks: Vec<SimulatedBlock>,
    style: Style,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SimulatedBlock {
    block: BlockOverrides,
    state: StateOverride,
    calls: Vec<SimulatedCall>,
}

#[derive(Deserialize)]
struct SimulatedCall {
    #[serde(flatten)]
    call: TransactionRequest,
    style: Option<Style>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'r> {
    status: bool,
    gas_used: u64,
    output: Bytes,
    halt: Option<String>,
    logs: &'r [Log],
    trace: &'r RawValue,
}

impl Chain<'_> {
    /// Runs the transactions of a block again and traces all of them, or one. Gives JSON of each.
    ///
    /// # Errors
    /// `Refused`: there is no such block, or its trace cannot be had in this style.
    pub fn trace(&self, number: u64, wanted: Option<usize>, style: &[u8], limits: Limits) -> Result<Vec<Vec<u8>>> {
        let style = Style::parse(style)?;
        let imported = self.block(number)?;
        let parent = number.checked_sub(1).ok_or_else(|| refused(SERVER_ERROR, "genesis is not traceable"))?;
        let (rules, header) = (&imported.rules, &imported.block.header);
        let env = block_environment(rules, header);
        let mut working = self.state_after(parent)?;
        working.begin(rules, &env, header.parent_hash, header.parent_beacon_block_root)?;
        let deadline = limits.deadline(&style)?;
        let (mut traces, mut bytes_left) = (Vec::new(), limits.answer_bytes);
        for (index, envelope) in imported.block.body.transactions.iter().enumerate() {
            let is_wanted = wanted.is_none_or(|wanted| wanted == index);
            let mut onlooker = Onlooker::new(Budget::new(limits.recorded_bytes, deadline));
            if is_wanted {
                onlooker.watch(&style)?;
            }
            let place = Place {
                hash: Some(*envelope.tx_hash()),
                index: Some(index as u64),
                block_hash: Some(imported.hash),
                number: Some(number),
            };
            let message = transaction_environment(envelope, imported.executed[index].sender);
            let prepared = (rules.cfg.clone(), env.clone(), message);
            let (trace, result) = watched(&mut working, &prepared, &Moved::new(), onlooker, &style, place, bytes_left)?;
            if result.tx_gas_used() != imported.executed[index].gas_used {
                return Err(refused(
                    SERVER_ERROR,
                    format!("the replay of block {number} ends otherwise than the block"),
                ));
            }
            if is_wanted {
                bytes_left -= trace.len();
                traces.push(trace);
            }
            if wanted == Some(index) {
                break;
            }
        }
        Ok(traces)
    }

    /// Runs calls after a block and drops their changes; the form of both sides is that of
    /// `evm_core::engine::Engine::simulate_blocks`.
    pub fn simulate_calls(&self, number: u64, request: &[u8], limits: Limits) -> Result<Vec<u8>> {
        let Simulation { blocks, style }: Simulation = serde_json::from_slice(request).map_err(unreadable)?;
        if blocks.iter().map(|block| block.calls.len()).sum::<usize>() > MAX_CALLS {
            return Err(refused(SERVER_ERROR, format!("more than {MAX_CALLS} calls")));
        }
        let deadline = limits.deadline(&style)?;
        let mut stage = self.stage(number)?;
        let mut answer = b"[".to_vec();
        for (position, block) in blocks.iter().enumerate() {
            stage.see(&block.block)?;
            stage.pretend(&block.state)?;
            answer.extend_from_slice(if position > 0 { b",{\"calls\":[" } else { b"{\"calls\":[" });
            for (position, SimulatedCall { call, style: own }) in block.calls.iter().enumerate() {
                if position > 0 {
                    answer.push(b',');
                }
                let style = own.as_ref().unwrap_or(&style);
                let message = stage.message(call, call.gas.unwrap_or(GAS_CAP).min(GAS_CAP))?;
                let mut onlooker = Onlooker::new(Budget::new(limits.recorded_bytes, deadline));
                onlooker.watch(style)?;
                let bytes_left = limits.answer_bytes.saturating_sub(answer.len());
                let (prepared, moved) = (stage.prepared(message), stage.moves.moved().clone());
                let (trace, result) =
                    watched(&mut stage.working, &prepared, &moved, onlooker, style, Place::default(), bytes_left)?;
                let trace: Box<RawValue> = serde_json::from_slice(&trace).map_err(unreadable)?;
                let outcome = Outcome {
                    status: result.is_success(),
                    gas_used: result.tx_gas_used(),
                    output: result.output().cloned().unwrap_or_default(),
                    halt: match &result {
                        ExecutionResult::Halt { reason, .. } => Some(halted(reason)),
                        _ => None,
                    },
                    logs: if result.is_success() { result.logs() } else { &[] },
                    trace: &trace,
                };
                answer.append(&mut write_json(&outcome, bytes_left)?);
            }
            answer.extend_from_slice(b"]}");
        }
        answer.push(b']');
        Ok(answer)
    }
}

fn watched(
    working: &mut Working<'_>,
    prepared: &Prepared,
    moved: &Moved,
    onlooker: Onlooker,
    style: &Style,
    place: Place,
    bytes_left: usize,
) -> Result<(Vec<u8>, ExecutionResult)> {
    let sender = prepared.2.caller;
    let before = working.database()?.nonce_and_balance(sender)?;
    let mut trace = Vec::new();
    let ran = working.transact(prepared, moved, onlooker, |machine, result, state| {
        let (onlooker, context) = machine.observed();
        onlooker.verdict()?;
        let ended = Ended {
            run: Some((result, state)),
            gas_used: result.tx_gas_used(),
            is_dropped: false,
            sender,
            before,
            fee: U256::ZERO,
            fee_taken: U256::ZERO,
        };
        trace = render(onlooker, context, style, &ended, place, bytes_left)?;
        Ok(())
    })?;
    let result = ran.map_err(|reason| {
        let (code, why) = crate::failure::invalid(&reason, &prepared.2, prepared.1.basefee);
        Failure::Refused { code, message: why, data: None }
    })?;
    Ok((trace, result))
}
