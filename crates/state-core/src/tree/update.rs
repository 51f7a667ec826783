//! Changing a tree: all changes of a round in one pass, so that a node they share is hashed once.

use std::sync::Arc;

use super::bits::{Bits, bit, bit_length, common_bits};
use super::node::{Inner, Link, Node};
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, NodeSource, read};
use crate::errors::StateError;

/// One update makes fewer than 2^24 nodes; the rest of a node's number says which update made it.
pub const MAX_NODES_PER_UPDATE_BITS: u32 = 24;

/// Set (`Some`) or delete (`None`) one key.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Key.
    pub key: &'a [u8],
    /// New value, or none to delete the key.
    pub value: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    /// Set a key.
    pub fn set(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key, value: Some(value) }
    }
}

/// What becomes a leaf: a new value, or a leaf that is there already.
#[derive(Clone, Copy)]
enum Item<'a> {
    New { key: &'a [u8], value: &'a [u8] },
    Kept { key: &'a [u8], link: Link },
}

impl<'a> Item<'a> {
    fn key(&self) -> &'a [u8] {
        match *self {
            Self::New { key, .. } | Self::Kept { key, .. } => key,
        }
    }
}

/// One update in the making: collects the nodes it creates and the numbers of those it replaces.
pub struct Update<'a, S> {
    source: &'a S,
    first_id: u64,
    fresh: Vec<Option<(Link, Arc<Node>)>>,
    stale: Vec<u64>,
}

/// What an update did to the set of nodes.
#[derive(Debug, Default)]
pub struct Delta {
    /// Nodes created, in ascending order of their numbers.
    pub fresh: Vec<(Link, Arc<Node>)>,
    /// Numbers of the nodes that the new version no longer uses.
    pub stale: Vec<u64>,
}

impl<'a, S: NodeSource> Update<'a, S> {
    /// An update whose nodes are numbered from `batch << 24`; `batch` must be new.
    pub fn new(source: &'a S, batch: u64) -> Self {
        Self { source, first_id: batch << MAX_NODES_PER_UPDATE_BITS, fresh: Vec::new(), stale: Vec::new() }
    }

    /// Leave out changes that change nothing: with them gone, every deletion meets its key.
    ///
    /// # Errors
    /// [`StateError::BadLength`]; whatever the source reports.
    pub fn effective<'c>(
        &self,
        root: Option<Link>,
        changes: impl Iterator<Item = Change<'c>>,
    ) -> Result<Vec<Change<'c>>, StateError> {
        let mut effective = Vec::with_capacity(changes.size_hint().0);
        for change in changes {
            check_length(&change)?;
            let node = read::find(self.source, root, change.key)?;
            let old = node.as_deref().map(|node| match node {
                Node::Leaf(leaf) => &*leaf.value,
                Node::Inner(_) => unreachable!("find returns leaves"),
            });
            if old != change.value {
                effective.push(change);
            }
        }
        Ok(effective)
    }

    /// Make the changes, which are effective and in strictly ascending order of keys.
    ///
    /// # Errors
    /// [`StateError::BadLength`]; whatever the source reports.
    pub fn run(&mut self, root: Option<Link>, changes: &[Change<'_>]) -> Result<Option<Link>, StateError> {
        changes.iter().try_for_each(check_length)?;
        self.change(root, 0, changes)
    }

    /// The nodes made and replaced.
    pub fn finish(self) -> Delta {
        Delta { fresh: self.fresh.into_iter().flatten().collect(), stale: self.stale }
    }

    fn change(&mut self, at: Option<Link>, depth: usize, changes: &[Change<'_>]) -> Result<Option<Link>, StateError> {
        let Some(link) = at else {
            return self.build(depth, &items_of(changes));
        };
        if changes.is_empty() {
            return Ok(at);
        }
        let node = self.source.load(&link)?;
        match &*node {
            Node::Leaf(leaf) => {
                let mut items = items_of(changes);
                match changes.binary_search_by(|change| change.key.cmp(&leaf.key)) {
                    Ok(_) => self.stale.push(link.id),
                    Err(_) => {
                        let place = items.partition_point(|item| *item.key() < *leaf.key);
                        items.insert(place, Item::Kept { key: &leaf.key, link });
                    }
                }
                self.build(depth, &items)
            }
            Node::Inner(inner) => {
                self.stale.push(link.id);
                self.change_inner(inner, depth, changes)
            }
        }
    }

    /// The tree that `inner` (already counted as replaced) becomes.
    fn change_inner(
        &mut self,
        inner: &Inner,
        depth: usize,
        changes: &[Change<'_>],
    ) -> Result<Option<Link>, StateError> {
        let [first, .., last] = changes else {
            return match changes {
                [only] => self.change_inner_sharing(inner, depth, changes, inner.label.shared_with(only.key, depth)),
                _ => Ok(Some(self.put(Node::Inner(inner.clone()))?)),
            };
        };
        // Sorted keys: whatever the first and the last share with the label, all between them share too.
        let shared = inner.label.shared_with(first.key, depth).min(inner.label.shared_with(last.key, depth));
        self.change_inner_sharing(inner, depth, changes, shared)
    }

    fn change_inner_sharing(
        &mut self,
        inner: &Inner,
        depth: usize,
        changes: &[Change<'_>],
        shared: usize,
    ) -> Result<Option<Link>, StateError> {
        let end = depth + shared;
        let (here, left_changes, right_changes) = partition(changes, end, |change| change.key);
        if shared == inner.label.len() {
            let leaf = self.change(inner.leaf, end, here)?;
            let left = self.change(inner.left, end, left_changes)?;
            let right = self.change(inner.right, end, right_changes)?;
            return self.combine(inner.label.clone(), leaf, left, right);
        }
        // A new key leaves within the label: the node moves one level down, with the rest of the label.
        let (label, rest) = inner.label.split(shared);
        let goes_right = rest.first();
        let moved = Inner { label: rest, ..inner.clone() };
        let leaf = self.build(end, &items_of(here))?;
        let (left, right) = if goes_right {
            let left = self.build(end, &items_of(left_changes))?;
            (left, self.change_inner(&moved, end, right_changes)?)
        } else {
            let left = self.change_inner(&moved, end, left_changes)?;
            (left, self.build(end, &items_of(right_changes))?)
        };
        self.combine(label, leaf, left, right)
    }

    /// A tree of sorted items whose keys agree up to `depth`.
    fn build(&mut self, depth: usize, items: &[Item<'_>]) -> Result<Option<Link>, StateError> {
        let [first, .., last] = items else {
            return match items {
                [] => Ok(None),
                [Item::Kept { link, .. }] => Ok(Some(*link)),
                [Item::New { key, value }, ..] => Ok(Some(self.put(Node::leaf(key, value))?)),
                [Item::Kept { .. }, ..] => unreachable!("one item at most"),
            };
        };
        let end = depth + common_bits(first.key(), last.key(), depth);
        let label = Bits::of(first.key(), depth, end);
        let (here, left_items, right_items) = partition(items, end, Item::key);
        let leaf = self.build(end, here)?;
        let left = self.build(end, left_items)?;
        let right = self.build(end, right_items)?;
        Ok(Some(self.put(Node::Inner(Inner { label, leaf, left, right }))?))
    }

    /// An inner node, or what is left of it when it has fewer than two children.
    fn combine(
        &mut self,
        label: Bits,
        leaf: Option<Link>,
        left: Option<Link>,
        right: Option<Link>,
    ) -> Result<Option<Link>, StateError> {
        match (leaf, left, right) {
            (None, None, None) => Ok(None),
            (Some(leaf), None, None) => Ok(Some(leaf)),
            (None, Some(only), None) | (None, None, Some(only)) => self.lift(&label, only).map(Some),
            _ => Ok(Some(self.put(Node::Inner(Inner { label, leaf, left, right }))?)),
        }
    }

    /// An only child takes its parent's place, and its label.
    fn lift(&mut self, label: &Bits, child: Link) -> Result<Link, StateError> {
        // By hash too: a number from the disk must not lead to a node of this update.
        let made_here = usize::try_from(child.id.wrapping_sub(self.first_id))
            .ok()
            .filter(|index| matches!(self.fresh.get(*index), Some(Some((link, _))) if *link == child));
        let node = match made_here.and_then(|index| self.fresh[index].as_ref()) {
            Some((_, node)) => node.clone(),
            None => self.source.load(&child)?,
        };
        let Node::Inner(inner) = &*node else { return Ok(child) };
        match made_here {
            Some(index) => self.fresh[index] = None,
            None => self.stale.push(child.id),
        }
        self.put(Node::Inner(Inner { label: label.join(&inner.label), ..inner.clone() }))
    }

    fn put(&mut self, node: Node) -> Result<Link, StateError> {
        if self.fresh.len() >> MAX_NODES_PER_UPDATE_BITS != 0 {
            return Err(StateError::BadLength);
        }
        let link = Link { hash: node.hash(), id: self.first_id + self.fresh.len() as u64 };
        self.fresh.push(Some((link, Arc::new(node))));
        Ok(link)
    }
}

fn check_length(change: &Change<'_>) -> Result<(), StateError> {
    let value_bytes = change.value.map_or(0, <[u8]>::len);
    if change.key.is_empty() || change.key.len() > MAX_KEY_BYTES || value_bytes > MAX_VALUE_BYTES {
        return Err(StateError::BadLength);
    }
    Ok(())
}

fn items_of<'a>(changes: &[Change<'a>]) -> Vec<Item<'a>> {
    let set = |change: &Change<'a>| Some(Item::New { key: change.key, value: change.value? });
    changes.iter().filter_map(set).collect()
}

/// Split sorted entries that agree up to bit `end`: the key that ends there, then those with a 0, then with a 1.
fn partition<'s, 'a, T>(sorted: &'s [T], end: usize, key: impl Fn(&T) -> &'a [u8]) -> (&'s [T], &'s [T], &'s [T]) {
    let ends_here = usize::from(sorted.first().is_some_and(|entry| bit_length(key(entry)) == end));
    let (here, longer) = sorted.split_at(ends_here);
    let (left, right) = longer.split_at(longer.partition_point(|entry| !bit(key(entry), end)));
    (here, left, right)
}
