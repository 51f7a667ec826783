//! A Merkle-Patricia trie whose nodes are rows of the state, each under its path.
//!
//! A row holds the node as Ethereum encodes it, so that the rows on the way to a key are its proof. A node shorter
//! than a hash stands in its parent as well, as Ethereum has it.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieMask,
    nodes::{BranchNode, ExtensionNode, LeafNode, RlpNode, TrieNode},
};

use crate::database::Changes;
use state_core::{errors::StateError, store::Snapshot};

type Result<T> = std::result::Result<T, StateError>;
/// What becomes of a key of 32 bytes; None deletes it.
pub type Edit = (Nibbles, Option<Vec<u8>>);
/// References to the children of a branch.
type Children = [Option<RlpNode>; 16];
/// Shortest encoding that a parent names by its hash [bytes].
const HASHED_BYTES: usize = 32;

/// One trie for reading.
pub struct Trie<'s> {
    snapshot: &'s Snapshot,
    prefix: Vec<u8>,
}

impl<'s> Trie<'s> {
    /// The trie whose rows begin with a prefix.
    pub fn new(snapshot: &'s Snapshot, prefix: Vec<u8>) -> Self {
        Self { snapshot, prefix }
    }

    /// Value of a key, if there is one, and the nodes from the root to where it is or would be.
    pub fn prove(&self, key: &Nibbles) -> Result<(Option<Vec<u8>>, Vec<Bytes>)> {
        let (mut path, mut nodes) = (Nibbles::new(), Vec::new());
        while let Some(row) = self.snapshot.get(&self.row_key(&path))? {
            let node = decode(&row)?;
            // The root has no parent in which it could stand.
            if path.is_empty() || row.len() >= HASHED_BYTES {
                nodes.push(row.into());
            }
            let rest = key.slice(path.len()..);
            match node {
                TrieNode::Leaf(leaf) => return Ok(((leaf.key == rest).then_some(leaf.value), nodes)),
                TrieNode::Extension(extension) if rest.starts_with(&extension.key) => path.extend(&extension.key),
                TrieNode::Branch(branch) if branch.state_mask.is_bit_set(nibble(&rest, 0)?) => {
                    path.push(nibble(&rest, 0)?);
                }
                _ => return Ok((None, nodes)),
            }
        }
        if nodes.is_empty() { Ok((None, nodes)) } else { Err(corrupt("a node is missing")) }
    }

    /// Value of a key.
    pub fn get(&self, key: &Nibbles) -> Result<Option<Vec<u8>>> {
        Ok(self.prove(key)?.0)
    }

    /// Makes edits, sorted by key, each key once; adds the rows that change, and gives the root.
    pub fn update(&self, edits: &[Edit], changes: &mut Changes) -> Result<B256> {
        let mut update = Update { trie: self, changes };
        let path = Nibbles::new();
        let root = update.load(&path)?;
        let Some(root) = update.edit(&path, root, edits)? else {
            update.remove(&path);
            return Ok(EMPTY_ROOT_HASH);
        };
        let mut row = Vec::new();
        root.encode(&mut row);
        let hash = keccak256(&row);
        update.changes.insert(self.row_key(&path), Some(row));
        Ok(hash)
    }

    fn row_key(&self, path: &Nibbles) -> Vec<u8> {
        [self.prefix.as_slice(), &path.to_vec()].concat()
    }
}

/// A trie while it changes. A node that a method gives is not stored yet; those below it are.
struct Update<'t, 's, 'c> {
    trie: &'t Trie<'s>,
    changes: &'c mut Changes,
}

impl Update<'_, '_, '_> {
    fn load(&self, path: &Nibbles) -> Result<Option<TrieNode>> {
        let key = self.trie.row_key(path);
        match self.changes.get(&key) {
            Some(row) => row.as_deref().map(decode).transpose(),
            None => self.trie.snapshot.get(&key)?.as_deref().map(decode).transpose(),
        }
    }

    fn require(&self, path: &Nibbles) -> Result<TrieNode> {
        self.load(path)?.ok_or_else(|| corrupt("a node is missing"))
    }

    fn store(&mut self, path: &Nibbles, node: &TrieNode) -> RlpNode {
        let mut row = Vec::new();
        node.encode(&mut row);
        let reference = RlpNode::from_rlp(&row);
        self.changes.insert(self.trie.row_key(path), Some(row));
        reference
    }

    fn remove(&mut self, path: &Nibbles) {
        self.changes.insert(self.trie.row_key(path), None);
    }

    /// What edits, all of keys under a path, make of the node there.
    fn edit(&mut self, path: &Nibbles, node: Option<TrieNode>, edits: &[Edit]) -> Result<Option<TrieNode>> {
        match node {
            _ if edits.is_empty() => Ok(node),
            None | Some(TrieNode::EmptyRoot) => self.grow(path, edits),
            Some(TrieNode::Leaf(leaf)) => {
                let key = path.join(&leaf.key);
                let mut edits = edits.to_vec();
                if let Err(place) = edits.binary_search_by(|(other, _)| other.cmp(&key)) {
                    edits.insert(place, (key, Some(leaf.value)));
                }
                self.grow(path, &edits)
            }
            Some(TrieNode::Extension(extension)) => self.edit_extension(path, extension, edits),
            Some(TrieNode::Branch(branch)) => {
                let mut references = branch.stack.into_iter();
                let children = std::array::from_fn(|index| {
                    branch.state_mask.is_bit_set(index as u8).then(|| references.next()).flatten()
                });
                self.edit_branch(path, children, edits)
            }
        }
    }

    /// Makes the node of a place where there is nothing.
    fn grow(&mut self, path: &Nibbles, edits: &[Edit]) -> Result<Option<TrieNode>> {
        let held: Vec<Edit> = edits.iter().filter(|(_, value)| value.is_some()).cloned().collect();
        let (Some((first, value)), Some((last, _))) = (held.first(), held.last()) else { return Ok(None) };
        if held.len() == 1 {
            let leaf = LeafNode::new(first.slice(path.len()..), value.clone().unwrap_or_default());
            return Ok(Some(TrieNode::Leaf(leaf)));
        }
        let fork = first.slice(..first.common_prefix_length(last));
        let branch = self.edit_branch(&fork, Children::default(), &held)?;
        self.extend(path, &fork, branch)
    }

    fn edit_extension(&mut self, path: &Nibbles, extension: ExtensionNode, edits: &[Edit]) -> Result<Option<TrieNode>> {
        let end = path.join(&extension.key);
        let shared = edits.iter().map(|(key, _)| key.common_prefix_length(&end)).min().unwrap_or(end.len());
        if shared >= end.len() {
            let child = self.require(&end)?;
            let child = self.edit(&end, Some(child), edits)?;
            return self.extend(path, &end, child);
        }
        // Some keys leave it: a branch where the first of them does.
        let fork = end.slice(..shared);
        let below = end.slice(..=shared);
        let reference = if below.len() == end.len() {
            extension.child
        } else {
            let rest = ExtensionNode::new(end.slice(below.len()..), extension.child);
            self.store(&below, &TrieNode::Extension(rest))
        };
        let mut children = Children::default();
        children[usize::from(nibble(&end, shared)?)] = Some(reference);
        let branch = self.edit_branch(&fork, children, edits)?;
        self.extend(path, &fork, branch)
    }

    fn edit_branch(&mut self, path: &Nibbles, mut children: Children, edits: &[Edit]) -> Result<Option<TrieNode>> {
        let depth = path.len();
        for group in edits.chunk_by(|(one, _), (other, _)| one.get(depth) == other.get(depth)) {
            let index = nibble(&group[0].0, depth)?;
            let below = path.join(&Nibbles::from_nibbles([index]));
            let slot = &mut children[usize::from(index)];
            let child = slot.is_some().then(|| self.require(&below)).transpose()?;
            *slot = match self.edit(&below, child, group)? {
                Some(child) => Some(self.store(&below, &child)),
                None => {
                    self.remove(&below);
                    None
                }
            };
        }
        let held: Vec<u8> = (0..16).filter(|index| children[usize::from(*index)].is_some()).collect();
        match held[..] {
            [] => Ok(None),
            [only] => {
                let below = path.join(&Nibbles::from_nibbles([only]));
                let child = self.require(&below)?;
                self.extend(path, &below, Some(child))
            }
            _ => {
                let mut mask = TrieMask::default();
                held.iter().for_each(|index| mask.set_bit(*index));
                Ok(Some(TrieNode::Branch(BranchNode::new(children.into_iter().flatten().collect(), mask))))
            }
        }
    }

    /// Gives the node for a path below which there is nothing but a node at `end`: that node, longer, or an extension.
    fn extend(&mut self, path: &Nibbles, end: &Nibbles, node: Option<TrieNode>) -> Result<Option<TrieNode>> {
        if path == end {
            return Ok(node);
        }
        let way = end.slice(path.len()..);
        Ok(match node {
            Some(TrieNode::Branch(_)) => {
                let reference = node.as_ref().map(|node| self.store(end, node));
                reference.map(|reference| TrieNode::Extension(ExtensionNode::new(way, reference)))
            }
            other => {
                self.remove(end);
                match other {
                    Some(TrieNode::Leaf(leaf)) => Some(TrieNode::Leaf(LeafNode::new(way.join(&leaf.key), leaf.value))),
                    Some(TrieNode::Extension(next)) => {
                        Some(TrieNode::Extension(ExtensionNode::new(way.join(&next.key), next.child)))
                    }
                    _ => None,
                }
            }
        })
    }
}

fn decode(mut row: &[u8]) -> Result<TrieNode> {
    TrieNode::decode(&mut row).map_err(|error| corrupt(&error.to_string()))
}

fn nibble(path: &Nibbles, at: usize) -> Result<u8> {
    path.get(at).ok_or_else(|| corrupt("a path is longer than a key"))
}

fn corrupt(what: &str) -> StateError {
    StateError::Corrupt(format!("trie: {what}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::{HashBuilder, proof::verify_proof};
    use proptest::prelude::*;

    use super::*;
    use state_core::store::Store;

    /// Keys that share long beginnings, so that each shape of node comes and goes; values of every size.
    fn edits() -> impl Strategy<Value = Vec<Vec<(B256, Option<Vec<u8>>)>>> {
        let key = (any::<[u8; 3]>(), 0usize..30).prop_map(|(noise, at)| {
            let mut key = [0u8; 32];
            key[at..at + 3].copy_from_slice(&noise.map(|one| one & 0x11));
            B256::from(key)
        });
        let value = prop::option::weighted(0.6, prop::collection::vec(1u8..=255, 1..40));
        prop::collection::vec(prop::collection::vec((key, value), 1..12), 1..12)
    }

    fn from_scratch(held: &BTreeMap<B256, Vec<u8>>) -> B256 {
        let mut builder = HashBuilder::default();
        for (key, value) in held {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        builder.root()
    }

    proptest! {
        #[test]
        fn edits_lead_where_a_trie_from_scratch_is(rounds in edits()) {
            let store = Store::memory().unwrap();
            let mut held = BTreeMap::new();
            for (version, edits) in (1..).zip(rounds) {
                let edits: BTreeMap<B256, Option<Vec<u8>>> = edits.into_iter().collect();
                let snapshot = store.snapshot(version - 1).unwrap();
                let mut changes = Changes::new();
                let listed: Vec<Edit> = edits.iter().map(|(k, v)| (Nibbles::unpack(k), v.clone())).collect();
                let root = Trie::new(&snapshot, vec![7]).update(&listed, &mut changes).unwrap();
                for (key, value) in edits.clone() {
                    match value { Some(value) => held.insert(key, value), None => held.remove(&key) };
                }
                prop_assert_eq!(root, from_scratch(&held));
                store.persist(&store.stage(version - 1, &changes).unwrap(), version).unwrap();

                let snapshot = store.snapshot(version).unwrap();
                let trie = Trie::new(&snapshot, vec![7]);
                for key in edits.keys() {
                    let path = Nibbles::unpack(key);
                    let (value, nodes) = trie.prove(&path).unwrap();
                    prop_assert_eq!(value.as_ref(), held.get(key));
                    prop_assert!(verify_proof(root, path, value, &nodes).is_ok());
                }
                if held.is_empty() {
                    prop_assert!(snapshot.scan(&[7], None, 1).unwrap().is_empty(), "no row is left behind");
                }
            }
        }
    }
}
