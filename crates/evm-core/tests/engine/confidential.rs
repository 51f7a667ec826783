//! Confidentiality: what lies in the state, envelopes in transactions, and storage of contracts.

use std::sync::Arc;

use super::support::*;
use alloy_primitives::{Address, TxKind, U256};
use evm_core::{
    config::ChainConfig,
    contract_keys::StateKeys,
    engine::Engine,
    failure::{EngineError, HostError},
};
use state_core::cbor::Value;
use zeroize::Zeroizing;

const SECRET: u64 = 0xdead_beef_cafe;

fn state_contains(chain: &Chain, needle: &[u8]) -> bool {
    let snapshot = chain.engine.store().snapshot(chain.round).unwrap();
    let items = snapshot.scan(&[], None, 100_000).unwrap();
    items
        .iter()
        .any(|(key, value)| [key, value].iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle)))
}

#[test]
fn storage_is_ciphertext_and_reads_back() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let (envelope, _) = encrypt(&word(SECRET));
    assert_eq!(chain.run(&[account(2).call(0, cell, &envelope)])[0].error, None);
    assert_eq!(chain.query(cell, &[]).unwrap(), word(SECRET));
    assert!(!state_contains(&chain, &SECRET.to_be_bytes()[2..]), "no plaintext in the state");
    assert_eq!(chain.engine.storage(&cell, &[0; 32], chain.round).unwrap(), [0; 32], "and none over RPC");

    let mut public = Chain::with(ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) });
    let cell = public.deploy(CELL);
    public.run(&[account(2).call(0, cell, &word(SECRET))]);
    assert!(state_contains(&public, &SECRET.to_be_bytes()[2..]), "a public chain hides nothing");
    assert_eq!(public.engine.storage(&cell, &[0; 32], public.round).unwrap(), word(SECRET));
}

#[test]
fn zero_removes_a_slot_and_unchanged_values_leave_it_alone() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let slots = |chain: &Chain| chain.engine.store().snapshot(chain.round).unwrap().scan(&[0x04], None, 10).unwrap();
    chain.run(&[account(2).call(0, cell, &word(7))]);
    let first = slots(&chain);
    assert_eq!((first.len(), first[0].0.len(), first[0].1.len()), (1, 84, 63));
    chain.run(&[account(2).call(1, cell, &word(9)), account(2).call(2, cell, &word(7))]);
    assert_eq!(slots(&chain), first, "there and back is no change");
    chain.run(&[account(2).call(3, cell, &word(8))]);
    assert_ne!(slots(&chain)[0].1, first[0].1);
    assert_eq!(slots(&chain)[0].0, first[0].0);
    chain.run(&[account(2).call(4, cell, &word(0))]);
    assert_eq!(slots(&chain), []);
}

#[test]
fn eip1967_slots_are_public() {
    let slot = alloy_primitives::hex!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
    let mut chain = Chain::new();
    // Stores the first word of calldata in the slot.
    let code = [&[0x5f, 0x35, 0x7f], slot.as_slice(), &[0x55, 0x00]].concat();
    let proxy = chain.deploy(&code);
    chain.run(&[account(2).call(0, proxy, &word(SECRET))]);
    assert_eq!(chain.engine.storage(&proxy, &slot, chain.round).unwrap(), word(SECRET));
}

#[test]
fn encrypted_call_gets_a_sealed_result_under_round_and_index() {
    let mut chain = Chain::new();
    let echo = chain.deploy(&alloy_primitives::hex!("365f5f37365ff3"));
    let (envelope, key) = encrypt(b"hello");
    let plain = account(2).call(0, echo, b"first");
    let records = chain.run(&[plain, account(3).call(0, echo, &envelope), account(4).call(0, echo, &encrypt(&[]).0)]);
    assert_eq!(records[0].output, b"first");
    assert_eq!(records[1].map["encrypted"], Value::Bool(true));
    let header = (chain.round - 1).to_be_bytes();
    let (nonce, output) = open_result(&key, &records[1].output);
    assert_eq!((nonce, output.as_slice()), ([header.as_slice(), &[0, 0, 0, 1, 0, 0, 0]].concat(), b"hello".as_slice()));
    assert_eq!(open_result(&key, &records[2].output).1, b"", "an empty result is sealed too");
    assert_eq!(records[1].map["input"], Value::Bytes(envelope), "the input stays as it was sent");
}

#[test]
fn calldata_gas_is_that_of_the_plaintext() {
    let mut chain = Chain::new();
    let echo = chain.deploy(&alloy_primitives::hex!("00"));
    let (zeros, ones) = (encrypt(&[0; 40]).0, encrypt(&[1; 40]).0);
    assert_eq!(zeros.len(), ones.len());
    let records = chain.run(&[account(2).call(0, echo, &zeros), account(3).call(0, echo, &ones)]);
    assert_eq!(records[1].gas_used - records[0].gas_used, 40 * 12);
}

#[test]
fn encrypted_creation_deploys_and_its_address_is_plain() {
    let mut chain = Chain::new();
    let (envelope, _) = encrypt(&deployer(CELL));
    let raw = account(2).send(0, TxKind::Create, 0, 1_000_000, &envelope);
    let record = chain.run(&[raw]).remove(0);
    let address = account(2).address.create(0);
    assert_eq!((record.contract, record.output.as_slice()), (Some(address), address.as_slice()));
    assert_eq!(chain.engine.code(&address, chain.round).unwrap(), CELL);
}

#[test]
fn envelope_that_does_not_open_is_mined_and_charged_in_full() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let wrong_key = encrypt_for(&word(1), EPOCH, &[0x99; 32]).0;
    let future = encrypt_for(&word(1), EPOCH + 1, &call_secret()).0;
    let previous = encrypt_for(&word(1), EPOCH - 1, &[0x78; 32]).0;
    let records = chain.run(&[
        account(2).call(0, cell, &wrong_key),
        account(3).call(0, cell, &future),
        account(4).call(0, cell, &previous),
        account(5).call(0, cell, &[0xf6]),
    ]);
    let errors: Vec<_> =
        records.iter().map(|record| record.error.clone().map(|(m, c, t)| format!("{m} {c} {t}"))).collect();
    assert!(errors[0].as_ref().is_some_and(|text| text.starts_with("core 18 invalid call format: ")), "{errors:?}");
    assert_eq!(errors[1].as_deref(), Some("core 18 invalid call format: epoch in the future"));
    assert_eq!(errors[2], None, "the previous epoch's key still opens");
    assert_eq!(errors[3].as_deref(), Some("core 18 invalid call format: invalid inner data"));
    assert_eq!(chain.engine.account(&account(2).address, chain.round).unwrap().0, 1, "the nonce is used up");
    let spent = U256::from(1_000_000 * ETHER) - chain.balance(account(2).address);
    assert_eq!(spent, U256::from(1_000_000 * 100 * GWEI));
    assert!(records[0].gas_used < 10_000);
}

#[test]
fn public_chain_takes_envelopes_for_ordinary_bytes() {
    let mut chain = Chain::with(ChainConfig { confidential: false, ..ChainConfig::new(CHAIN_ID) });
    let echo = chain.deploy(&alloy_primitives::hex!("365f5f37365ff3"));
    let (envelope, _) = encrypt(b"hello");
    let record = chain.run(&[account(2).call(0, echo, &envelope)]).remove(0);
    assert_eq!(record.output, envelope);
}

#[test]
fn tampered_storage_is_an_error_never_a_zero() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    chain.run(&[account(2).call(0, cell, &word(SECRET))]);
    let store = Arc::clone(chain.engine.store());
    let (key, mut value) = store.snapshot(chain.round).unwrap().scan(&[0x04], None, 1).unwrap().remove(0);
    value[40] ^= 1;
    let staged = store.stage(chain.round, &[(key, Some(value))].into()).unwrap();
    store.persist(&staged, chain.round + 1).unwrap();
    chain.round += 1;
    assert_eq!(chain.query(cell, &[]), Err(EngineError::Decryption(cell.into_array())));
    let call = account(2).call(1, cell, &[]);
    assert!(matches!(chain.propose(&[call], false), Err(EngineError::Decryption(_))));
    let fine = account(3).send(0, TxKind::Call(Address::ZERO), 1, 30_000, &[]);
    assert_eq!(chain.run(&[fine])[0].error, None, "others are not affected");
}

struct NoKeys;

impl StateKeys for NoKeys {
    fn state_key(&self, _: &Address) -> Result<Zeroizing<[u8; 32]>, HostError> {
        Err(HostError("key manager is away".into()))
    }
}

#[test]
fn missing_key_voids_the_block_and_changes_nothing() {
    let mut chain = Chain::new();
    let cell = chain.deploy(CELL);
    let keyless =
        Engine::new(ChainConfig::new(CHAIN_ID), Arc::clone(chain.engine.store()), Some(Box::new(NoKeys)), None)
            .unwrap();
    let raw = account(2).call(0, cell, &word(1));
    let root = keyless.store().latest();
    let result = keyless.execute(&chain.environment(), &[&raw], &[], true);
    assert_eq!(result.err(), Some(EngineError::Host(HostError("key manager is away".into()))));
    assert_eq!(keyless.store().latest(), root);
    assert_eq!(keyless.account(&account(2).address, chain.round).unwrap().0, 0);
}
