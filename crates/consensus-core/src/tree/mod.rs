//! The authenticated map that holds consensus state.
//!
//! A binary Merkle tree with compressed paths. An entry's path is SHA-512/256 of its key, so the tree is balanced
//! whoever chooses the keys. A branch names the bit at which its two sides part:
//!
//! | node | digest |
//! |---|---|
//! | empty tree | H("") |
//! | leaf | H(0x00 ‖ path ‖ H(value)) |
//! | branch | H(0x01 ‖ bit, 1 byte ‖ digest of side 0 ‖ digest of side 1) |
//!
//! Following a path through the branches' bits ends at the only leaf that may hold it, so one leaf proves both presence
//! and absence. Trees are immutable and share structure: a change of k entries costs O(k · depth), and keeping many
//! versions costs only their differences.

mod node;
mod path;
mod proof;

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::digest::{Digest, sha512_256};
use node::{Node, with, without};
use path::path_of;

pub use proof::{BadProof, Claim, verify};

/// Bytes that versions share.
type Shared = Arc<[u8]>;

/// One version of the map. Never changes; a clone shares everything.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    root: Option<Arc<Node>>,
    /// The same entries by key: for order, and so that reading one hashes nothing.
    entries: RedBlackTreeMapSync<Shared, Shared>,
}

impl Tree {
    /// Digest of all entries; the same for the same entries, however they came.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root.as_ref().map_or_else(|| sha512_256(&[]), |node| node.digest())
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.size()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(AsRef::as_ref)
    }

    /// Entries whose keys begin with a prefix, in the order of their keys.
    pub fn items<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.entries
            .range::<Shared, _>(Shared::from(prefix)..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// The map after changes; `None` removes an entry, and may name one that is absent.
    #[must_use]
    pub fn with_changes<'a>(&self, changes: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Self {
        let mut tree = self.clone();
        for (key, value) in changes {
            let path = path_of(key);
            if let Some(value) = value {
                let value: Shared = value.into();
                tree.root = Some(with(tree.root.as_ref(), path, &value));
                tree.entries.insert_mut(key.into(), value);
            } else if tree.entries.remove_mut(key) {
                tree.root = tree.root.and_then(|root| without(&root, &path));
            }
        }
        tree
    }

    /// Proof of the values of keys, and of the absence of those that are not there. The values are not part of it.
    #[must_use]
    pub fn prove<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        proof::prove(self.root.as_deref(), keys)
    }
}
