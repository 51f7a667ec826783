//! Which accounts and slots there are, and Ethereum's trie over them: roots and proofs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256, map::HashMap};
use alloy_trie::{HashBuilder, Nibbles, TrieAccount, proof::ProofRetainer, root};
use evm_core::{database::StateDatabase, failure::EngineError};
use revm::{
    Database,
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState, EvmStorageSlot, TransactionId},
};

use crate::{genesis::Alloc, run::word};

/// Which accounts and slots may exist; our state does not list them by address, and holds no account that has nothing.
#[derive(Clone)]
pub struct Accounts {
    slots: Arc<BTreeMap<Address, BTreeSet<U256>>>,
    /// Accounts that exist, but have nothing: what EIP-161 ended.
    bare: BTreeSet<Address>,
    keeps_bare: bool,
    /// Whether EIP-6780 holds.
    is_modern: bool,
}

impl Accounts {
    /// Of a genesis.
    pub fn new(pre: &Alloc, fork: SpecId) -> Self {
        let slots: BTreeMap<Address, BTreeSet<U256>> =
            pre.storage.iter().map(|(address, slots)| (*address, slots.keys().copied().collect())).collect();
        let bare = pre.accounts.iter().filter(|(_, info)| info.is_empty()).map(|(address, _)| *address).collect();
        let keeps_bare = !fork.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        Self { slots: Arc::new(slots), bare, keeps_bare, is_modern: fork.is_enabled_in(SpecId::CANCUN) }
    }

    /// Goes on under the rules of another fork.
    pub fn enter(&mut self, fork: SpecId) {
        self.keeps_bare = !fork.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        self.is_modern = fork.is_enabled_in(SpecId::CANCUN);
    }

    /// Accounts that exist and have nothing.
    pub fn bare(&self) -> &BTreeSet<Address> {
        &self.bare
    }

    /// Learns what a transaction changed, and gives it. What was destroyed by the rules before EIP-6780 is emptied
    /// here: our chains have no way to do that.
    pub fn take(&mut self, mut state: EvmState) -> EvmState {
        let known = Arc::make_mut(&mut self.slots);
        for (address, account) in &mut state {
            let slots = known.entry(*address).or_default();
            slots.extend(account.storage.keys());
            if !account.is_touched() {
                continue;
            }
            let is_destroyed = account.is_selfdestructed();
            if is_destroyed && !self.is_modern {
                account.unmark_selfdestruct();
                account.info = AccountInfo::default();
                // Whatever they held: only that they change is looked at.
                let cleared = || EvmStorageSlot::new_changed(U256::MAX, U256::ZERO, TransactionId::ZERO);
                account.storage = slots.iter().map(|slot| (*slot, cleared())).collect();
            }
            if account.info.is_empty() && self.keeps_bare && !is_destroyed {
                self.bare.insert(*address);
            } else {
                self.bare.remove(address);
            }
        }
        state
    }

    /// Notes accounts and slots that a simulation wrote past transactions.
    pub fn note(&mut self, address: Address, slots: impl IntoIterator<Item = U256>) {
        Arc::make_mut(&mut self.slots).entry(address).or_default().extend(slots);
    }

    /// The Merkle-Patricia root of all there is.
    pub fn root(&self, database: &mut StateDatabase<'_>) -> Result<B256, EngineError> {
        let accounts = self.all(database)?.into_iter().map(|(address, (account, _))| (address, account));
        Ok(root::state_root_unhashed(accounts.collect::<HashMap<_, _>>()))
    }

    /// What the trie says of an account and of some of its slots.
    pub fn proof(
        &self,
        database: &mut StateDatabase<'_>,
        address: Address,
        slots: &[B256],
    ) -> Result<AccountProof, EngineError> {
        let mut all = self.all(database)?;
        let (_, account_nodes) = trie(
            all.iter().map(|(address, (account, _))| (keccak256(address), alloy_rlp::encode(account))),
            keccak256(address),
        );
        let absent = || {
            let account = TrieAccount {
                storage_root: alloy_trie::EMPTY_ROOT_HASH,
                code_hash: KECCAK256_EMPTY,
                ..Default::default()
            };
            (account, Vec::new())
        };
        let (account, storage) = all.remove(&address).unwrap_or_else(absent);
        let proofs = slots.iter().map(|slot| {
            let leaves = storage.iter().map(|(slot, value)| (keccak256(slot), alloy_rlp::encode(value)));
            let value = storage.iter().find(|(one, _)| one == slot).map_or(U256::ZERO, |(_, value)| *value);
            (value, trie(leaves, keccak256(slot)).1)
        });
        Ok(AccountProof { nodes: account_nodes, slots: proofs.collect(), account })
    }

    fn all(&self, database: &mut StateDatabase<'_>) -> Result<All, EngineError> {
        let mut accounts = BTreeMap::new();
        for (address, slots) in self.slots.iter() {
            let info = match database.basic(*address)? {
                Some(info) => info,
                None if self.bare.contains(address) => AccountInfo::default(),
                None => continue,
            };
            let mut storage = Vec::new();
            for slot in slots {
                let value = database.storage(*address, *slot)?;
                if !value.is_zero() {
                    storage.push((word(*slot), value));
                }
            }
            let code_hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
            let storage_root = root::storage_root_unhashed(storage.iter().copied());
            let account = TrieAccount { nonce: info.nonce, balance: info.balance, storage_root, code_hash };
            accounts.insert(*address, (account, storage));
        }
        Ok(accounts)
    }
}

/// Accounts with the slots that hold something.
type All = BTreeMap<Address, (TrieAccount, Vec<(B256, U256)>)>;

/// A proof in Ethereum's form (EIP-1186).
pub struct AccountProof {
    /// What the trie holds; nothing, with the roots of nothing, where there is no account.
    pub account: TrieAccount,
    /// Nodes from the state root down.
    pub nodes: Vec<Bytes>,
    /// Of each slot that was asked for: its value, and nodes from the storage root down.
    pub slots: Vec<(U256, Vec<Bytes>)>,
}

/// Root of a trie of (hashed key, value), and the nodes on the way to one key; none in a trie of nothing.
fn trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>, target: B256) -> (B256, Vec<Bytes>) {
    let leaves: BTreeMap<B256, Vec<u8>> = leaves.collect();
    let retainer = ProofRetainer::new(vec![Nibbles::unpack(target)]);
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in &leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = if leaves.is_empty() { Vec::new() } else { builder.take_proof_nodes().into_nodes_sorted() };
    (root, nodes.into_iter().map(|(_, node)| node).collect())
}
