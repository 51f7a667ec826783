//! A chain without confidentiality, as Emerald: the same engine with Ethereum's own semantics.

mod support;

use std::sync::Arc;

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use evm_core::{
    config::ChainConfig,
    engine::{Call, Engine},
    genesis::GenesisAccount,
};
use state_core::store::Store;
use support::{Account, ETHER, GWEI, Record, account, encrypt, environment, plain, word};

/// Chain id of emerald-localnet.
const EMERALD: u64 = 0xa514;
/// With calldata, stores `msg.sender` in slot 0; without, returns slot 0 ‖ `msg.sender`.
const KEEPER: &[u8] = &hex!("36 6010 57 5f54 5f52 33 6020 52 6040 5f f3 5b 33 5f 55 00");

fn send(from: &Account, nonce: u64, to: TxKind, data: &[u8]) -> Vec<u8> {
    from.sign(TxLegacy {
        chain_id: Some(EMERALD),
        nonce,
        gas_price: 100 * GWEI,
        gas_limit: 500_000,
        to,
        value: U256::ZERO,
        input: Bytes::copy_from_slice(data),
    })
}

/// An engine at version 3, where account 1 deployed the keeper and wrote itself into it.
fn kept() -> (Engine, Address) {
    let config = ChainConfig { confidential: false, ..ChainConfig::new(EMERALD) };
    let engine = support::engine(config, Arc::new(Store::memory().unwrap()));
    let owner = account(1);
    let funds = [GenesisAccount::funded(owner.address, U256::from(1_000 * ETHER))];
    engine.execute(&environment(1), &[], &funds, true).unwrap().persist().unwrap();
    let contract = owner.address.create(0);
    let create = send(&owner, 0, TxKind::Create, &support::deployer(KEEPER));
    let keep = send(&owner, 1, TxKind::Call(contract), &[1]);
    for (round, raw) in [(2, create), (3, keep)] {
        let block = engine.execute(&environment(round), &[&raw], &[], true).unwrap();
        assert_eq!(Record::read(&block.results[0]).error, None);
        block.persist().unwrap();
    }
    (engine, contract)
}

#[test]
fn storage_is_there_for_everybody_to_read() {
    let (engine, contract) = kept();
    let stored = engine.storage(&contract, &word(0), 3).unwrap();
    assert_eq!(Address::from_slice(&stored[12..]), account(1).address);
    assert_eq!(engine.storage(&contract, &word(0), 2).unwrap(), word(0), "and so is its past");
}

#[test]
fn a_call_comes_from_whom_it_says_without_a_signature() {
    let (engine, contract) = kept();
    let call = Call { caller: account(7).address, ..plain(contract) };
    let answer = engine.call(&environment(4), 3, &call).unwrap();
    assert_eq!(Address::from_slice(&answer[12..32]), account(1).address);
    assert_eq!(Address::from_slice(&answer[44..]), account(7).address);
}

#[test]
fn nothing_is_opened_and_nothing_is_sealed() {
    let (engine, contract) = kept();
    let (envelope, _) = encrypt(&[1]);
    let call = Call { data: &envelope, ..plain(contract) };
    assert_eq!(engine.call(&environment(4), 3, &call).unwrap(), [0; 0], "an envelope is calldata as any other");
    let raw = send(&account(1), 2, TxKind::Call(contract), &envelope);
    let block = engine.execute(&environment(4), &[&raw], &[], true).unwrap();
    assert_eq!(Record::read(&block.results[0]).error, None);
}

#[test]
fn another_chains_transaction_is_refused() {
    let (engine, contract) = kept();
    let sapphires = account(1).call(2, contract, &[1]);
    let checked = engine.check(&[&sapphires], 3).unwrap().remove(0);
    let error = checked.unwrap_err().error;
    assert_eq!((error.module, error.code), ("core", 1), "{error}");
}
