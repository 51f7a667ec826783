//! Ethereum's tries of a public chain: what rounds leave in them, against tries made from scratch.

use std::{collections::BTreeMap, sync::Arc};

use super::support::{self, Account, ETHER, GWEI, Record, account, environment, word};
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, TxKind, U256, hex, keccak256};
use alloy_rlp::{Encodable, RlpEncodable};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount, proof::verify_proof, root};
use evm_core::{
    config::{ChainConfig, PUBLIC_FORK},
    crypto::{Algorithm, keypair, sign},
    dev_transaction::{DEV_CONTEXT, DEV_TYPE, dev_address},
    engine::Engine,
    genesis::GenesisAccount,
    layout::oasis_address,
    merkle::AccountProof,
};
use state_core::{
    cbor::{self, Value},
    store::Store,
};

const CHAIN: u64 = 0xa514;
const SEED: [u8; 32] = [0x42; 32];
/// Stores the second word of calldata in the slot that the first one names.
const SHELF: &[u8] = &hex!("6020 35 5f 35 55");

fn send(from: &Account, nonce: u64, to: TxKind, value: u128, data: &[u8]) -> Vec<u8> {
    from.sign(TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: 100 * GWEI,
        gas_limit: 500_000,
        to,
        value: U256::from(value),
        input: Bytes::copy_from_slice(data),
    })
}

fn put(from: &Account, nonce: u64, shelf: Address, slot: u64, value: u64) -> Vec<u8> {
    let data = [U256::from(slot).to_be_bytes::<32>(), U256::from(value).to_be_bytes()].concat();
    send(from, nonce, TxKind::Call(shelf), 0, &data)
}

/// A chain, and what its tries must hold: by address, the slots that were written.
struct Chain {
    engine: Engine,
    version: u64,
    known: BTreeMap<Address, BTreeMap<U256, U256>>,
    root: Option<B256>,
}

impl Chain {
    fn new() -> Self {
        let dev_control_key = Some(owner_key());
        let config = ChainConfig { confidential: false, fork: PUBLIC_FORK, dev_control_key, ..ChainConfig::new(CHAIN) };
        let engine = support::engine(config, Arc::new(Store::memory().unwrap()));
        let mut chain = Self { engine, version: 0, known: BTreeMap::new(), root: None };
        let funds = |number| GenesisAccount::funded(account(number).address, U256::from(1_000 * ETHER));
        chain.run(&[], &[funds(1), funds(2)]);
        chain
    }

    /// Makes a round, and takes its Ethereum state root over where it names one.
    fn run(&mut self, batch: &[Vec<u8>], genesis: &[GenesisAccount]) {
        self.version += 1;
        let raw: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let block = self.engine.execute(&environment(self.version), &raw, genesis, true).unwrap();
        assert!(block.results.iter().all(|result| Record::read(result).error.is_none()));
        if let Some(summary) = &block.summary {
            let Ok(Value::Map(entries)) = cbor::decode(summary) else { panic!("no map") };
            let [(Value::Text(name), Value::Bytes(root))] = &entries[..] else { panic!("no root") };
            assert_eq!(name, "ethereum_root");
            self.root = Some(B256::from_slice(root));
        }
        block.persist().unwrap();
    }

    fn proof(&self, address: Address, slots: &[u64]) -> AccountProof {
        let slots: Vec<B256> = slots.iter().map(|slot| B256::from(U256::from(*slot))).collect();
        let proof = self.engine.prove(&address, &slots, self.version).unwrap().unwrap();
        let there = (proof.account != TrieAccount::default()).then(|| alloy_rlp::encode(proof.account));
        verify_proof(self.root.unwrap(), Nibbles::unpack(keccak256(address)), there, &proof.nodes).unwrap();
        for (slot, (value, nodes)) in slots.iter().zip(&proof.slots) {
            let there = (!value.is_zero()).then(|| alloy_rlp::encode(value));
            verify_proof(proof.account.storage_root, Nibbles::unpack(keccak256(slot)), there, nodes).unwrap();
        }
        proof
    }

    /// Root of tries made at once from the flat state.
    fn root_from_scratch(&self) -> B256 {
        root::state_root_unhashed(self.known.iter().map(|(address, slots)| {
            let (nonce, balance) = self.engine.account(address, self.version).unwrap();
            let code = self.engine.code(address, self.version).unwrap();
            let held = slots.iter().filter(|(_, value)| !value.is_zero());
            let storage_root = root::storage_root_unhashed(held.map(|(slot, value)| (B256::from(*slot), *value)));
            let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { keccak256(code) };
            (*address, TrieAccount::new(nonce, balance, storage_root, code_hash))
        }))
    }
}

#[test]
fn each_round_leads_to_the_root_of_a_trie_from_scratch() {
    let mut chain = Chain::new();
    let (owner, other) = (account(1), account(2));
    let shelf = owner.address.create(0);
    chain.known.extend([(owner.address, BTreeMap::new()), (other.address, BTreeMap::new())]);
    assert_eq!(chain.root, Some(chain.root_from_scratch()), "what genesis gave is there");

    chain.run(&[send(&owner, 0, TxKind::Create, 0, &support::deployer(SHELF))], &[]);
    chain.known.insert(shelf, BTreeMap::new());
    assert_eq!(chain.root, Some(chain.root_from_scratch()));

    for nonce in 1..30u64 {
        // Slots come, change and go again; every third round pays somebody new as well.
        let (slot, value) = (nonce * nonce % 11, nonce % 4);
        let mut batch = vec![put(&owner, nonce, shelf, slot, value)];
        chain.known.get_mut(&shelf).unwrap().insert(U256::from(slot), U256::from(value));
        if nonce % 3 == 0 {
            let somebody = Address::repeat_byte(nonce as u8);
            batch.push(send(&other, nonce / 3 - 1, TxKind::Call(somebody), 7, &[]));
            chain.known.insert(somebody, BTreeMap::new());
        }
        chain.run(&batch, &[]);
        assert_eq!(chain.root, Some(chain.root_from_scratch()), "round {}", chain.version);
        let proof = chain.proof(shelf, &[slot, 99]);
        assert_eq!(proof.slots[0].0, U256::from(value));
        assert!(proof.slots[1].0.is_zero());
    }
}

#[test]
fn what_is_not_there_is_proven_absent() {
    let chain = Chain::new();
    let proof = chain.proof(Address::repeat_byte(0xee), &[0]);
    assert_eq!((proof.account.storage_root, proof.slots[0].1.len()), (EMPTY_ROOT_HASH, 0));
    assert!(!proof.nodes.is_empty());
}

#[test]
fn a_round_without_a_change_names_no_root_and_an_older_version_keeps_its_own() {
    let mut chain = Chain::new();
    let before = chain.root;
    let quiet = chain.engine.execute(&environment(2), &[], &[], true).unwrap();
    assert_eq!(quiet.summary, None);
    chain.run(&[send(&account(1), 0, TxKind::Call(account(2).address), 5, &[])], &[]);
    assert_ne!(chain.root, before);
    (chain.root, chain.version) = (before, 1);
    assert_eq!(chain.proof(account(2).address, &[]).account.balance, U256::from(1_000 * ETHER));
}

/// Key of the network's owner.
fn owner_key() -> [u8; 32] {
    keypair(Algorithm::Ed25519Oasis, &SEED).unwrap().0.try_into().unwrap()
}

/// What he signs to have accounts put into the tries.
fn names(nonce: u64, accounts: &[Address]) -> Vec<u8> {
    let joined: Vec<u8> = accounts.iter().flat_map(|one| one.into_array()).collect();
    edited(nonce, Edit(6, Address::ZERO, U256::ZERO, Bytes::from(joined)))
}

fn edited(nonce: u64, edit: Edit) -> Vec<u8> {
    let owner = dev_address(&owner_key());
    let mut body = Vec::new();
    Body(CHAIN, nonce, 0, 0, owner, TxKind::Create, U256::ZERO, Bytes::new(), edit).encode(&mut body);
    let signature = sign(Algorithm::Ed25519Oasis, &SEED, DEV_CONTEXT, &body).unwrap();
    [&[DEV_TYPE], signature.as_slice(), &body].concat()
}

#[derive(RlpEncodable)]
struct Edit(u8, Address, U256, Bytes);

#[derive(RlpEncodable)]
struct Body(u64, u64, u64, u64, Address, TxKind, U256, Bytes, Edit);

/// Has a slot, and nothing else.
const BARE: Address = Address::repeat_byte(0xbb);

/// A chain as it was before there were tries: with two contracts, a slot in each, and another account.
fn older_chain() -> (Chain, [Address; 2]) {
    let mut chain = Chain::new();
    let owner = account(1);
    let shelves = [owner.address.create(0), owner.address.create(1)];
    let create = |nonce| send(&owner, nonce, TxKind::Create, 0, &support::deployer(SHELF));
    chain.run(&[create(0), create(1), put(&owner, 2, shelves[0], 7, 70), put(&owner, 3, shelves[1], 8, 80)], &[]);
    chain.run(&[edited(0, Edit(4, BARE, U256::ONE, Bytes::from([5])))], &[]);
    let snapshot = chain.engine.store().snapshot(chain.version).unwrap();
    let rows = (0x0a..=0x0d).flat_map(|kind: u8| snapshot.scan(&[kind], None, usize::MAX).unwrap());
    let changes = rows.map(|(key, _)| (key, None)).collect();
    let staged = chain.engine.store().stage(chain.version, &changes).unwrap();
    chain.version += 1;
    chain.engine.store().persist(&staged, chain.version).unwrap();
    chain.root = None;
    (chain, shelves)
}

#[test]
fn an_older_chain_keeps_tries_from_when_its_accounts_are_named() {
    let (mut chain, [shelf, late]) = older_chain();
    let (owner, other) = (account(1), account(2));
    chain.run(&[put(&owner, 4, shelf, 9, 90)], &[]);
    assert_eq!((chain.root, chain.engine.prove(&shelf, &[], chain.version).unwrap()), (None, None));
    let absent = Address::repeat_byte(0xee);

    chain.run(&[names(1, &[owner.address, shelf, absent])], &[]);
    let slots =
        |pairs: &[(u64, u64)]| pairs.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
    chain.known.extend([(owner.address, BTreeMap::new()), (shelf, slots(&[(7, 70), (9, 90)]))]);
    chain.known.insert(dev_address(&owner_key()), BTreeMap::new());
    assert_eq!(chain.root, Some(chain.root_from_scratch()));
    assert_eq!(chain.proof(shelf, &[7, 8]).slots[0].0, U256::from(70));
    chain.proof(absent, &[]);
    // Who was not named is neither proven nor proven absent, until something is written to him.
    for one in [late, other.address, BARE] {
        assert_eq!(chain.engine.prove(&one, &[], chain.version).unwrap(), None);
    }

    chain.run(&[put(&owner, 5, late, 9, 91), put(&owner, 6, late, 8, 0)], &[]);
    chain.known.insert(late, slots(&[(9, 91)]));
    assert_eq!(chain.root, Some(chain.root_from_scratch()));
    assert!(chain.proof(late, &[8, 9]).slots[0].0.is_zero());

    chain.run(&[names(2, &[other.address, BARE]), send(&owner, 7, TxKind::Call(late), 0, &word(3))], &[]);
    chain.known.extend([(other.address, BTreeMap::new()), (BARE, slots(&[(1, 5)]))]);
    assert_eq!(chain.root, Some(chain.root_from_scratch()));
}

#[test]
fn names_change_nothing_where_all_are_known_and_are_refused_where_there_are_no_tries() {
    let mut chain = Chain::new();
    chain.run(&[names(0, &[])], &[]);
    let before = chain.root;
    let quiet = chain.engine.execute(&environment(3), &[&names(1, &[account(1).address])], &[], true).unwrap();
    chain.known.extend([account(1), account(2)].map(|one| (one.address, BTreeMap::new())));
    chain.known.insert(dev_address(&owner_key()), BTreeMap::new());
    assert_eq!(before, Some(chain.root_from_scratch()));
    // The owner's own nonce moves.
    assert!(quiet.summary.is_some());

    let config = ChainConfig { dev_control_key: Some(owner_key()), ..ChainConfig::new(CHAIN) };
    let sealed = support::engine(config, Arc::new(Store::memory().unwrap()));
    let refused = sealed.execute(&environment(1), &[&names(0, &[])], &[], true).unwrap();
    assert_eq!(Record::read(&refused.results[0]).error.unwrap().1, 10);
}

#[test]
fn a_confidential_chain_has_none() {
    let chain = support::Chain::new();
    assert_eq!(chain.engine.prove(&account(1).address, &[], 1).unwrap(), None);
    assert_eq!(chain.propose(&[account(1).call(0, account(2).address, &[])], true).unwrap().summary, None);
}

/// Calldata by which an account pays another by its Oasis address.
fn pay(to: Address, amount: u8) -> Vec<u8> {
    let amount = Value::Array(vec![Value::Bytes(vec![amount]), Value::Bytes(Vec::new())]);
    let to = Value::Bytes(oasis_address(&to).to_vec());
    let body = cbor::encode(&Value::Map(vec![(Value::Text("to".into()), to), (Value::Text("amount".into()), amount)]));
    let method = b"accounts.Transfer";
    let mut padded = body.clone();
    padded.resize(body.len().next_multiple_of(32), 0);
    let name = [&method[..], &[0; 15]].concat();
    [&word(64)[..], &word(128), &word(method.len() as u64), &name, &word(body.len() as u64), &padded].concat()
}

#[test]
fn what_a_proposer_leaves_out_leaves_no_trace() {
    let chain = Chain::new();
    let (rich, stranger) = (account(1), account(3));
    let subcall = support::oasis_precompile(1, 3);
    // Nobody knows the Ethereum address behind the Oasis address that is paid, but from the one that is refused.
    let refused = send(&stranger, 0, TxKind::Call(rich.address), 1, &[]);
    let paid = send(&rich, 0, TxKind::Call(subcall), 0, &pay(stranger.address, 7));
    let proposed = chain.engine.execute(&environment(2), &[&refused, &paid], &[], false).unwrap();
    assert_eq!((&proposed.included[..], proposed.rejected.len()), (&[1][..], 1));
    let repeated = chain.engine.execute(&environment(2), &[&paid], &[], true).unwrap();
    assert!(Record::read(&repeated.results[0]).error.is_none());
    assert_eq!(proposed.results, repeated.results);
    assert_eq!(proposed.summary, repeated.summary);
    assert_eq!((proposed.state_root(), proposed.io_root), (repeated.state_root(), repeated.io_root));
}
