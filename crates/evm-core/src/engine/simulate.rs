//! Calls that build on each other, in blocks that never were: `debug_traceCall`, `trace_callMany`, `eth_simulateV1`.

use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use alloy_rpc_types_eth::{BlockOverrides, state::StateOverride};
use revm::context::result::ExecutionResult;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use state_core::store::At;

use super::{Engine, execute::gas_used, pretence::pretend};
use crate::{
    config::INITCODE_LIMIT_BYTES,
    environment::Environment,
    failure::{EngineError, halt_reason},
    machine::{Machine, Message, Pricing},
    rng::{Mode, RootRng},
    tracing::{
        Budget, Limits, Onlooker, Style,
        render::{Ended, Place, render},
        too_large, unreadable, write_json,
    },
    transaction::gas_to_begin,
};

/// Calls of one simulation, over all blocks.
const MAX_CALLS: usize = 1_000;
/// Gas of one simulation in batches' worth. Source: go-ethereum's cap of 50 M gas for 30 M blocks, rounded up.
const MAX_BATCHES: u64 = 4;

/// What is to be simulated, as it comes in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Simulation {
    /// One after the other, each on the state that the one before it leaves.
    pub blocks: Vec<SimulatedBlock>,
    /// How each call is traced.
    pub style: Style,
}

/// Calls that see the same block.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimulatedBlock {
    /// What contracts see of it; where it says nothing they see the newest block.
    pub block: BlockOverrides,
    /// What of the state is changed before its calls.
    pub state: StateOverride,
    /// In order.
    pub calls: Vec<SimulatedCall>,
}

/// One call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimulatedCall {
    /// Sender, believed.
    pub from: Address,
    /// None creates a contract.
    pub to: Option<Address>,
    /// Limit; the batch's where there is none [gas].
    pub gas: Option<U64>,
    /// What `GASPRICE` shows; nothing is paid [base units/gas].
    pub gas_price: U256,
    /// Value sent [base units].
    pub value: U256,
    /// Calldata.
    pub data: Bytes,
    /// Accounts that take on code before it (EIP-7702).
    pub authorization_list: Vec<SignedAuthorization>,
    /// Trace of this call alone, instead of the simulation's.
    pub style: Option<Style>,
}

/// How a call ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'r> {
    status: bool,
    gas_used: u64,
    output: Bytes,
    /// Why it halted; None for a success or a revert.
    halt: Option<String>,
    logs: &'r [Log],
    trace: &'r RawValue,
}

impl Engine {
    /// Runs a simulation on a state and drops its changes. Gives JSON: for each block a list of its calls' outcomes.
    ///
    /// # Errors
    /// `trace` 2 and 3: the simulation cannot be read or asks for what is not here; it costs more than `limits`.
    pub fn simulate_blocks(
        &self,
        environment: &Environment,
        at: impl Into<At>,
        request: &[u8],
        limits: Limits,
    ) -> Result<Vec<u8>, EngineError> {
        let Simulation { blocks, style }: Simulation =
            serde_json::from_slice(request).map_err(|error| unreadable(error.to_string()))?;
        if blocks.iter().map(|block| block.calls.len()).sum::<usize>() > MAX_CALLS {
            return Err(too_large(format!("more than {MAX_CALLS} calls")));
        }
        let database = self.database(environment, at.into())?;
        let min_gas_price = self.min_gas_price_at(database.snapshot())?;
        let root_rng = RootRng::new(&environment.rng_key, Mode::Simulate);
        let onlooker = Onlooker::new(Budget::new(limits.recorded_bytes, limits.deadline(&style)?));
        let mut simulator = Simulator {
            machine: Machine::new(
                &self.config,
                environment,
                min_gas_price,
                Pricing::Exact,
                self.subcalls.as_deref(),
                root_rng.fork(&B256::ZERO.0),
                database,
                onlooker,
            ),
            gas_left: self.config.batch_gas_limit.saturating_mul(MAX_BATCHES),
            call_gas_limit: self.config.batch_gas_limit,
        };
        let mut answer = b"[".to_vec();
        for (position, block) in blocks.iter().enumerate() {
            simulator.enter(block)?;
            answer.extend_from_slice(if position > 0 { b",[" } else { b"[" });
            for (position, call) in block.calls.iter().enumerate() {
                if position > 0 {
                    answer.push(b',');
                }
                let bytes_left = limits.answer_bytes.saturating_sub(answer.len());
                answer.append(&mut simulator.run(call, &style, bytes_left)?);
            }
            answer.push(b']');
        }
        answer.push(b']');
        Ok(answer)
    }
}

struct Simulator<'e> {
    machine: Machine<'e, Onlooker>,
    gas_left: u64,
    call_gas_limit: u64,
}

impl Simulator<'_> {
    fn enter(&mut self, block: &SimulatedBlock) -> Result<(), EngineError> {
        pretend(&mut self.machine, &block.state, &block.block)
    }

    fn run(&mut self, call: &SimulatedCall, style: &Style, bytes_left: usize) -> Result<Vec<u8>, EngineError> {
        let style = call.style.as_ref().unwrap_or(style);
        let message = self.message(call)?;
        let before = self.machine.database().nonce_and_balance(call.from)?;
        self.machine.observed().0.watch(style)?;
        let can_begin = message.intrinsic_gas <= message.gas_limit
            && (message.to.is_some() || message.data.len() <= INITCODE_LIMIT_BYTES);
        let run = if can_begin {
            let run = self.machine.run(&message);
            self.machine.observed().0.verdict()?;
            Some(run?)
        } else {
            self.machine.prepare(&message);
            None
        };
        let gas_used = run.as_ref().map_or(message.gas_limit, |run| gas_used(&run.result));
        self.gas_left = self.gas_left.saturating_sub(gas_used);
        let is_dropped = run.as_ref().is_none_or(|run| !run.result.is_success());
        let ended = Ended {
            run: run.as_ref().map(|run| (&run.result, &run.state)),
            gas_used,
            is_dropped,
            sender: call.from,
            before,
            fee: U256::ZERO,
            fee_taken: U256::ZERO,
        };
        let (onlooker, context) = self.machine.observed();
        let trace = render(onlooker, context, style, &ended, Place::default(), bytes_left)?;
        let trace: Box<RawValue> =
            serde_json::from_slice(&trace).map_err(|error| EngineError::Config(error.to_string()))?;
        let outcome = match run.as_ref().map(|run| &run.result) {
            Some(ExecutionResult::Success { logs, output, .. }) => {
                Outcome { status: true, gas_used, output: output.data().clone(), halt: None, logs, trace: &trace }
            }
            Some(ExecutionResult::Revert { output, .. }) => {
                Outcome { status: false, gas_used, output: output.clone(), halt: None, logs: &[], trace: &trace }
            }
            halted => {
                let halt = match halted {
                    Some(ExecutionResult::Halt { reason, .. }) => halt_reason(reason, None),
                    _ => "out of gas".into(),
                };
                Outcome { status: false, gas_used, output: Bytes::new(), halt: Some(halt), logs: &[], trace: &trace }
            }
        };
        let text = write_json(&outcome, bytes_left)?;
        match run {
            Some(run) if !is_dropped => self.machine.database().apply(run.state)?,
            run => {
                self.machine.database().discard();
                self.machine.database().apply(run.map(|run| run.delegated).unwrap_or_default())?;
            }
        }
        let (nonce, balance) = self.machine.database().nonce_and_balance(call.from)?;
        self.machine.database().set_nonce_and_balance(call.from, nonce.max(before.0.saturating_add(1)), balance)?;
        Ok(text)
    }

    fn message(&self, call: &SimulatedCall) -> Result<Message, EngineError> {
        let gas_limit = call.gas.map_or(self.call_gas_limit, |gas| gas.to::<u64>()).min(self.call_gas_limit);
        if self.gas_left == 0 {
            return Err(too_large("the simulation uses more gas than it may"));
        }
        Ok(Message {
            caller: call.from,
            to: call.to,
            value: call.value,
            intrinsic_gas: gas_to_begin(&call.data, call.to.is_none(), call.authorization_list.len()),
            data: call.data.clone(),
            gas_limit: gas_limit.min(self.gas_left),
            gas_price: u128::try_from(call.gas_price).map_err(|_| unreadable("gasPrice over 128 bits"))?,
            prepaid_gas: 0,
            authorizations: call.authorization_list.clone(),
        })
    }
}
