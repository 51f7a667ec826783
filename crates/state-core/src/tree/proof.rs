//! Proofs that keys have their values, or are absent, under a root.
//!
//! A proof is the part of the tree that the lookups visit, in pre-order; the rest stands there as hashes:
//!
//! | byte | what follows |
//! |---|---|
//! | 0 | nothing: no child here |
//! | 1 | hash of a subtree no key leads into, 32 bytes |
//! | 2 | leaf: key length LE2, key, value length LE4, value |
//! | 3 | inner node: label bits LE2, label, then leaf, left and right, each one of these |

use super::bits::{Bits, bit, bit_length};
use super::node::{EMPTY_ROOT, Link, Node, inner_hash, leaf_hash};
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, NodeSource, Root};
use crate::errors::StateError;

const ABSENT: u8 = 0;
const HASH: u8 = 1;
const LEAF: u8 = 2;
const INNER: u8 = 3;

/// Proof for any number of keys, of presence and of absence.
///
/// # Errors
/// Whatever the source reports.
pub fn prove(source: &impl NodeSource, root: Option<Link>, keys: &[&[u8]]) -> Result<Vec<u8>, StateError> {
    let mut proof = Vec::new();
    write(source, root, 0, keys, &mut proof)?;
    Ok(proof)
}

fn write(
    source: &impl NodeSource,
    at: Option<Link>,
    depth: usize,
    keys: &[&[u8]],
    proof: &mut Vec<u8>,
) -> Result<(), StateError> {
    let Some(link) = at else {
        proof.push(ABSENT);
        return Ok(());
    };
    if keys.is_empty() {
        proof.push(HASH);
        proof.extend_from_slice(&link.hash);
        return Ok(());
    }
    match source.load(&link)?.node() {
        Node::Leaf(leaf) => {
            proof.push(LEAF);
            proof.extend_from_slice(&(leaf.key.len() as u16).to_le_bytes());
            proof.extend_from_slice(leaf.key);
            proof.extend_from_slice(&(leaf.value.len() as u32).to_le_bytes());
            proof.extend_from_slice(leaf.value);
        }
        Node::Inner(inner) => {
            proof.push(INNER);
            proof.extend_from_slice(&inner.label.length_bytes());
            proof.extend(inner.label.bytes());
            let end = depth + inner.label.len();
            let follows = |key: &&&[u8]| inner.label.shared_with(key, depth) == inner.label.len();
            let inside: Vec<&[u8]> = keys.iter().filter(follows).copied().collect();
            let (here, longer): (Vec<&[u8]>, _) = inside.into_iter().partition(|key| bit_length(key) == end);
            let (right, left): (Vec<&[u8]>, _) = longer.into_iter().partition(|key| bit(key, end));
            for (child, keys) in inner.children().into_iter().zip([here, left, right]) {
                write(source, child, end, &keys, proof)?;
            }
        }
    }
    Ok(())
}

/// Value of a key under a root, or `None` when the proof shows that the key is absent.
///
/// # Errors
/// [`StateError::InvalidProof`]: malformed, of another root, or without an answer for this key.
pub fn verify_proof(root: Root, proof: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
    let mut reader = Reader { rest: proof, key };
    let (hash, answer) = reader.subtree(0, true)?;
    if !reader.rest.is_empty() {
        return Err(StateError::InvalidProof("bytes behind the end"));
    }
    if hash.unwrap_or(EMPTY_ROOT) != root {
        return Err(StateError::InvalidProof("another root"));
    }
    match answer {
        Answer::Value(value) => Ok(Some(value.to_vec())),
        Answer::Absent => Ok(None),
        Answer::NotCovered => Err(StateError::InvalidProof("does not cover the key")),
    }
}

/// What a subtree says about the key.
enum Answer<'a> {
    Value(&'a [u8]),
    Absent,
    NotCovered,
}

struct Reader<'a> {
    rest: &'a [u8],
    key: &'a [u8],
}

const TRUNCATED: StateError = StateError::InvalidProof("truncated");

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], StateError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Hash of the next subtree, and its answer if the key leads into it (`on_path`).
    fn subtree(&mut self, depth: usize, on_path: bool) -> Result<(Option<Root>, Answer<'a>), StateError> {
        match self.array::<1>()?[0] {
            ABSENT => Ok((None, Answer::Absent)),
            HASH => Ok((Some(self.array()?), Answer::NotCovered)),
            LEAF => {
                let key_bytes = u16::from_le_bytes(self.array()?).into();
                let key = self.take(key_bytes)?;
                let value_bytes = u32::from_le_bytes(self.array()?) as usize;
                let value = self.take(value_bytes)?;
                if key_bytes > MAX_KEY_BYTES || value_bytes > MAX_VALUE_BYTES {
                    return Err(StateError::InvalidProof("key or value too long"));
                }
                let answer = if key == self.key { Answer::Value(value) } else { Answer::Absent };
                Ok((Some(leaf_hash(key, value)), answer))
            }
            INNER => self.inner(depth, on_path),
            _ => Err(StateError::InvalidProof("unknown node")),
        }
    }

    fn inner(&mut self, depth: usize, on_path: bool) -> Result<(Option<Root>, Answer<'a>), StateError> {
        let before = self.rest;
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.take(usize::from(length).div_ceil(8))?;
        let stored_label = &before[..2 + bytes.len()];
        let label = Bits::from_bytes(length, bytes).ok_or(StateError::InvalidProof("malformed label"))?;
        // Labels below the root are never empty, which bounds the recursion by the longest key.
        let end = depth + label.len();
        if end > MAX_KEY_BYTES * 8 || (depth > 0 && label.len() == 0) {
            return Err(StateError::InvalidProof("deeper than any key"));
        }
        let key = self.key;
        let follows = on_path && label.shared_with(key, depth) == label.len();
        let ends_here = follows && bit_length(key) == end;
        let goes_right = follows && !ends_here && bit(key, end);
        let goes_left = follows && !ends_here && !goes_right;
        let (leaf, leaf_answer) = self.subtree(end, ends_here)?;
        let (left, left_answer) = self.subtree(end, goes_left)?;
        let (right, right_answer) = self.subtree(end, goes_right)?;
        let answer = match (ends_here, goes_left, goes_right) {
            (true, ..) => leaf_answer,
            (_, true, _) => left_answer,
            (.., true) => right_answer,
            _ => Answer::Absent,
        };
        Ok((Some(inner_hash(stored_label, [leaf.as_ref(), left.as_ref(), right.as_ref()])), answer))
    }
}
