//! `eth_call` as Sapphire has it: signed, encrypted or plain, always without a trace.

use std::cell::RefCell;

use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    context::result::{ExecutionResult, Output},
    primitives::hardfork::SpecId,
};

use super::{
    Engine, newest_hash,
    pretence::{Pretence, pretend},
};
use crate::{
    attested::{AttestedHost, Pretended},
    calldata::{Opened, open},
    config::{INITCODE_LIMIT_BYTES, Profile},
    database::{StateDatabase, block_hash},
    envelope::seal_ok,
    environment::Environment,
    errors::ModuleError,
    failure::{CallFailure, EVM, EngineError, execution_failed, halt_reason, reverted},
    machine::{Machine, Message, Pricing, Run, Unwatched},
    rng::{Mode, RootRng},
    signed_query::{self, Chain, Query, QueryError},
    transaction::gas_to_begin,
};
use state_core::{errors::StateError, store::At};

/// A question to the EVM, as it came by RPC.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Claimed sender; counts only if the query is signed (or in the dev profile).
    pub caller: Address,
    /// Contract; None asks for a creation.
    pub to: Option<Address>,
    /// Gas limit as given: signed untouched, then capped by the batch limit [gas].
    pub gas: u64,
    /// Gas price as given [base units/gas].
    pub gas_price: U256,
    /// Value sent [base units].
    pub value: U256,
    /// Calldata: a signed pack, an envelope, or plain.
    pub data: &'a [u8],
    /// What it pretends; None where all is as it is.
    pub pretence: Option<&'a Pretence>,
}

impl Call<'_> {
    /// Accounts that take on code before it.
    pub(super) fn authorizations(&self) -> &[SignedAuthorization] {
        self.pretence.map_or(&[], |pretence| &pretence.authorization_list)
    }
}

impl Engine {
    /// Answers a call on a state, in the round after it. Failures of the call are [`EngineError::Call`].
    pub fn call(&self, environment: &Environment, at: impl Into<At>, call: &Call<'_>) -> Result<Vec<u8>, EngineError> {
        let database = self.database(environment, at.into())?;
        let gas_price = u128::try_from(call.gas_price)
            .ok()
            .filter(|price| price.checked_mul(u128::from(call.gas)).is_some())
            .ok_or_else(|| refuse(ModuleError { module: EVM, code: 4, message: "fee overflow".into() }))?;
        let (caller, opened) = self.authenticate(environment, &database, call)?;
        let data = Bytes::copy_from_slice(&opened.data);
        let message = Message {
            caller,
            to: call.to,
            value: call.value,
            intrinsic_gas: gas_to_begin(&data, call.to.is_none(), call.authorizations().len()),
            data,
            gas_limit: call.gas.min(self.config.batch_gas_limit),
            gas_price,
            prepaid_gas: 0,
            authorizations: call.authorizations().to_vec(),
        };
        let output = match self.simulate(environment, database, &message, Pricing::Exact, call.pretence)? {
            Ok(run) => answer(run.result).map_err(EngineError::Call)?,
            Err(error) => return Err(refuse(error)),
        };
        match opened.key {
            None => Ok(output),
            Some(key) => {
                let mut nonce = [0; 15];
                getrandom::fill(&mut nonce).map_err(|error| EngineError::Config(error.to_string()))?;
                Ok(seal_ok(&key, &nonce, &output))
            }
        }
    }

    /// Whom the call is from, and its plain calldata.
    fn authenticate(
        &self,
        environment: &Environment,
        database: &StateDatabase<'_>,
        call: &Call<'_>,
    ) -> Result<(Address, Opened), EngineError> {
        if !self.config.confidential {
            return Ok((call.caller, Opened { data: call.data.to_vec(), key: None }));
        }
        let Some(pack) = signed_query::parse(call.data) else {
            let opened = open(&self.config, environment, call.data).map_err(refuse)?;
            // Nothing proves the sender, so it is nobody.
            let caller = if self.config.profile == Profile::Dev { call.caller } else { Address::ZERO };
            return Ok((caller, opened));
        };
        let opened = open(&self.config, environment, &pack.data).map_err(refuse)?;
        let query = Query {
            chain_id: self.config.chain_id,
            from: call.caller,
            to: call.to.unwrap_or(Address::ZERO),
            gas_limit: call.gas,
            gas_price: call.gas_price,
            value: call.value,
            data: &opened.data,
        };
        let view = View { engine: self, database, environment, failed: RefCell::new(None) };
        match signed_query::verify(&pack, &query, &view) {
            Ok(()) => Ok((call.caller, opened)),
            Err(QueryError::Rejected(error)) => Err(refuse(error)),
            Err(QueryError::State(error)) => Err(view.failed.into_inner().unwrap_or(error.into())),
        }
    }

    /// Runs a message and drops its changes. The inner error is one that needs no run.
    pub(super) fn simulate(
        &self,
        environment: &Environment,
        database: StateDatabase<'_>,
        message: &Message,
        pricing: Pricing,
        pretence: Option<&Pretence>,
    ) -> Result<Result<Run, ModuleError>, EngineError> {
        if message.to.is_none() && message.data.len() > INITCODE_LIMIT_BYTES {
            return Ok(Err(execution_failed("create contract limit")));
        }
        if message.prepaid_gas.saturating_add(message.intrinsic_gas) > message.gas_limit {
            return Ok(Err(execution_failed("out of gas")));
        }
        let min_gas_price = self.min_gas_price_at(database.snapshot())?;
        let rng = RootRng::new(&environment.rng_key, Mode::Simulate).fork(&B256::ZERO.0);
        let subcalls = self.subcalls.as_deref();
        let mut machine =
            Machine::new(&self.config, environment, min_gas_price, pricing, subcalls, rng, database, Unwatched);
        machine.set_attested(self.attested().map(|_| &Pretended as &dyn AttestedHost));
        if let Some(Pretence { state, block, .. }) = pretence {
            pretend(&mut machine, state, block)?;
        }
        let run = machine.run(message)?;
        let may_destroy = self.config.fork.is_enabled_in(SpecId::CANCUN);
        if !may_destroy && run.result.is_success() && run.state.values().any(|account| account.is_selfdestructed()) {
            return Ok(Err(execution_failed("SELFDESTRUCT not supported")));
        }
        Ok(Ok(run))
    }
}

fn refuse(error: ModuleError) -> EngineError {
    EngineError::Call(error.into())
}

/// Return data of a call, address of a creation; never cut, unlike a transaction's.
fn answer(result: ExecutionResult) -> Result<Vec<u8>, CallFailure> {
    match result {
        ExecutionResult::Success { output: Output::Call(output), .. } => Ok(output.to_vec()),
        ExecutionResult::Success { output: Output::Create(_, address), .. } => {
            Ok(address.map(|address| address.to_vec()).unwrap_or_default())
        }
        ExecutionResult::Revert { output, .. } => Err(reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(execution_failed(&halt_reason(&reason, None)).into()),
    }
}

/// The chain as the checks of a signed query see it.
struct View<'a> {
    engine: &'a Engine,
    database: &'a StateDatabase<'a>,
    environment: &'a Environment,
    failed: RefCell<Option<EngineError>>,
}

impl Chain for View<'_> {
    fn nonce(&self, address: Address) -> Result<u64, StateError> {
        self.engine.record(&address, self.database.snapshot()).map(|record| record.nonce).map_err(|error| {
            let text = error.to_string();
            self.failed.replace(Some(error));
            StateError::Corrupt(text)
        })
    }

    fn block_hash(&self, number: u64) -> Result<Option<[u8; 32]>, StateError> {
        let hash = block_hash(self.database.snapshot(), newest_hash(self.environment), number)?;
        Ok(hash.map(|hash| hash.0))
    }

    fn current(&self) -> u64 {
        self.environment.parent_round
    }
}
