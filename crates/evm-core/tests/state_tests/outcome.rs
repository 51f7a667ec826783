//! What a transaction left behind, as Ethereum writes it down: the root of its trie, and the hash of its logs.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256, map::HashMap};
use alloy_trie::{TrieAccount, root};
use evm_core::{database::StateDatabase, failure::EngineError};
use revm::{
    Database,
    context::result::ExecutionResult,
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState, EvmStorageSlot, TransactionId},
};

use crate::fixture::{Pre, word};

/// Which accounts and slots may exist; our state does not list them by address, and holds no account that has nothing.
pub struct Outcome {
    slots: BTreeMap<Address, BTreeSet<U256>>,
    /// Accounts that exist, but have nothing: what EIP-161 ended.
    bare: BTreeSet<Address>,
    keeps_bare: bool,
    /// Whether EIP-6780 holds.
    is_modern: bool,
}

impl Outcome {
    pub fn new(pre: &Pre, fork: SpecId) -> Self {
        let slots = pre.storage.iter().map(|(address, slots)| (*address, slots.keys().copied().collect())).collect();
        let bare = pre.accounts.iter().filter(|(_, info)| info.is_empty()).map(|(address, _)| *address).collect();
        let keeps_bare = !fork.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        Self { slots, bare, keeps_bare, is_modern: fork.is_enabled_in(SpecId::CANCUN) }
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
    pub fn take(&mut self, mut state: EvmState, pre: &Pre) -> EvmState {
        for (address, account) in &mut state {
            let slots = self.slots.entry(*address).or_default();
            slots.extend(account.storage.keys());
            if !account.is_touched() {
                continue;
            }
            let is_destroyed = account.is_selfdestructed();
            if is_destroyed && !self.is_modern {
                account.unmark_selfdestruct();
                account.info = AccountInfo::default();
                let before = |slot: &U256| pre.storage.get(address).and_then(|slots| slots.get(slot)).copied();
                let cleared = |slot: &U256| {
                    let before = before(slot).unwrap_or(U256::MAX);
                    (*slot, EvmStorageSlot::new_changed(before, U256::ZERO, TransactionId::ZERO))
                };
                account.storage = slots.iter().map(cleared).collect();
            }
            if account.info.is_empty() && self.keeps_bare && !is_destroyed {
                self.bare.insert(*address);
            } else {
                self.bare.remove(address);
            }
        }
        state
    }

    /// The Merkle-Patricia root of all there is.
    pub fn root(&self, database: &mut StateDatabase<'_>) -> Result<B256, EngineError> {
        let mut accounts: HashMap<Address, TrieAccount> = HashMap::default();
        for (address, slots) in &self.slots {
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
            let storage_root = root::storage_root_unhashed(storage);
            let account = TrieAccount { nonce: info.nonce, balance: info.balance, storage_root, code_hash };
            accounts.insert(*address, account);
        }
        Ok(root::state_root_unhashed(accounts))
    }
}

/// Keccak-256 of the RLP of the logs; nothing that fails has any.
pub fn logs_hash(result: Option<ExecutionResult>) -> B256 {
    let logs = match result {
        Some(ExecutionResult::Success { logs, .. }) => logs,
        _ => Vec::new(),
    };
    let mut encoded = Vec::new();
    alloy_rlp::encode_list(&logs, &mut encoded);
    keccak256(encoded)
}
