//! Changing a tree: all changes of a round in one pass, so that a node they share is hashed once.

use std::cmp::Ordering;
use std::sync::Arc;

use super::bits::{Bits, bit, bit_length, common_bits};
use super::node::{Inner, Known, Leaf, Link, Node};
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, NodeSource};
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

/// One update in the making: collects the nodes it creates, links to those it replaces, and what it changed.
pub struct Update<'a, 'c, S> {
    source: &'a S,
    first_id: u64,
    fresh: Vec<Option<Known>>,
    stale: Vec<Link>,
    effective: Vec<Change<'c>>,
    /// Where nodes are made.
    buffer: Vec<u8>,
}

/// What an update did to the set of nodes.
#[derive(Debug, Default)]
pub struct Delta {
    /// Nodes created, in ascending order of their numbers.
    pub fresh: Arc<Vec<Known>>,
    /// The nodes that the new version no longer uses.
    pub stale: Vec<Link>,
}

impl<'a, 'c, S: NodeSource> Update<'a, 'c, S> {
    /// An update whose nodes are numbered from `batch << 24`; `batch` must be new.
    pub fn new(source: &'a S, batch: u64) -> Self {
        let first_id = batch << MAX_NODES_PER_UPDATE_BITS;
        Self { source, first_id, fresh: Vec::new(), stale: Vec::new(), effective: Vec::new(), buffer: Vec::new() }
    }

    /// Make the changes, which are in strictly ascending order of keys. What changes nothing is left out, so that the
    /// same root comes back, node number included, where nothing does.
    ///
    /// # Errors
    /// [`StateError::BadLength`]; whatever the source reports.
    pub fn run(&mut self, root: Option<Link>, changes: &[Change<'c>]) -> Result<Option<Link>, StateError> {
        changes.iter().try_for_each(check_length)?;
        self.change(root, 0, changes)
    }

    /// The changes that changed something, in order, and the nodes made and replaced.
    pub fn finish(self) -> (Vec<Change<'c>>, Delta) {
        let fresh = Arc::new(self.fresh.into_iter().flatten().collect());
        (self.effective, Delta { fresh, stale: self.stale })
    }

    fn change(&mut self, at: Option<Link>, depth: usize, changes: &[Change<'c>]) -> Result<Option<Link>, StateError> {
        if changes.is_empty() {
            return Ok(at);
        }
        let Some(link) = at else {
            return self.grow(depth, changes);
        };
        match self.source.load(&link)?.node() {
            Node::Leaf(leaf) => self.change_leaf(leaf, link, depth, changes),
            Node::Inner(inner) => self.change_inner(inner, Some(link), depth, changes),
        }
    }

    /// The tree of what is set where nothing was.
    fn grow(&mut self, depth: usize, changes: &[Change<'c>]) -> Result<Option<Link>, StateError> {
        let mut items = Vec::with_capacity(changes.len());
        changes.iter().for_each(|change| self.set(change, &mut items));
        self.build(depth, &items)
    }

    fn change_leaf(
        &mut self,
        leaf: Leaf<'_>,
        link: Link,
        depth: usize,
        changes: &[Change<'c>],
    ) -> Result<Option<Link>, StateError> {
        let mut items = Vec::with_capacity(changes.len() + 1);
        let mut kept = Some(Item::Kept { key: leaf.key, link });
        for change in changes {
            match change.key.cmp(leaf.key) {
                Ordering::Less => self.set(change, &mut items),
                Ordering::Equal if change.value == Some(leaf.value) => {}
                Ordering::Equal => {
                    kept = None;
                    self.stale.push(link);
                    match change.value {
                        Some(_) => self.set(change, &mut items),
                        None => self.effective.push(*change),
                    }
                }
                Ordering::Greater => {
                    items.extend(kept.take());
                    self.set(change, &mut items);
                }
            }
        }
        items.extend(kept);
        self.build(depth, &items)
    }

    /// A change of a key that is not there: a deletion has no effect.
    fn set<'i>(&mut self, change: &Change<'c>, items: &mut Vec<Item<'i>>)
    where
        'c: 'i,
    {
        if let Change { key, value: Some(value) } = *change {
            self.effective.push(*change);
            items.push(Item::New { key, value });
        }
    }

    /// The tree that `inner` becomes. Its link, where it is a node that is stored as it is.
    fn change_inner(
        &mut self,
        inner: Inner<'_>,
        stored: Option<Link>,
        depth: usize,
        changes: &[Change<'c>],
    ) -> Result<Option<Link>, StateError> {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return match stored {
                Some(link) => Ok(Some(link)),
                None => self.put_inner(inner.label, inner.children()),
            };
        };
        // Sorted keys: whatever the first and the last share with the label, all between them share too.
        let shared = inner.label.shared_with(first.key, depth).min(inner.label.shared_with(last.key, depth));
        let end = depth + shared;
        let (here, left_changes, right_changes) = partition(changes, end, |change| change.key);
        if shared == inner.label.len() {
            let [leaf, left, right] = inner.children();
            let children = [
                self.change(leaf, end, here)?,
                self.change(left, end, left_changes)?,
                self.change(right, end, right_changes)?,
            ];
            if let Some(link) = stored {
                if children == [leaf, left, right] {
                    return Ok(stored);
                }
                self.stale.push(link);
            }
            return self.combine(inner.label, children);
        }
        let goes_right = inner.label.bit(shared);
        let (within, beside) = if goes_right { (right_changes, left_changes) } else { (left_changes, right_changes) };
        if here.iter().chain(beside).all(|change| change.value.is_none()) {
            // Nothing is there to delete.
            return self.change_inner(inner, stored, depth, within);
        }
        // A new key leaves within the label: the node moves one level down, with the rest of the label.
        self.stale.extend(stored);
        let (label, rest) = inner.label.split(shared);
        let moved = inner.with_label(rest);
        let leaf = self.grow(end, here)?;
        let (left, right) = if goes_right {
            let left = self.grow(end, beside)?;
            (left, self.change_inner(moved, None, end, within)?)
        } else {
            let left = self.change_inner(moved, None, end, within)?;
            (left, self.grow(end, beside)?)
        };
        self.combine(label, [leaf, left, right])
    }

    /// A tree of sorted items whose keys agree up to `depth`.
    fn build(&mut self, depth: usize, items: &[Item<'_>]) -> Result<Option<Link>, StateError> {
        let [first, .., last] = items else {
            return match items {
                [] => Ok(None),
                [Item::Kept { link, .. }] => Ok(Some(*link)),
                [Item::New { key, value }, ..] => self.put_leaf(key, value),
                [Item::Kept { .. }, ..] => unreachable!("one item at most"),
            };
        };
        let end = depth + common_bits(first.key(), last.key(), depth);
        let label = Bits::of(first.key(), depth, end);
        let (here, left_items, right_items) = partition(items, end, Item::key);
        let leaf = self.build(end, here)?;
        let left = self.build(end, left_items)?;
        let right = self.build(end, right_items)?;
        self.put_inner(label, [leaf, left, right])
    }

    /// An inner node, or what is left of it when it has fewer than two children.
    fn combine(&mut self, label: Bits<'_>, children: [Option<Link>; 3]) -> Result<Option<Link>, StateError> {
        match children {
            [None, None, None] => Ok(None),
            [Some(leaf), None, None] => Ok(Some(leaf)),
            [None, Some(only), None] | [None, None, Some(only)] => self.lift(label, only),
            _ => self.put_inner(label, children),
        }
    }

    /// An only child takes its parent's place, and its label.
    fn lift(&mut self, label: Bits<'_>, child: Link) -> Result<Option<Link>, StateError> {
        // By hash too: a number from the disk must not lead to a node of this update.
        let made_here = usize::try_from(child.id.wrapping_sub(self.first_id))
            .ok()
            .filter(|index| matches!(self.fresh.get(*index), Some(Some(known)) if known.link() == child));
        let known = match made_here.and_then(|index| self.fresh[index].as_ref()) {
            Some(known) => known.clone(),
            None => self.source.load(&child)?,
        };
        let Node::Inner(inner) = known.node() else { return Ok(Some(child)) };
        match made_here {
            Some(index) => self.fresh[index] = None,
            None => self.stale.push(child),
        }
        let (joined, length) = label.join(inner.label);
        self.put_inner(Bits::of(&joined, 0, length), inner.children())
    }

    fn put_leaf(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Link>, StateError> {
        let id = self.next_id()?;
        let leaf = Known::leaf(&mut self.buffer, id, key, value);
        Ok(self.put(leaf))
    }

    fn put_inner(&mut self, label: Bits<'_>, children: [Option<Link>; 3]) -> Result<Option<Link>, StateError> {
        let id = self.next_id()?;
        let inner = Known::inner(&mut self.buffer, id, label, &children);
        Ok(self.put(inner))
    }

    fn next_id(&self) -> Result<u64, StateError> {
        let made = self.fresh.len();
        if made >> MAX_NODES_PER_UPDATE_BITS == 0 {
            Ok(self.first_id + made as u64)
        } else {
            Err(StateError::BadLength)
        }
    }

    fn put(&mut self, known: Known) -> Option<Link> {
        let link = known.link();
        self.fresh.push(Some(known));
        Some(link)
    }
}

fn check_length(change: &Change<'_>) -> Result<(), StateError> {
    let value_bytes = change.value.map_or(0, <[u8]>::len);
    if change.key.is_empty() || change.key.len() > MAX_KEY_BYTES || value_bytes > MAX_VALUE_BYTES {
        return Err(StateError::BadLength);
    }
    Ok(())
}

/// Split sorted entries that agree up to bit `end`: the key that ends there, then those with a 0, then with a 1.
fn partition<'s, 'a, T>(sorted: &'s [T], end: usize, key: impl Fn(&T) -> &'a [u8]) -> (&'s [T], &'s [T], &'s [T]) {
    let ends_here = usize::from(sorted.first().is_some_and(|entry| bit_length(key(entry)) == end));
    let (here, longer) = sorted.split_at(ends_here);
    let (left, right) = longer.split_at(longer.partition_point(|entry| !bit(key(entry), end)));
    (here, left, right)
}
