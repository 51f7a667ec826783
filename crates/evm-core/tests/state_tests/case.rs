//! One case: a state, a transaction, a fork, and what must come of it.

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::{Address, B256, Bytes};
use evm_core::{
    code_cache::CodeCache,
    config::ChainConfig,
    contract_keys::KeyRing,
    database::StateDatabase,
    environment::Environment,
    failure::EngineError,
    machine::{Machine, Pricing, Unwatched},
    rng::{Mode, RootRng},
};
use revm::{
    context::{
        BlockEnv, CfgEnv, JournalTr, TxEnv,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    handler::{EthFrame, EvmTr, Handler, MainnetHandler, SystemCallTx},
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::{AccountStatus, EvmState},
};
use serde_json::Value;
use state_core::store::Store;

use crate::{
    fixture::{self, Inexpressible, Pre},
    outcome::{self, Outcome},
    support::environment,
};

type Error = EVMError<EngineError, InvalidTransaction>;
type Ethereum<'e> = MainnetHandler<Machine<'e>, Error, EthFrame<EthInterpreter>>;

/// See the module.
pub struct Case<'f> {
    pub fork: &'f str,
    index: usize,
    spec: Option<SpecId>,
    pre: &'f Value,
    prepared: Result<(CfgEnv, BlockEnv, TxEnv), Inexpressible>,
    expected: Expected,
}

struct Expected {
    root: B256,
    logs: B256,
    refused: bool,
}

/// The cases of one fixture.
pub fn cases(fixture: &Value) -> Vec<Case<'_>> {
    let forks = fixture["post"].as_object().expect("a fixture says what comes after");
    let cases = forks.iter().flat_map(|(fork, variants)| {
        let variants = variants.as_array().expect("variants are a list").iter().enumerate();
        variants.map(move |(index, variant)| Case::read(fixture, fork, index, variant))
    });
    cases.collect()
}

impl<'f> Case<'f> {
    fn read(fixture: &'f Value, fork: &'f str, index: usize, variant: &Value) -> Self {
        let spec = fixture::fork(fork);
        let hash = |name: &str| fixture::word(fixture::number(&variant[name]).expect("a hash"));
        let prepared = fixture::configuration(&fixture["config"], fork, spec.unwrap_or_default()).and_then(|cfg| {
            let block = fixture::block(&fixture["env"], &cfg)?;
            let transaction = fixture::transaction(&fixture["transaction"], &variant["indexes"], cfg.chain_id)?;
            Ok((cfg, block, transaction))
        });
        let refused = variant.get("expectException").is_some_and(|text| !text.is_null());
        let expected = Expected { root: hash("hash"), logs: hash("logs"), refused };
        Self { fork, index, spec, pre: &fixture["pre"], prepared, expected }
    }

    pub fn label(&self) -> String {
        format!("{}[{}]", self.fork, self.index)
    }

    /// Runs it with storage in the clear, or encrypted under `keys`; an error says what is not as it must be.
    pub fn run(&self, keys: Option<&KeyRing>) -> Result<(), String> {
        let spec = self.spec.ok_or("unknown fork")?;
        let pre = Pre::read(self.pre).map_err(|_| "the state before cannot be read")?;
        let (store, codes) = (Store::memory().map_err(text)?, CodeCache::default());
        let open = |version| {
            let snapshot = Arc::new(store.snapshot(version)?);
            Ok::<_, EngineError>(StateDatabase::new(snapshot, keys, &codes, (u64::MAX, B256::ZERO)))
        };
        let commit = |database: StateDatabase<'_>, version: u64| {
            let staged = store.stage(version - 1, &database.into_changes(version)?)?;
            Ok::<_, EngineError>(store.persist(&staged, version)?)
        };
        let mut database = open(0).map_err(text)?;
        database.apply(pre.state()).map_err(text)?;
        commit(database, 1).map_err(text)?;

        let mut outcome = Outcome::new(&pre, spec);
        let mut database = open(1).map_err(text)?;
        let result = match &self.prepared {
            Ok(prepared) => {
                let environment = environment(1);
                let (result, state) = execute(prepared, &environment, database, outcome.bare())?;
                database = open(1).map_err(text)?;
                if result.is_ok() {
                    database.apply(outcome.take(state, &pre)).map_err(text)?;
                }
                result
            }
            Err(Inexpressible) => Err("it cannot be expressed".into()),
        };
        commit(database, 2).map_err(text)?;
        self.compare(&mut open(2).map_err(text)?, &outcome, result)
    }

    fn compare(
        &self,
        database: &mut StateDatabase<'_>,
        outcome: &Outcome,
        result: Result<ExecutionResult, String>,
    ) -> Result<(), String> {
        match (&result, self.expected.refused) {
            (Ok(_), true) => return Err("ran, but must be refused".into()),
            (Err(reason), false) => return Err(format!("refused: {reason}")),
            _ => {}
        }
        let logs = outcome::logs_hash(result.ok());
        if logs != self.expected.logs {
            return Err(format!("logs hash to {logs}"));
        }
        let root = outcome.root(database).map_err(text)?;
        if root != self.expected.root {
            return Err(format!("state root is {root}"));
        }
        Ok(())
    }
}

type Ended = (Result<ExecutionResult, String>, EvmState);

/// Runs a transaction by Ethereum's own handler on our machine; an inner error says why it may not run.
pub fn execute<'e>(
    (cfg, block, transaction): &(CfgEnv, BlockEnv, TxEnv),
    environment: &'e Environment,
    database: StateDatabase<'e>,
    bare: &BTreeSet<Address>,
) -> Result<Ended, String> {
    let mut machine = machine(cfg, block, environment, database);
    let context = machine.ctx();
    context.tx = transaction.clone();
    if !cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
        for address in bare {
            context.journaled_state.load_account_mut(*address).map_err(text)?;
            if let Some(account) = context.journaled_state.state.get_mut(address) {
                account.status -= AccountStatus::LoadedAsNotExisting;
            }
        }
    }
    let result = match Ethereum::default().run(&mut machine) {
        Ok(result) => Ok(result),
        Err(EVMError::Transaction(reason)) => Err(reason.to_string()),
        Err(EVMError::Header(reason)) => Err(reason.to_string()),
        Err(other) => return Err(format!("it broke: {other}")),
    };
    Ok((result, machine.ctx().journaled_state.finalize()))
}

/// Calls a contract as the system does around a block's transactions: nobody pays.
pub fn call_by_system<'e>(
    cfg: &CfgEnv,
    block: &BlockEnv,
    (contract, data): (Address, Bytes),
    environment: &'e Environment,
    database: StateDatabase<'e>,
) -> Result<(ExecutionResult, EvmState), String> {
    let mut machine = machine(cfg, block, environment, database);
    machine.ctx().tx = TxEnv::new_system_tx(contract, data);
    let result = Ethereum::default().run_system_call(&mut machine).map_err(text)?;
    Ok((result, machine.ctx().journaled_state.finalize()))
}

fn machine<'e>(
    cfg: &CfgEnv,
    block: &BlockEnv,
    environment: &'e Environment,
    database: StateDatabase<'e>,
) -> Machine<'e> {
    let config = ChainConfig { confidential: false, fork: cfg.spec, ..ChainConfig::new(cfg.chain_id) };
    let rng = RootRng::new(&environment.rng_key, Mode::Execute).fork(&[0; 32]);
    let mut machine = Machine::new(&config, environment, 0, Pricing::Exact, None, rng, database, Unwatched);
    let context = machine.ctx();
    context.cfg = cfg.clone();
    context.block = block.clone();
    machine
}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
