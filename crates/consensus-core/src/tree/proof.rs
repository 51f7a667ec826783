//! Proofs about entries: the tree in preorder, without the sides that no asked path enters.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    node::{Node, Shape, branch_digest, leaf_digest},
    path::{Path, path_of, side},
};
use crate::digest::{Digest, hex, sha512_256};

/// The whole tree is empty.
const EMPTY: u8 = 0;
/// Digest: a side that no asked path enters.
const DIGEST: u8 = 1;
/// Bit, side 0, side 1.
const BRANCH: u8 = 2;
/// Path: a leaf whose value is among the items.
const ASKED: u8 = 3;
/// Path, H(value): a leaf that stands where asked paths would.
const OTHER: u8 = 4;

/// A key with its value; `None` claims that the key is absent.
pub type Claim<'a> = (&'a [u8], Option<&'a [u8]>);

/// The proof does not show these items under this root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadProof(String);

fn bad<T>(message: impl Into<String>) -> Result<T, BadProof> {
    Err(BadProof(message.into()))
}

pub(super) fn prove<'a>(root: Option<&Node>, keys: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let Some(root) = root else {
        return vec![EMPTY];
    };
    let asked: BTreeSet<Path> = keys.into_iter().map(path_of).collect();
    let mut proof = Vec::new();
    write(root, &asked.iter().collect::<Vec<_>>(), &mut proof);
    proof
}

fn write(node: &Node, asked: &[&Path], proof: &mut Vec<u8>) {
    if asked.is_empty() {
        proof.push(DIGEST);
        proof.extend(node.digest());
        return;
    }
    match &node.shape {
        Shape::Branch { bit, sides } => {
            proof.extend([BRANCH, *bit]);
            for (child, paths) in sides.iter().zip(parted(asked, *bit)) {
                write(child, &paths, proof);
            }
        }
        Shape::Leaf { .. } if asked.contains(&&node.path) => {
            proof.push(ASKED);
            proof.extend(node.path);
        }
        Shape::Leaf { value } => {
            proof.push(OTHER);
            proof.extend(node.path);
            proof.extend(sha512_256(&[value]));
        }
    }
}

fn parted<'a>(paths: &[&'a Path], bit: u8) -> [Vec<&'a Path>; 2] {
    let (ones, zeros) = paths.iter().copied().partition(|path| side(path, bit) == 1);
    [zeros, ones]
}

/// Verifies that a map with this root has these entries.
///
/// # Errors
/// [`BadProof`]: the proof has another root, is malformed, or shows another value for an item.
pub fn verify<'a>(root: &[u8], untrusted: &[u8], items: impl IntoIterator<Item = Claim<'a>>) -> Result<(), BadProof> {
    let mut claims: BTreeMap<Path, Option<&[u8]>> = BTreeMap::new();
    for (key, value) in items {
        if *claims.entry(path_of(key)).or_insert(value) != value {
            return bad(format!("two values are claimed for key {}", hex(key)));
        }
    }
    let digest = Reader { rest: untrusted, claims: &claims }.read_tree()?;
    if digest == root { Ok(()) } else { bad("the proof is for another root") }
}

/// Computes the root that a proof leads to, and checks every claim on the way.
struct Reader<'a> {
    rest: &'a [u8],
    claims: &'a BTreeMap<Path, Option<&'a [u8]>>,
}

impl<'a> Reader<'a> {
    fn read_tree(mut self) -> Result<Digest, BadProof> {
        let paths: Vec<&Path> = self.claims.keys().collect();
        if self.rest == [EMPTY] {
            self.expect_absent(&paths)?;
            return Ok(sha512_256(&[]));
        }
        let digest = self.read_node(&paths, 0)?;
        if self.rest.is_empty() { Ok(digest) } else { bad("bytes follow the proof") }
    }

    fn read_node(&mut self, asked: &[&'a Path], least_bit: u16) -> Result<Digest, BadProof> {
        let [kind] = self.take()?;
        match kind {
            DIGEST if asked.is_empty() => self.take(),
            BRANCH => {
                let [bit] = self.take()?;
                // Bits rise on the way down, which also bounds the recursion.
                if u16::from(bit) < least_bit {
                    return bad(format!("bit {bit} stands below bit {}", least_bit - 1));
                }
                let [zeros, ones] = parted(asked, bit);
                let left = self.read_node(&zeros, u16::from(bit) + 1)?;
                Ok(branch_digest(bit, &left, &self.read_node(&ones, u16::from(bit) + 1)?))
            }
            ASKED => {
                let path: Path = self.take()?;
                let claimed = if asked.contains(&&path) { self.claims[&path] } else { None };
                let Some(value) = claimed else {
                    return bad("a value is there, and none is claimed");
                };
                let others: Vec<&Path> = asked.iter().copied().filter(|other| **other != path).collect();
                self.expect_absent(&others)?;
                Ok(leaf_digest(&path, &sha512_256(&[value])))
            }
            OTHER => {
                let (path, value_hash): (Path, Digest) = (self.take()?, self.take()?);
                if asked.contains(&&path) {
                    return bad("an entry is shown as another one");
                }
                self.expect_absent(asked)?;
                Ok(leaf_digest(&path, &value_hash))
            }
            _ => bad(format!("node of kind {kind} cannot stand here")),
        }
    }

    fn expect_absent(&self, paths: &[&Path]) -> Result<(), BadProof> {
        if paths.iter().any(|path| self.claims[*path].is_some()) {
            return bad("a claimed value is not there");
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadProof> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return bad("the proof is cut short");
        };
        self.rest = rest;
        Ok(*taken)
    }
}
