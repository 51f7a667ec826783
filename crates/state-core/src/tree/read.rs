//! Reading: one key, or all keys in order under a prefix.

use std::ops::ControlFlow;

use super::bits::{append, bit, bit_length};
use super::node::{Inner, Link, Node};
use super::{MAX_KEY_BYTES, NodeSource};
use crate::errors::StateError;

/// Value under a key.
///
/// Labels are skipped on the way down: the leaf at the end holds the whole key and settles it.
///
/// # Errors
/// Whatever the source reports.
pub fn get(source: &impl NodeSource, root: Option<Link>, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
    let mut next = root;
    let mut depth = 0;
    while let Some(link) = next {
        match source.load(&link)?.node() {
            Node::Leaf(leaf) => return Ok((leaf.key == key).then(|| leaf.value.to_vec())),
            Node::Inner(inner) => {
                depth += inner.label.len();
                next = match bit_length(key) {
                    length if length < depth => None,
                    length if length == depth => inner.child(Inner::LEAF),
                    _ if bit(key, depth) => inner.child(Inner::RIGHT),
                    _ => inner.child(Inner::LEFT),
                };
            }
        }
    }
    Ok(None)
}

/// Keys and values in ascending order.
pub type Items = Vec<(Vec<u8>, Vec<u8>)>;

/// Up to `limit` items whose keys have the prefix and are not below `start`, in ascending order of keys.
///
/// # Errors
/// Whatever the source reports.
pub fn scan(
    source: &impl NodeSource,
    root: Option<Link>,
    prefix: &[u8],
    start: &[u8],
    limit: usize,
) -> Result<Items, StateError> {
    let lower = if start > prefix { start } else { prefix };
    let mut scan = Scan { source, prefix, lower, limit, path: Vec::with_capacity(MAX_KEY_BYTES), items: Items::new() };
    if let (Some(root), 1..) = (root, limit) {
        // Break only says that the limit was reached; the items are complete either way.
        let _ = scan.visit(&root, 0)?;
    }
    Ok(scan.items)
}

struct Scan<'a, S> {
    source: &'a S,
    prefix: &'a [u8],
    lower: &'a [u8],
    limit: usize,
    path: Vec<u8>,
    items: Items,
}

impl<S: NodeSource> Scan<'_, S> {
    fn visit(&mut self, link: &Link, depth: usize) -> Result<ControlFlow<()>, StateError> {
        let known = self.source.load(link)?;
        let inner = match known.node() {
            Node::Leaf(leaf) => {
                if leaf.key.starts_with(self.prefix) && leaf.key >= self.lower {
                    self.items.push((leaf.key.to_vec(), leaf.value.to_vec()));
                }
                let full = self.items.len() == self.limit;
                return Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
            }
            Node::Inner(inner) => inner,
        };
        append(&mut self.path, depth, inner.label);
        let depth = depth + inner.label.len();
        if !self.may_hold(depth) {
            return Ok(ControlFlow::Continue(()));
        }
        for child in inner.children().iter().flatten() {
            if self.visit(child, depth)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether keys that begin with the first `depth` bits of the path can be wanted.
    fn may_hold(&self, depth: usize) -> bool {
        let compare = |bound: &[u8]| {
            let shared = depth.min(bit_length(bound));
            let (whole, rest) = (shared / 8, shared % 8);
            let mask = !(0xffu8.checked_shr(rest as u32).unwrap_or(0));
            let last = |bytes: &[u8]| if rest == 0 { 0 } else { bytes[whole] & mask };
            self.path[..whole].cmp(&bound[..whole]).then_with(|| last(&self.path).cmp(&last(bound)))
        };
        compare(self.prefix).is_eq() && compare(self.lower).is_ge()
    }
}
