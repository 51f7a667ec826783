//! Ethereum's own tries of a public chain, beside the state and within it.
//!
//! | key | value |
//! |---|---|
//! | `0a` | root of the trie of accounts (32); where it is, the tries are kept |
//! | `0b ‖ path (a byte each nibble)` | node of the trie of accounts |
//! | `0c ‖ contract (20) ‖ path` | node of a contract's trie of slots |
//! | `0d ‖ Oasis address (21)` | Ethereum address of an account that is in the trie |
//! | `0e` | 1, where the tries began after the chain's first round |
//!
//! They are rows of the state like every other, so that its root covers theirs, and go back with it. An account is in
//! the trie from when a round first writes to it by its Ethereum address: that cannot be found from an Oasis address.
//! So a chain that is older than the tries begins them when the network's owner names its accounts; what he leaves out
//! enters when it is written to, with all that it has then.

mod trie;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};

use self::trie::{Edit, Trie};
use crate::{
    database::Changes,
    layout::{AccountRecord, OasisAddress},
};
use state_core::{errors::StateError, store::Snapshot, tree::EMPTY_ROOT};

type Result<T> = std::result::Result<T, StateError>;

const ROOT_KEY: &[u8] = &[0x0a];
/// Where it is, an account may have slots of before it entered the trie.
pub const LATE_KEY: &[u8] = &[0x0e];

/// Key of the Ethereum address of an account in the trie.
pub fn address_key(account: &OasisAddress) -> Vec<u8> {
    [&[0x0d], account.as_slice()].concat()
}

fn accounts(snapshot: &Snapshot) -> Trie<'_> {
    Trie::new(snapshot, vec![0x0b])
}

fn slots<'s>(snapshot: &'s Snapshot, contract: &Address) -> Trie<'s> {
    Trie::new(snapshot, [&[0x0c], contract.as_slice()].concat())
}

/// An account that a round wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where Ethereum has it.
    pub address: Address,
    /// What it holds after the round.
    pub record: AccountRecord,
    /// Slots that changed, and what they hold; zero is nothing.
    pub slots: Vec<(U256, U256)>,
}

/// Whether a public chain keeps the tries: from its first round on, or since the network's owner named its accounts.
pub fn is_kept(snapshot: &Snapshot) -> Result<bool> {
    Ok(snapshot.root() == EMPTY_ROOT || snapshot.get(ROOT_KEY)?.is_some())
}

/// Root of the trie of accounts; None where there is none.
pub fn root(snapshot: &Snapshot) -> Result<Option<B256>> {
    let row = snapshot.get(ROOT_KEY)?;
    row.map(|row| B256::try_from(row.as_slice()).map_err(|_| corrupt("root is not 32 bytes"))).transpose()
}

/// Brings what a round wrote into the tries: adds the rows that change, and gives the root of the accounts.
pub fn update(snapshot: &Snapshot, written: &[Written], changes: &mut Changes) -> Result<B256> {
    let trie = accounts(snapshot);
    let mut edits = Vec::with_capacity(written.len());
    for Written { address, record, slots: changed } in written {
        let path = Nibbles::unpack(keccak256(address));
        let storage_root = if changed.is_empty() {
            trie.get(&path)?.as_deref().map(decode::<TrieAccount>).transpose()?.unwrap_or_default().storage_root
        } else {
            let edit = |(slot, value): &(U256, U256)| -> Edit {
                let path = Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()));
                (path, (!value.is_zero()).then(|| alloy_rlp::encode(value)))
            };
            slots(snapshot, address).update(&sorted(changed.iter().map(edit)), changes)?
        };
        let account = TrieAccount::new(record.nonce, record.balance, storage_root, record.code_hash);
        let is_there = !record.is_empty() || storage_root != EMPTY_ROOT_HASH;
        edits.push((path, is_there.then(|| alloy_rlp::encode(account))));
    }
    let root = trie.update(&sorted(edits.into_iter()), changes)?;
    changes.insert(ROOT_KEY.to_vec(), Some(root.to_vec()));
    Ok(root)
}

fn sorted(edits: impl Iterator<Item = Edit>) -> Vec<Edit> {
    let mut edits: Vec<Edit> = edits.collect();
    edits.sort_unstable_by_key(|(path, _)| *path);
    edits
}

/// A proof in Ethereum's form (EIP-1186).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// What the trie holds; nothing, with the hashes of nothing, where there is no account.
    pub account: TrieAccount,
    /// Nodes from the state root down.
    pub nodes: Vec<Bytes>,
    /// Of each slot that was asked for: its value, and nodes from the storage root down.
    pub slots: Vec<(U256, Vec<Bytes>)>,
}

/// Proves an account, or that there is none, and slots of it.
pub fn prove(snapshot: &Snapshot, address: &Address, wanted: &[B256]) -> Result<AccountProof> {
    let (account, nodes) = accounts(snapshot).prove(&Nibbles::unpack(keccak256(address)))?;
    let account = account.as_deref().map(decode).transpose()?.unwrap_or_default();
    let trie = slots(snapshot, address);
    let slots = wanted.iter().map(|slot| {
        let (value, nodes) = trie.prove(&Nibbles::unpack(keccak256(slot)))?;
        Ok((value.as_deref().map(decode).transpose()?.unwrap_or_default(), nodes))
    });
    Ok(AccountProof { slots: slots.collect::<Result<_>>()?, account, nodes })
}

fn decode<T: Decodable>(mut value: &[u8]) -> Result<T> {
    T::decode(&mut value).map_err(|error| corrupt(&error.to_string()))
}

fn corrupt(what: &str) -> StateError {
    StateError::Corrupt(format!("trie: {what}"))
}
