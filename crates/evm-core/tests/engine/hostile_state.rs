//! A disk that lies, a host module that breaks: what the engine reads it checks, and it works on afterwards.

use std::sync::Arc;

use super::support::{self, CELL, CHAIN_ID, Chain, ETHER, TestKeys, account, environment, plain, word};
use alloy_primitives::{U256, hex};
use evm_core::{
    config::ChainConfig,
    engine::{Call, Engine},
    failure::{EngineError, HostError},
    genesis::GenesisAccount,
    layout::code_key,
    subcall::{Reply, Request, Subcalls},
};
use state_core::{
    errors::StateError,
    store::{At, Store},
};

#[test]
fn a_query_gets_the_state_of_its_root_or_none() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    chain.run(&[account(2).call(0, cell, &word(1))]);
    let (version, final_root) = chain.engine.store().latest();
    // The host takes the round back and puts another one in its place.
    chain.engine.store().rollback(version - 1).unwrap();
    chain.round -= 1;
    chain.run(&[account(2).call(0, cell, &word(2))]);
    assert_eq!(chain.query(cell, &[]).unwrap(), word(2), "whoever names no root gets what is there");

    let wrong = EngineError::State(StateError::WrongRoot { version });
    let at = At { version, root: Some(final_root) };
    let engine = &chain.engine;
    assert_eq!(engine.call(&chain.environment(), at, &plain(cell)).unwrap_err(), wrong);
    assert_eq!(engine.estimate_gas(&chain.environment(), at, &plain(cell)).unwrap_err(), wrong);
    assert_eq!(engine.account(&account(2).address, at).unwrap_err(), wrong);
    assert_eq!(engine.code(&cell, at).unwrap_err(), wrong);
    assert_eq!(engine.storage(&cell, &word(0), at).unwrap_err(), wrong);
    assert_eq!(engine.min_gas_price(at).unwrap_err(), wrong);
    assert_eq!(engine.check(&[], at).unwrap_err(), wrong);
    let mut next = chain.environment();
    next.state_root = Some(final_root);
    assert_eq!(engine.execute(&next, &[], &[], true).map(|_| ()).unwrap_err(), wrong);

    let here = engine.store().latest().1;
    next.state_root = Some(here);
    engine.execute(&next, &[], &[], true).unwrap();
    engine.call(&next, At { version, root: Some(here) }, &plain(cell)).unwrap();
}

#[test]
fn code_that_is_not_under_its_hash_is_never_run_nor_kept() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let key = code_key(&alloy_primitives::keccak256(CELL));
    let genuine = chain.engine.store().snapshot(chain.round).unwrap().get(&key).unwrap().unwrap();
    assert_eq!(genuine, CELL);
    // A state as a host could make one: the victim's account, another program under the hash of its code.
    let forged = Arc::new(Store::memory().unwrap());
    for version in 1..=chain.round {
        let diff = chain.engine.store().diff_at(version).unwrap();
        forged.apply(version, &diff, chain.engine.store().root_at(version).unwrap()).unwrap();
    }
    let thief = hex!("5f545f5260205ff3").to_vec();
    let staged = forged.stage(chain.round, &[(key.clone(), Some(thief))].into()).unwrap();
    forged.persist(&staged, chain.round + 1).unwrap();

    let engine = support::engine(ChainConfig::new(CHAIN_ID), forged.clone());
    let forged_round = environment(chain.round + 2);
    let refused = engine.call(&forged_round, chain.round + 1, &plain(cell));
    assert!(matches!(refused, Err(EngineError::State(StateError::Corrupt(_)))), "{refused:?}");
    // And the cache has not learnt the wrong program for the true state.
    assert_eq!(engine.call(&chain.environment(), chain.round, &plain(cell)).unwrap(), word(0));
    assert_eq!(engine.code(&cell, chain.round).unwrap(), CELL);
}

/// A module that panics once, as a bug would.
struct Broken(std::sync::atomic::AtomicBool);

impl Subcalls for Broken {
    fn call(&self, _: &Request<'_>) -> Result<Option<Reply>, HostError> {
        assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "a bug");
        Ok(None)
    }
}

#[test]
fn a_panic_poisons_nothing() {
    let store = Arc::new(Store::memory().unwrap());
    let subcalls = Box::new(Broken(Default::default()));
    let engine = Engine::new(ChainConfig::new(CHAIN_ID), store, Some(Box::new(TestKeys)), Some(subcalls)).unwrap();
    let funds = [GenesisAccount::funded(account(1).address, U256::from(1_000 * ETHER))];
    engine.execute(&environment(1), &[], &funds, true).unwrap().persist().unwrap();
    let subcall = support::oasis_precompile(1, 3);
    let data = hex!(
        "0000000000000000000000000000000000000000000000000000000000000040"
        "0000000000000000000000000000000000000000000000000000000000000080"
        "0000000000000000000000000000000000000000000000000000000000000003"
        "782e790000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000001"
        "f600000000000000000000000000000000000000000000000000000000000000"
    );
    let raw = account(1).call(0, subcall, &data);
    let execute = || engine.execute(&environment(2), &[&raw], &[], true);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(execute));
    assert!(panicked.is_err());

    let block = execute().unwrap();
    block.persist().unwrap();
    assert_eq!(block.included, [0]);
    let call = Call { data: &data, ..plain(subcall) };
    engine.call(&environment(3), 2, &call).unwrap();
    assert_eq!(engine.account(&account(1).address, 2).unwrap().0, 1);
    engine.store().rollback(1).unwrap();
    assert_eq!(engine.store().latest().0, 1);
}
