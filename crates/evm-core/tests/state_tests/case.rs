//! One case: a state, a transaction, a fork, and what must come of it.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use ethereum_chain::{
    accounts::Accounts,
    genesis::Alloc,
    ledger::Working,
    run::{self, Prepared},
};
use evm_core::{
    code_cache::CodeCache, contract_keys::KeyRing, database::StateDatabase, failure::EngineError, machine::Unwatched,
    precompiles::Moved,
};
use revm::{context::result::ExecutionResult, primitives::hardfork::SpecId};
use serde_json::Value;
use state_core::store::Store;

use crate::fixture::{self, Inexpressible};

/// See the module.
pub struct Case<'f> {
    pub fork: &'f str,
    index: usize,
    spec: Option<SpecId>,
    pre: &'f Value,
    prepared: Result<Prepared, Inexpressible>,
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
        let pre = Alloc::read(self.pre).map_err(text)?;
        let (store, codes, environment) = (Store::memory().map_err(text)?, CodeCache::default(), run::environment());
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

        let accounts = Accounts::new(&pre, spec);
        let mut working = Working::new(open(1).map_err(text)?, accounts, &environment);
        let result = match &self.prepared {
            Ok(prepared) => {
                let ran = working.transact(prepared, &Moved::new(), Unwatched, |_, _, _| Ok(()));
                ran.map_err(|failure| format!("it broke: {failure}"))?.map_err(text)
            }
            Err(Inexpressible) => Err("it cannot be expressed".into()),
        };
        let (database, accounts) = working.finish().map_err(text)?;
        commit(database, 2).map_err(text)?;
        self.compare(&mut open(2).map_err(text)?, &accounts, result)
    }

    fn compare(
        &self,
        database: &mut StateDatabase<'_>,
        accounts: &Accounts,
        result: Result<ExecutionResult, String>,
    ) -> Result<(), String> {
        match (&result, self.expected.refused) {
            (Ok(_), true) => return Err("ran, but must be refused".into()),
            (Err(reason), false) => return Err(format!("refused: {reason}")),
            _ => {}
        }
        let logs = logs_hash(result.ok());
        if logs != self.expected.logs {
            return Err(format!("logs hash to {logs}"));
        }
        let root = accounts.root(database).map_err(text)?;
        if root != self.expected.root {
            return Err(format!("state root is {root}"));
        }
        Ok(())
    }
}

/// Keccak-256 of the RLP of the logs; nothing that fails has any.
fn logs_hash(result: Option<ExecutionResult>) -> B256 {
    let logs = match result {
        Some(ExecutionResult::Success { logs, .. }) => logs,
        _ => Vec::new(),
    };
    let mut encoded = Vec::new();
    alloy_rlp::encode_list(&logs, &mut encoded);
    keccak256(encoded)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
