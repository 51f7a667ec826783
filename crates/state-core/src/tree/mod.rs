//! The authenticated tree: a path-compressed binary Merkle tree over keys of any length.
//!
//! A key is a string of bits, most significant bit of each byte first. An inner node carries the bits that all
//! keys below it share (its *label*, which starts with the bit its parent branched on), the leaf whose key ends
//! exactly there, and one subtree for each next bit. An inner node exists only where at least two of these three
//! exist, so the shape, and with it the root, depends on the contents alone and never on their history.
//!
//! Hashes are SHA-512/256 over the same bytes as Oasis' MKVS, so roots agree with it (vectors in
//! `tests/vectors/tree.json`). Proofs and the layout on disk are our own.
//!
//! Source: oasis-core `go/storage/mkvs/node/node.go` (node hashes), `docs/mkvs.md`.

mod bits;
mod node;
mod proof;
mod read;
mod update;

use std::collections::BTreeMap;

use crate::errors::StateError;

pub use node::{EMPTY_ROOT, Known, Link, Node};
pub use proof::{prove, verify_proof};
pub use read::{Items, get, scan};
pub use update::{Change, Delta, MAX_NODES_PER_UPDATE_BITS, Update};

/// Hash of a tree. [`EMPTY_ROOT`] when there is no key.
pub type Root = [u8; 32];

/// Longest key [bytes]. Bounds the depth of the tree (8 levels a byte) and so the stack of its recursions;
/// the longest key the engine writes, an encrypted storage slot, has 84 bytes.
pub const MAX_KEY_BYTES: usize = 96;

/// Longest value [bytes]. Far above the largest thing stored (code, 64 KiB).
pub const MAX_VALUE_BYTES: usize = 1 << 24;

/// Where nodes come from.
pub trait NodeSource {
    /// The node a link points to; its hash has been checked against the link.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when it is missing or is another node.
    fn load(&self, link: &Link) -> Result<Known, StateError>;
}

/// A source for trees that are built from nothing.
struct Nothing;

impl NodeSource for Nothing {
    fn load(&self, _: &Link) -> Result<Known, StateError> {
        Err(StateError::Corrupt("a new tree has no stored nodes".into()))
    }
}

/// Root of a tree with just these items, as used for the I/O root of a round.
///
/// # Errors
/// [`StateError::BadLength`] for a key or value that no tree can hold.
pub fn root_of(items: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Root, StateError> {
    let changes: Vec<Change<'_>> = items.iter().map(|(key, value)| Change::set(key, value)).collect();
    let mut update = Update::new(&Nothing, 0);
    let link = update.run(None, &changes)?;
    Ok(link.map_or(EMPTY_ROOT, |link| link.hash))
}
