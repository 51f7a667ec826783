//! A chain without confidentiality, as Emerald: the same engine with Ethereum's own semantics.

use std::sync::Arc;

use super::support::{self, Account, ETHER, GWEI, Record, account, encrypt, environment, plain, word};
use alloy_consensus::{TxEip4844, TxLegacy};
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use evm_core::{
    config::{ChainConfig, PUBLIC_FORK},
    engine::{Call, Engine},
    genesis::GenesisAccount,
};
use state_core::store::Store;

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
    let config = ChainConfig { confidential: false, fork: PUBLIC_FORK, ..ChainConfig::new(EMERALD) };
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

/// Ends with what remains of 1 after `TLOAD`, `MCOPY` and `CLZ`, none of which Shanghai has.
const MODERN: &[u8] = &hex!("60015f5d" /* TSTORE(0, 1) */ "5f5c" /* TLOAD(0) */ "5f52" /* MSTORE(0) */
    "60205f60205e" /* MCOPY(32, 0, 32) */ "602051" /* MLOAD(32) */ "1e" /* CLZ */ "5f5260205ff3");

#[test]
fn contracts_have_the_opcodes_of_mainnet_and_confidential_ones_those_of_sapphire() {
    let (engine, _) = kept();
    let raw = send(&account(1), 2, TxKind::Create, &support::deployer(MODERN));
    engine.execute(&environment(4), &[&raw], &[], true).unwrap().persist().unwrap();
    let contract = account(1).address.create(2);
    assert_eq!(engine.call(&environment(5), 4, &plain(contract)).unwrap(), word(255));

    let mut chain = support::Chain::new();
    let contract = chain.deploy(MODERN);
    assert!(chain.query(contract, &[]).is_err());
}

#[test]
fn precompiles_are_those_of_mainnet_and_confidential_ones_those_of_sapphire() {
    let (engine, _) = kept();
    let mut chain = support::Chain::new();
    // BLAKE2 of no rounds gives back what its state says; Sapphire stops at the pairing check.
    let blake2 = Address::with_last_byte(9);
    let answer = engine.call(&environment(4), 3, &Call { data: &[0; 213], ..plain(blake2) }).unwrap();
    assert_eq!(answer.len(), 64);
    assert_eq!(chain.query(blake2, &[0; 213]).unwrap(), [0; 0]);
    // The signature check of EIP-7951 answers nothing to nonsense, at its price.
    let p256 = Address::from_slice(&[&[0; 18][..], &[1, 0]].concat());
    let call = send(&account(1), 2, TxKind::Call(p256), &[]);
    let block = engine.execute(&environment(4), &[&call], &[], true).unwrap();
    let spent = Record::read(&block.results[0]).gas_used;
    let call = account(1).send(0, TxKind::Call(p256), 0, 500_000, &[]);
    assert!(spent > chain.run(&[call])[0].gas_used + 6_000);
}

#[test]
fn a_contract_that_destroys_itself_where_it_is_made_leaves_nothing() {
    let (engine, _) = kept();
    let heir = Address::repeat_byte(0xee);
    let init = [&hex!("60015f55" /* SSTORE(0, 1) */ "73")[..], heir.as_slice(), &hex!("ff")].concat();
    let raw = account(1).sign(TxLegacy {
        chain_id: Some(EMERALD),
        nonce: 2,
        gas_price: 100 * GWEI,
        gas_limit: 500_000,
        to: TxKind::Create,
        value: U256::from(7),
        input: init.into(),
    });
    let block = engine.execute(&environment(4), &[&raw], &[], true).unwrap();
    assert_eq!(Record::read(&block.results[0]).error, None);
    block.persist().unwrap();
    let made = account(1).address.create(2);
    assert_eq!(engine.account(&heir, 4).unwrap().1, U256::from(7));
    assert_eq!(engine.account(&made, 4).unwrap(), (0, U256::ZERO));
    assert!(engine.code(&made, 4).unwrap().is_empty());
    assert_eq!(engine.storage(&made, &word(0), 4).unwrap(), word(0));
}

#[test]
fn a_creation_that_meets_storage_fails() {
    let config = ChainConfig { confidential: false, fork: PUBLIC_FORK, ..ChainConfig::new(EMERALD) };
    let engine = support::engine(config, Arc::new(Store::memory().unwrap()));
    let squatted = account(1).address.create(0);
    let genesis = [
        GenesisAccount::funded(account(1).address, U256::from(ETHER)),
        GenesisAccount { address: squatted, storage: vec![(U256::ONE, U256::ONE)], ..GenesisAccount::default() },
    ];
    engine.execute(&environment(1), &[], &genesis, true).unwrap().persist().unwrap();
    let create = |nonce| send(&account(1), nonce, TxKind::Create, &support::deployer(KEEPER));
    let batch = [create(0), create(1)];
    let block = engine.execute(&environment(2), &[&batch[0], &batch[1]], &[], true).unwrap();
    let records: Vec<Record> = block.results.iter().map(|record| Record::read(record)).collect();
    assert!(records[0].error.is_some(), "EIP-7610");
    assert_eq!(records[0].gas_used, 500_000);
    assert_eq!(records[1].error, None);
}

#[test]
fn blob_transactions_are_malformed_and_told_why() {
    let (engine, contract) = kept();
    let blobs = TxEip4844 { chain_id: EMERALD, nonce: 2, gas_limit: 100_000, to: contract, ..Default::default() };
    let error = engine.check(&[&account(1).sign(blobs)], 3).unwrap().remove(0).unwrap_err().error;
    assert_eq!((error.module, error.code), ("core", 1));
    assert!(error.message.contains("no blobs"), "{error}");
}
