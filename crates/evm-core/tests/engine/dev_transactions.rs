//! Edits of the state and transactions for others: only by the key that the chain's configuration names.

use super::support::*;
use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_rlp::{Encodable, Header};
use evm_core::{
    config::ChainConfig,
    crypto::{Algorithm, keypair, sign},
    dev_transaction::{DEV_CONTEXT, DEV_TYPE, dev_address},
    tracing::{Limits, Style},
};
use serde_json::{Value as Json, json};
use state_core::cbor::Value;

const SEED: [u8; 32] = [0x42; 32];
const PRICE: u128 = 100 * GWEI;
const FRESH: Address = Address::repeat_byte(0x99);
const BALANCE: u8 = 1;
const NONCE: u8 = 2;
const CODE: u8 = 3;
const STORAGE: u8 = 4;
const MIN_GAS_PRICE: u8 = 5;

fn key() -> [u8; 32] {
    keypair(Algorithm::Ed25519Oasis, &SEED).unwrap().0.try_into().unwrap()
}

fn owner() -> Address {
    dev_address(&key())
}

#[derive(Clone)]
struct Body {
    chain_id: u64,
    nonce: u64,
    price: u128,
    gas: u64,
    sender: Address,
    to: TxKind,
    value: U256,
    input: Vec<u8>,
    edit: Option<(u8, Address, U256, Vec<u8>)>,
}

fn list(fields: &[&dyn Encodable]) -> Vec<u8> {
    let mut payload = Vec::new();
    for field in fields {
        field.encode(&mut payload);
    }
    enclosed(payload)
}

fn enclosed(payload: Vec<u8>) -> Vec<u8> {
    let mut raw = Vec::new();
    Header { list: true, payload_length: payload.len() }.encode(&mut raw);
    raw.extend(payload);
    raw
}

impl Body {
    fn edit(nonce: u64, kind: u8, address: Address, slot: u64, value: &[u8]) -> Self {
        let edit = Some((kind, address, U256::from(slot), value.to_vec()));
        Self { nonce, edit, ..Self::sent(owner(), 0, TxKind::Create, 0) }
    }

    fn sent(sender: Address, nonce: u64, to: TxKind, value: u128) -> Self {
        Self {
            chain_id: CHAIN_ID,
            nonce,
            price: if sender == owner() { 0 } else { PRICE },
            gas: if sender == owner() { 0 } else { 1_000_000 },
            sender,
            to,
            value: U256::from(value),
            input: Vec::new(),
            edit: None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        let fields: [&dyn Encodable; 8] = [
            &self.chain_id,
            &self.nonce,
            &self.price,
            &self.gas,
            &self.sender,
            &self.to,
            &self.value,
            &self.input.as_slice(),
        ];
        for field in fields {
            field.encode(&mut payload);
        }
        payload.extend(match &self.edit {
            Some((kind, address, slot, value)) => list(&[kind, address, slot, &value.as_slice()]),
            None => list(&[]),
        });
        enclosed(payload)
    }

    fn signed_by(&self, seed: &[u8]) -> Vec<u8> {
        let body = self.encode();
        let signature = sign(Algorithm::Ed25519Oasis, seed, DEV_CONTEXT, &body).unwrap();
        [&[DEV_TYPE], signature.as_slice(), &body].concat()
    }

    fn signed(&self) -> Vec<u8> {
        self.signed_by(&SEED)
    }
}

fn config(confidential: bool) -> ChainConfig {
    ChainConfig { confidential, dev_control_key: Some(key()), ..ChainConfig::new(CHAIN_ID) }
}

fn both() -> [Chain; 2] {
    [Chain::with(config(true)), Chain::with(config(false))]
}

#[test]
fn balance_nonce_and_code_are_what_the_owner_says() {
    for mut chain in both() {
        let records = chain.run(&[
            Body::edit(0, BALANCE, FRESH, 0, &[7]).signed(),
            Body::edit(1, NONCE, FRESH, 0, &[9]).signed(),
            Body::edit(2, CODE, FRESH, 0, CELL).signed(),
        ]);
        for record in &records {
            assert_eq!((record.status, record.gas_used, record.error.clone()), (1, 0, None));
            assert_eq!(record.map["sender"], Value::Bytes(owner().to_vec()));
            assert_eq!(record.map["to"], Value::Bytes(FRESH.to_vec()));
        }
        assert_eq!(chain.engine.account(&FRESH, chain.round).unwrap(), (9, U256::from(7)));
        assert_eq!(chain.engine.code(&FRESH, chain.round).unwrap(), CELL);
        assert_eq!(chain.engine.account(&owner(), chain.round).unwrap().0, 3);
        chain.run(&[Body::edit(3, CODE, FRESH, 0, &[]).signed()]);
        assert!(chain.engine.code(&FRESH, chain.round).unwrap().is_empty());
        let everything = [0xff; 32];
        chain.run(&[Body::edit(4, BALANCE, FRESH, 0, &everything).signed()]);
        assert_eq!(chain.balance(FRESH), U256::MAX);
    }
}

#[test]
fn a_slot_is_written_and_not_revealed() {
    for (mut chain, is_public) in both().into_iter().zip([false, true]) {
        let cell = chain.deploy(CELL);
        let value = word(0x5ec2e7);
        chain.run(&[Body::edit(0, STORAGE, cell, 0, &value).signed()]);
        assert_eq!(chain.query(cell, &[]).unwrap(), value, "the contract sees it");
        let shown = chain.engine.storage(&cell, &word(0), chain.round).unwrap();
        assert_eq!(shown == value, is_public, "others see it where everybody sees storage");
        let diff = chain.propose(&[Body::edit(1, STORAGE, cell, 0, &word(0x0ddba11)).signed()], true).unwrap();
        let is_plain = diff.diff().windows(3).any(|part| part == [0xdd, 0xba, 0x11]);
        assert_eq!(is_plain, is_public, "what hosts store is sealed");
        chain.run(&[Body::edit(1, STORAGE, cell, 0, &[]).signed()]);
        assert_eq!(chain.query(cell, &[]).unwrap(), word(0));
    }
}

#[test]
fn nobody_else_edits() {
    let chain = Chain::with(config(true));
    let good = Body::edit(0, BALANCE, FRESH, 0, &[7]);
    let mut changed = good.signed();
    *changed.last_mut().unwrap() ^= 1;
    let mut trailing = good.encode();
    trailing.push(0);
    let signature = sign(Algorithm::Ed25519Oasis, &SEED, DEV_CONTEXT, &trailing).unwrap();
    let trailing = [&[DEV_TYPE], signature.as_slice(), &trailing].concat();
    let other_context = {
        let body = good.encode();
        let signature = sign(Algorithm::Ed25519Oasis, &SEED, b"qanat/evm: something else", &body).unwrap();
        [&[DEV_TYPE], signature.as_slice(), &body].concat()
    };
    let bad = [
        good.signed_by(&[0x43; 32]),
        changed,
        trailing,
        other_context,
        Body { chain_id: CHAIN_ID + 1, ..good.clone() }.signed(),
        Body { sender: account(1).address, ..good.clone() }.signed(),
        Body::edit(0, NONCE, owner(), 0, &[9]).signed(),
        Body::edit(0, NONCE, FRESH, 0, &[1; 9]).signed(),
        Body::edit(0, BALANCE, FRESH, 0, &[1; 33]).signed(),
        Body::edit(0, MIN_GAS_PRICE, FRESH, 0, &[1; 9]).signed(),
        Body::edit(0, 6, FRESH, 0, &[7]).signed(),
        vec![DEV_TYPE],
        good.signed()[..70].to_vec(),
    ];
    for (position, raw) in bad.iter().enumerate() {
        let block = chain.propose(std::slice::from_ref(raw), false).unwrap();
        assert_eq!(block.rejected.len(), 1, "{position}");
        assert_eq!(block.rejected[0].1.error.code, 1, "{position}");
        let checked = chain.engine.check(&[raw.as_slice()], chain.round).unwrap();
        assert_eq!(checked[0].as_ref().unwrap_err().error.code, 1, "{position}");
    }
    let strange = Chain::new();
    let block = strange.propose(&[good.signed()], false).unwrap();
    assert_eq!(block.rejected[0].1.error.code, 1, "a network without dev controls refuses");
}

#[test]
fn an_edit_is_made_once_and_a_nonce_never_falls() {
    let mut chain = Chain::with(config(true));
    let first = Body::edit(0, BALANCE, FRESH, 0, &[7]).signed();
    chain.run(std::slice::from_ref(&first));
    let again = chain.propose(&[first], false).unwrap();
    assert_eq!(again.rejected[0].1.error.code, 4);
    chain.run(&[account(1).send(0, TxKind::Call(FRESH), 1, 100_000, &[])]);
    let record = chain.run(&[Body::edit(1, NONCE, account(1).address, 0, &[]).signed()]).remove(0);
    assert_eq!(record.error, Some(("core".into(), 4, "invalid nonce".into())));
    assert_eq!(chain.engine.account(&account(1).address, chain.round).unwrap().0, 1);
    assert_eq!(chain.engine.account(&owner(), chain.round).unwrap().0, 2, "it is spent all the same");
}

#[test]
fn a_transaction_for_a_contract_is_paid_by_it() {
    for mut chain in both() {
        let contract = chain.deploy(CELL);
        let sent = Body::sent(contract, 1, TxKind::Call(FRESH), 5);
        let refused = chain.propose(&[sent.signed()], false).unwrap();
        assert_eq!(refused.rejected[0].1.error.code, 5, "who has nothing pays no fees");
        chain.run(&[Body::edit(0, BALANCE, contract, 0, &U256::from(ETHER).to_be_bytes::<32>()).signed()]);
        let record = chain.run(&[sent.signed()]).remove(0);
        assert_eq!((record.status, record.error.clone()), (1, None));
        assert_eq!(record.map["sender"], Value::Bytes(contract.to_vec()));
        assert_eq!(chain.balance(FRESH), U256::from(5));
        let paid = u128::from(record.gas_used) * PRICE;
        let left = (2, U256::from(ETHER - 5 - paid));
        assert_eq!(chain.engine.account(&contract, chain.round).unwrap(), left);
        let again = chain.propose(&[sent.signed()], false).unwrap();
        assert_eq!(again.rejected[0].1.error.code, 4);
    }
}

#[test]
fn a_price_holds_for_a_round() {
    let mut chain = Chain::with(config(true));
    let floor = chain.engine.min_gas_price(chain.round).unwrap();
    let price = (3 * floor).to_be_bytes();
    chain.run(&[Body::edit(0, MIN_GAS_PRICE, Address::ZERO, 0, &price).signed()]);
    assert_eq!(chain.engine.min_gas_price(chain.round).unwrap(), 3 * floor);
    let cheap = account(2).send(0, TxKind::Call(FRESH), 1, 100_000, &[]);
    let block = chain.propose(std::slice::from_ref(&cheap), false).unwrap();
    assert_eq!(block.rejected[0].1.error.code, 20, "it offers too little");
    chain.run(&[Body::edit(1, MIN_GAS_PRICE, Address::ZERO, 0, &[5]).signed()]);
    assert_eq!(chain.engine.min_gas_price(chain.round).unwrap(), 5);
    chain.run(&[account(2).dynamic(0, FRESH, 10, 1)]);
    assert_eq!(chain.engine.min_gas_price(chain.round).unwrap(), floor, "then the rule goes on from the floor");
}

#[test]
fn edits_go_first_and_a_block_with_one_is_traced() {
    let mut chain = Chain::with(config(false));
    let batch =
        [Body::edit(0, BALANCE, FRESH, 0, &[7]).signed(), account(1).send(0, TxKind::Call(FRESH), 1, 100_000, &[])];
    let raws: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
    let tracer = json!({"geth": {"tracer": "callTracer", "tracerConfig": {}}}).to_string();
    let style = Style::parse(tracer.as_bytes()).unwrap();
    let replayed =
        chain.engine.replay(&chain.environment(), B256::ZERO, &raws, &[], None, &style, Limits::default()).unwrap();
    let records = chain.run(&batch);
    assert_eq!(replayed.len(), 2);
    for (one, record) in replayed.iter().zip(&records) {
        assert_eq!(Record::read(&one.result), *record, "a replay ends as the round did");
        serde_json::from_slice::<Json>(&one.trace).unwrap();
    }
    assert_eq!(chain.balance(FRESH), U256::from(8));
}
