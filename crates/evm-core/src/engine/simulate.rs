//! Calls that build on each other, in blocks that never were: `debug_traceCall`, `trace_callMany`, `eth_simulateV1`.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use revm::{
    context::{BlockEnv, result::ExecutionResult},
    primitives::hardfork::SpecId,
};
use serde_json::value::RawValue;
use state_core::store::At;

use super::{
    Engine,
    execute::gas_used,
    pretence::pretend,
    simulation::{Outcome, PlacedLog, Seen, SimulatedBlock, SimulatedCall, Simulation},
    terms::{Checks, Ground, Terms},
};
use crate::{
    attested::{AttestedHost, Pretended},
    config::{ChainConfig, INITCODE_LIMIT_BYTES},
    environment::Environment,
    failure::{EngineError, halt_reason},
    fees::next_min_gas_price,
    machine::{Machine, Message, Pricing, Run},
    rng::{Mode, RootRng},
    tracing::{
        Budget, Limits, Onlooker, Style,
        render::{Ended, Place, render},
        too_large, unreadable, write_json,
    },
    transaction::gas_to_begin,
};

/// Blocks of one simulation. Source: go-ethereum `internal/ethapi/simulate.go`.
const MAX_BLOCKS: usize = 256;
/// Calls of one simulation, over all blocks.
const MAX_CALLS: usize = 1_000;
/// Gas of one simulation in batches' worth. Source: go-ethereum's cap of 50 M gas for 30 M blocks, rounded up.
const MAX_BATCHES: u64 = 4;

impl Engine {
    /// Runs a simulation on a state and drops its changes. Gives JSON: for each block what its calls saw of it, and
    /// their outcomes.
    ///
    /// # Errors
    /// `trace` 2 and 3: the simulation cannot be read or asks for what is not here; it costs more than `limits`.
    /// `simulation`: with checks, a call may not run; the code is that of `eth_simulateV1` without its sign.
    pub fn simulate_blocks(
        &self,
        environment: &Environment,
        at: impl Into<At>,
        request: &[u8],
        limits: Limits,
    ) -> Result<Vec<u8>, EngineError> {
        let Simulation { blocks, style, checks }: Simulation =
            serde_json::from_slice(request).map_err(|error| unreadable(error.to_string()))?;
        if blocks.len() > MAX_BLOCKS {
            return Err(too_large(format!("more than {MAX_BLOCKS} blocks")));
        }
        if blocks.iter().map(|block| block.calls.len()).sum::<usize>() > MAX_CALLS {
            return Err(too_large(format!("more than {MAX_CALLS} calls")));
        }
        let database = self.database(environment, at.into())?;
        let min_gas_price = self.min_gas_price_at(database.snapshot())?;
        let root_rng = RootRng::new(&environment.rng_key, Mode::Simulate);
        let onlooker = Onlooker::new(Budget::new(limits.recorded_bytes, limits.deadline(&style)?));
        let mut machine = Machine::new(
            &self.config,
            environment,
            min_gas_price,
            Pricing::Exact,
            self.subcalls.as_deref(),
            root_rng.fork(&B256::ZERO.0),
            database,
            onlooker,
        );
        machine.set_attested(self.attested().map(|_| &Pretended as &dyn AttestedHost));
        let fresh = machine.block().clone();
        let mut simulator = Simulator {
            config: &self.config,
            machine,
            checks,
            fresh,
            next_price: min_gas_price,
            gas_left: self.config.batch_gas_limit.saturating_mul(MAX_BATCHES),
            block_gas_used: 0,
        };
        let mut answer = b"[".to_vec();
        for (position, block) in blocks.iter().enumerate() {
            let seen = write_json(&simulator.enter(block)?, limits.answer_bytes)?;
            answer.extend_from_slice(if position > 0 { b",{\"block\":" } else { b"{\"block\":" });
            answer.extend_from_slice(&seen);
            answer.extend_from_slice(b",\"calls\":[");
            for (position, call) in block.calls.iter().enumerate() {
                if position > 0 {
                    answer.push(b',');
                }
                let bytes_left = limits.answer_bytes.saturating_sub(answer.len());
                answer.append(&mut simulator.run(call, &style, bytes_left)?);
            }
            answer.extend_from_slice(b"]}");
            simulator.leave(block)?;
        }
        answer.push(b']');
        Ok(answer)
    }
}

struct Simulator<'e> {
    config: &'e ChainConfig,
    machine: Machine<'e, Onlooker>,
    checks: Checks,
    /// The block as it is seen where nothing is said.
    fresh: BlockEnv,
    /// Least price of the next block [base units/gas].
    next_price: u128,
    gas_left: u64,
    block_gas_used: u64,
}

impl Simulator<'_> {
    /// Begins a block. Its gas limit, miner and difficulty are those of the one before it where nothing is said.
    fn enter(&mut self, block: &SimulatedBlock) -> Result<Seen, EngineError> {
        let base_fee = match self.checks {
            Checks::Funds => 0,
            Checks::All => u64::try_from(self.next_price).unwrap_or(u64::MAX),
            Checks::Nothing => self.fresh.basefee,
        };
        let seen = self.machine.block();
        (seen.basefee, seen.prevrandao) = (base_fee, self.fresh.prevrandao);
        seen.blob_excess_gas_and_price = self.fresh.blob_excess_gas_and_price;
        pretend(&mut self.machine, &block.state, &block.block)?;
        self.machine.observed().0.begin_block();
        self.block_gas_used = 0;
        let seen = self.machine.block();
        Ok(Seen {
            chain_id: U64::from(self.config.chain_id),
            gas_limit: U64::from(seen.gas_limit),
            base_fee_per_gas: U64::from(seen.basefee),
            miner: seen.beneficiary,
            mix_hash: seen.prevrandao.unwrap_or_default(),
            difficulty: seen.difficulty,
        })
    }

    /// Ends a block: gives what is withdrawn, and moves the least price.
    fn leave(&mut self, block: &SimulatedBlock) -> Result<(), EngineError> {
        for withdrawal in &block.withdrawals {
            let (nonce, balance) = self.machine.database().nonce_and_balance(withdrawal.address)?;
            let given = balance.saturating_add(withdrawal.amount_wei());
            self.machine.database().set_nonce_and_balance(withdrawal.address, nonce, given)?;
        }
        let base_fee = u128::from(self.machine.block().basefee);
        self.next_price = next_min_gas_price(self.config, base_fee, self.block_gas_used);
        Ok(())
    }

    fn run(&mut self, call: &SimulatedCall, style: &Style, bytes_left: usize) -> Result<Vec<u8>, EngineError> {
        let style = call.style.as_ref().unwrap_or(style);
        let before = self.machine.database().nonce_and_balance(call.from)?;
        let intrinsic_gas = gas_to_begin(&call.data, call.to.is_none(), call.authorization_list.len());
        let terms = self.checks.admit(call, &self.ground(before, intrinsic_gas))?;
        let message = message(call, &terms, intrinsic_gas);
        self.machine.observed().0.watch(style)?;
        let can_begin = message.intrinsic_gas <= message.gas_limit
            && (message.to.is_some() || message.data.len() <= INITCODE_LIMIT_BYTES);
        self.charge(call, &terms, before)?;
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
        self.block_gas_used = self.block_gas_used.saturating_add(gas_used);
        let destroys = run.as_ref().is_some_and(|run| self.destroys(run));
        let is_dropped = destroys || run.as_ref().is_none_or(|run| !run.result.is_success());
        // Sapphire keeps the whole fee of who tries.
        let owed = terms.price_of(if destroys { message.gas_limit } else { gas_used });
        let ended = Ended {
            run: run.as_ref().map(|run| (&run.result, &run.state)),
            gas_used,
            is_dropped,
            sender: call.from,
            before,
            fee: owed,
            fee_taken: terms.fee(),
        };
        let (onlooker, context) = self.machine.observed();
        let logs = onlooker.take_logs();
        let trace = render(onlooker, context, style, &ended, Place::default(), bytes_left)?;
        let trace: Box<RawValue> =
            serde_json::from_slice(&trace).map_err(|error| EngineError::Config(error.to_string()))?;
        let (output, halt) = match run.as_ref().map(|run| &run.result) {
            _ if destroys => (Bytes::new(), Some("SELFDESTRUCT not supported".into())),
            Some(ExecutionResult::Success { output, .. }) => (output.data().clone(), None),
            Some(ExecutionResult::Revert { output, .. }) => (output.clone(), None),
            Some(ExecutionResult::Halt { reason, .. }) => (Bytes::new(), Some(halt_reason(reason, None))),
            None => (Bytes::new(), Some("out of gas".into())),
        };
        let outcome = Outcome {
            status: !is_dropped,
            gas_used,
            max_used_gas: run.as_ref().map_or(gas_used, |run| run.result.gas().total_gas_spent()),
            output,
            halt,
            logs: logs.into_iter().filter(|_| !is_dropped).map(|(index, log)| PlacedLog { index, log }).collect(),
            nonce: terms.nonce,
            gas_limit: terms.gas_limit,
            gas_price: U256::from(terms.price),
            trace: &trace,
        };
        let text = write_json(&outcome, bytes_left)?;
        match run {
            Some(run) if !is_dropped => {
                self.machine.database().apply(run.state)?;
                self.machine.database().apply_effects(run.effects);
            }
            run => {
                self.machine.database().discard();
                self.machine.database().apply(run.map(|run| run.delegated).unwrap_or_default())?;
            }
        }
        self.settle(call.from, before.0, terms.fee() - owed)?;
        Ok(text)
    }

    fn ground(&mut self, (nonce, balance): (u64, U256), intrinsic_gas: u64) -> Ground {
        let block = self.machine.block();
        let block_gas_left = match self.checks {
            Checks::Nothing => self.config.batch_gas_limit,
            Checks::Funds | Checks::All => block.gas_limit.saturating_sub(self.block_gas_used),
        };
        let (base_fee, gas_left, chain_id) = (block.basefee, self.gas_left, self.config.chain_id);
        Ground { nonce, balance, base_fee, block_gas_left, gas_left, chain_id, intrinsic_gas }
    }

    /// Takes the fee, and uses the nonce: a creation takes its address from it first, and revm moves it itself.
    fn charge(&mut self, call: &SimulatedCall, terms: &Terms, before: (u64, U256)) -> Result<(), EngineError> {
        let nonce = match (call.to, before.0) {
            // The greatest is followed by zero, as by go-ethereum; revm has no such way.
            (None, u64::MAX) if self.checks == Checks::Funds => u64::MAX - 1,
            (None, nonce) => nonce,
            (Some(_), nonce) => nonce.saturating_add(1),
        };
        self.machine.database().set_nonce_and_balance(call.from, nonce, before.1 - terms.fee())
    }

    /// Gives back what of the fee is not owed. A sender with code of its own may have used more nonces (EIP-7702).
    fn settle(&mut self, sender: Address, first_nonce: u64, unused: U256) -> Result<(), EngineError> {
        let (held, balance) = self.machine.database().nonce_and_balance(sender)?;
        let nonce = match self.checks {
            Checks::Funds if first_nonce == u64::MAX => 0,
            _ => held.max(first_nonce.saturating_add(1)),
        };
        self.machine.database().set_nonce_and_balance(sender, nonce, balance.saturating_add(unused))
    }

    /// Whether a run tries what Sapphire has not: since EIP-6780 it leaves nothing behind.
    fn destroys(&self, run: &Run) -> bool {
        !self.config.fork.is_enabled_in(SpecId::CANCUN)
            && run.result.is_success()
            && run.state.values().any(|account| account.is_selfdestructed())
    }
}

fn message(call: &SimulatedCall, terms: &Terms, intrinsic_gas: u64) -> Message {
    Message {
        caller: call.from,
        to: call.to,
        value: call.value,
        intrinsic_gas,
        data: call.data.clone(),
        gas_limit: terms.gas_limit,
        gas_price: terms.price,
        prepaid_gas: 0,
        authorizations: call.authorization_list.clone(),
    }
}
