//! Nodes of the tree, and what a change of one entry makes of them.

use std::sync::{Arc, OnceLock};

use super::{
    Shared,
    path::{Path, parting_bit, side},
};
use crate::digest::{Digest, sha512_256};

#[derive(Debug)]
pub(super) enum Shape {
    Leaf {
        value: Shared,
    },
    Branch {
        /// Bit at which the sides part: all below share those before it.
        bit: u8,
        sides: [Arc<Node>; 2],
    },
}

#[derive(Debug)]
pub(super) struct Node {
    /// Of the entry; of a branch, that of some entry below it.
    pub(super) path: Path,
    pub(super) shape: Shape,
    /// Filled when first asked for: nodes that a batch of changes makes and drops again are never hashed.
    digest: OnceLock<Digest>,
}

impl Node {
    fn leaf(path: Path, value: Shared) -> Arc<Self> {
        Arc::new(Self { path, shape: Shape::Leaf { value }, digest: OnceLock::new() })
    }

    fn branch(bit: u8, sides: [Arc<Self>; 2]) -> Arc<Self> {
        Arc::new(Self { path: sides[0].path, shape: Shape::Branch { bit, sides }, digest: OnceLock::new() })
    }

    pub(super) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| match &self.shape {
            Shape::Leaf { value } => leaf_digest(&self.path, &sha512_256(&[value])),
            Shape::Branch { bit, sides: [left, right] } => branch_digest(*bit, &left.digest(), &right.digest()),
        })
    }
}

pub(super) fn leaf_digest(path: &Path, value_hash: &Digest) -> Digest {
    sha512_256(&[&[0], path, value_hash])
}

pub(super) fn branch_digest(bit: u8, left: &Digest, right: &Digest) -> Digest {
    sha512_256(&[&[1, bit], left, right])
}

fn other_side(bit: u8, at: usize, child: Arc<Node>, other: &Arc<Node>) -> Arc<Node> {
    let other = Arc::clone(other);
    Node::branch(bit, if at == 0 { [child, other] } else { [other, child] })
}

/// The tree with a value at a path.
pub(super) fn with(node: Option<&Arc<Node>>, path: Path, value: &Shared) -> Arc<Node> {
    let Some(node) = node else {
        return Node::leaf(path, Arc::clone(value));
    };
    let Some(parting) = parting_bit(&node.path, &path) else {
        // The entry itself, or the one by which a branch is known.
        return match &node.shape {
            Shape::Leaf { .. } => Node::leaf(path, Arc::clone(value)),
            Shape::Branch { bit, sides } => below(*bit, sides, path, value),
        };
    };
    match &node.shape {
        Shape::Branch { bit, sides } if parting >= *bit => below(*bit, sides, path, value),
        _ => other_side(parting, side(&path, parting), Node::leaf(path, Arc::clone(value)), node),
    }
}

fn below(bit: u8, sides: &[Arc<Node>; 2], path: Path, value: &Shared) -> Arc<Node> {
    let at = side(&path, bit);
    other_side(bit, at, with(Some(&sides[at]), path, value), &sides[1 - at])
}

/// The tree without a path that it holds.
pub(super) fn without(node: &Arc<Node>, path: &Path) -> Option<Arc<Node>> {
    let Shape::Branch { bit, sides } = &node.shape else {
        return None;
    };
    let at = side(path, *bit);
    let other = &sides[1 - at];
    Some(match without(&sides[at], path) {
        None => Arc::clone(other),
        Some(child) => other_side(*bit, at, child, other),
    })
}
